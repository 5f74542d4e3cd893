"""`courtlistener plan`.

Belongs here: its options, and in which order it says, asks and counts. Does not belong here: what is estimated
(`operations/plan.py`).
"""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime

import click

from courtlistener_assets.operations.running_session import with_session


@click.command()
@click.option("--courts", "names", help="Courts, as ca9,scotus; the configured ones if it is not given.")
@click.option("--from", "first_month", help="The first month, such as 2015-01; the configured one if it is not given.")
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
@click.option("--yes", is_flag=True, help="Do not ask whether to count.")
def plan(names: str | None, first_month: str | None, *, as_json: bool, yes: bool) -> None:
    """Show what courts take, before anything is downloaded: partitions, requests, days, gigabytes, chunks.

    \b
    courtlistener plan --courts ca9 --from 2015-01

    It asks CourtListener to count, at most four requests a court with the streams that are downloaded by default, says
    so before, and keeps the counts for a day. Afterwards `watch`, `status` and the runs know from them how much is
    left. It says as well what the same takes from bulk files, for which it reads the beginning of one.
    """
    from courtlistener_assets.download.courts import check_courts
    from courtlistener_assets.operations import plan as planning
    from courtlistener_assets.settings import Settings, month_of
    from resources.connections.postgres import Database

    settings = Settings.from_environ(with_session(os.environ))
    courts = check_courts(tuple(name.strip() for name in (names or "").split(",") if name.strip()))
    with closing(Database(settings.postgres_url, max_connections=2)) as database:
        database.migrate()
        first, today = month_of(first_month) if first_month else None, datetime.now(UTC).date()
        question = planning.question(settings, database, courts, first, today)
        click.echo(str(question), err=as_json)
        if question.requests and not yes:
            click.confirm("Count?", abort=True, err=as_json)
        planning.count(question, settings, database, lambda line: click.echo(line, err=as_json))
        found = planning.estimate(question, settings, database)
    for line in [planning.as_json(found)] if as_json else planning.described(found):
        click.echo(line)
