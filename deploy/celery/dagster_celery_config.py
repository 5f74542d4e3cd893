"""Settings of the Celery workers: `dagster_celery.app` imports this module when it is on the PYTHONPATH.

Where broker and results are is in CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which Celery reads itself.
"""

from datetime import timedelta

# A run that waits here for a busy worker is not seen by an idle one.
worker_disable_prefetch = True
# Once a task is begun, no other worker gets it. With `task_acks_late` Redis would hand a run that takes longer than the
# broker's visibility timeout, an hour, to a second worker while the first one is at work.
task_acks_late = False
# How long it is known how a run's task stands; longer than any run.
result_expires = timedelta(days=30)
# Lines of runs stay as they were written, such as JSON with COURTLISTENER_LOG_FORMAT=json.
worker_redirect_stdouts = False
worker_hijack_root_logger = False
