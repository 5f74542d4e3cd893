"""`python -m tests.proof`: searches all instances, then shows what each guard is good for.

With `--story NAME`, the counterexample that comes out when the guards of that mutation are taken away.
"""

from __future__ import annotations

import argparse
import sys

from tests.proof.checker import Result, check
from tests.proof.instances import FULL, MUTATIONS
from tests.proof.model import INVARIANTS, PermitPath


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof")
    parser.add_argument("--story", choices=MUTATIONS, help="tell one counterexample")
    asked = parser.parse_args()
    if asked.story:
        print(*check(MUTATIONS[asked.story].model).story, sep="\n")
        return 0
    good = True
    total = Result()
    for name, size in FULL.items():
        result = check(PermitPath(size))
        good &= result.complete and not result.broken
        total.states += result.states
        total.steps += result.steps
        total.seconds += result.seconds
        print(f"{'holds' if not result.broken else 'BROKEN'}  {name}: {_figures(result)}", flush=True)
        if result.broken:
            print(f"    {INVARIANTS[result.broken]} - but:", *result.story, sep="\n    ")
    print("\nGuards taken away, and the events until an invariant breaks:")
    for name, mutation in MUTATIONS.items():
        result = check(mutation.model)
        good &= result.broken == mutation.breaks
        print(
            f"{result.length:4}  {name}: not '{INVARIANTS[result.broken]}'" if result.broken else f"NONE  {name}",
            flush=True,
        )
    print(f"\n{len(FULL)} instances: {total.states:,} states, {total.steps:,} steps, {total.seconds:.0f} s; ", end="")
    print(
        f"{len(INVARIANTS)} invariants hold; each of {len(MUTATIONS)} guards is needed"
        if good
        else "NOT as it should be"
    )
    return 0 if good else 1


def _figures(result: Result) -> str:
    return f"{result.states:,} states, {result.steps:,} steps, depth {result.depth}, {result.seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
