"""The executor of this checkout's location: all steps in the process of their run, which can always be told to stop.

Dagster's own in-process executor hears of an interrupt only while a step is at work: a run that waits for a place in a
pool would wait on.

Belongs here: that difference. Does not belong here: how a step ends (`defs/steps.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor
from dagster._utils.interrupts import pop_captured_interrupt

from courtlistener_assets.defs.steps import INTERRUPTS, report_canceling


class _Places(InstanceConcurrencyContext):
    """Places in the pools; whoever was told to stop gets none."""

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        if pop_captured_interrupt():
            raise dg.DagsterExecutionInterruptedError
        return super().claim(concurrency_key, step_key, step_priority)


def _steps(job_context: PlanExecutionContext, execution_plan: ExecutionPlan) -> Iterator[dg.DagsterEvent]:
    with _Places(job_context.instance, job_context.dagster_run) as places:
        try:
            yield from inner_plan_execution_iterator(job_context, execution_plan, places)
        except INTERRUPTS:
            report_canceling(job_context.instance, job_context.run_id)
            raise


class InterruptibleExecutor(InProcessExecutor):
    """Dagster's in-process executor, which an interrupt ends between steps too."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        yield from ExecuteRunWithPlanIterable(
            execution_plan=execution_plan,
            iterator=_steps,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )


@dg.executor(name="in_process")
def interruptible_executor(_: dg.InitExecutorContext) -> dg.Executor:
    """Make the executor, which has nothing to configure."""
    return InterruptibleExecutor(RetryMode.ENABLED)
