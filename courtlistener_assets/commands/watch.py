"""`courtlistener watch`.

Belongs here: its options, and opening what it looks at. Does not belong here: looking (`defs/watch_command.py`), and
showing (`operations/watch/`).
"""

from __future__ import annotations

import os
import sys
from contextlib import closing

import click

from courtlistener_assets.operations.running_session import with_session


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, each time it has looked.")
@click.option("--once", is_flag=True, help="Look once, and end; with 1 if something could not be read.")
def watch(*, as_json: bool, once: bool) -> None:
    """Show what is under way, as it changes: partitions by asset, requests, the quota, when it is done, what failed.

    Of the backfills that run, and of all courts and months that are configured. On a terminal it is drawn in its place
    until Ctrl-C; into a file or a pipe it prints a plain line when something has changed, at most every half a minute.

    Reads Postgres and, with DAGSTER_HOME, Dagster's storage, and spends at most a twentieth of the time on that; sends
    no request.
    """
    from rich.console import Console

    from courtlistener_assets.defs.watch_command import Watcher, instance_of
    from courtlistener_assets.operations.watch.loop import watch as watch_until_stopped
    from courtlistener_assets.operations.watch.reading import Reader
    from courtlistener_assets.settings import Settings
    from resources.connections.postgres import Database

    environ = with_session(os.environ)
    settings = Settings.from_environ(environ)
    with (
        closing(Database(settings.postgres_url, max_connections=2)) as database,
        instance_of(environ) as instance,
    ):
        watcher = Watcher(Reader(settings, database), instance)
        try:
            view = watch_until_stopped(watcher.look, Console(), json=as_json, once=once)
            sys.exit(1 if view.problems else 0)
        except KeyboardInterrupt:
            click.echo("Stopped looking; what runs goes on.", err=True)
