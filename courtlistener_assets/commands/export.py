"""The command `courtlistener export`.

Belongs here: options and words. Does not belong here: the files (`export.py`).
"""

from __future__ import annotations

import os
from contextlib import closing

import click


@click.command()
@click.option("--to", "folder", required=True, help="A directory, or a URL such as s3://bucket/court-data.")
@click.option("--courts", "names", default="", help="Some courts, as ca9,scotus; all that are stored if not given.")
@click.option("--from-month", default="", help="The first month, such as 2015-01.")
@click.option("--to-month", default="", help="The last month.")
def export(folder: str, names: str, from_month: str, to_month: str) -> None:
    """Write the flat views as Parquet, one file a court and month, for DuckDB, polars, Spark and others.

    \b
    courtlistener export --to exported --courts ca9 --from-month 2024-01

    All files are of one moment. What was exported before is replaced, file by file; other courts and months stay.
    """
    from courtlistener_assets.chunks.files import location_of, shown
    from courtlistener_assets.operations.export import export as write
    from courtlistener_assets.operations.export import wish_of
    from courtlistener_assets.operations.running_session import with_session
    from courtlistener_assets.settings import Settings, month_of
    from resources.connections.postgres import Database
    from resources.connections.schema import verify_views

    courts = [name.strip() for name in names.split(",") if name.strip()]
    wish = wish_of(courts, month_of(from_month) if from_month else None, month_of(to_month) if to_month else None)
    place = location_of(folder)
    with closing(Database(Settings.from_environ(with_session(os.environ)).postgres_url)) as database:
        database.ensure_schema()
        verify_views(database.rows)
        done = write(database, place, wish, click.echo)
    removed = f", {done.removed} files of months without rows removed" if done.removed else ""
    click.echo(f"{done.files:,} files in {shown(place)}, as of {done.as_of:%Y-%m-%d %H:%M} UTC{removed}.")
