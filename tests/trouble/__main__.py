"""`python -m tests.trouble`: every case of trouble and a week of all of them; the table that docs/failures.md has.

`--cases firewall,poison` plays those whose names have one of the words, and no week; `--write` puts all of it into the
page.
"""

from __future__ import annotations

import argparse
import sys
import time

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.trouble.cases import CASES
from tests.trouble.play import Theatre
from tests.trouble.table import row, table, written
from tests.trouble.week import play_week
from tests.truth.operator import quiet


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trouble")
    parser.add_argument("--cases", default="", help="only those whose names have one of these words; no week")
    parser.add_argument("--week", action="store_true", help="only the week")
    parser.add_argument("--write", action="store_true", help="into docs/failures.md, unless only a part is played")
    asked = parser.parse_args()
    quiet()
    with PostgresServer() as postgres, RedisServer() as redis:
        results, theatre = [], Theatre(postgres, redis)
        for case in () if asked.week else CASES:
            if any(word in case.name for word in asked.cases.split(",")):
                began = time.monotonic()
                results.append(theatre.play(case))
                print(row(results[-1]), f" {results[-1].runs} runs, {time.monotonic() - began:.0f} s", flush=True)
        if asked.cases:
            return 0
        week = play_week(postgres, redis)
    made = f"{table(results)}\n\n{week.sentence()}"
    print(made, week.by_status, sep="\n\n")
    if asked.write and not asked.week:
        written(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
