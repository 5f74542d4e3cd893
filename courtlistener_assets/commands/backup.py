"""The commands `courtlistener backup` and `courtlistener restore`.

Belongs here: options and words. Does not belong here: the work (`operations/backup.py`, `operations/restore.py`).
"""

from __future__ import annotations

import os
from pathlib import Path

import click

_DIRECTORY = click.argument("directory", type=click.Path(file_okay=False, path_type=Path))


@click.command()
@_DIRECTORY
def backup(directory: Path) -> None:
    """Back up records, checkpoints, failures, the account's permits, and Dagster's runs into a new DIRECTORY.

    All of it is of one moment; runs go on meanwhile. The chunks are not in it: they are made again without a request.
    """
    from courtlistener_assets.operations.backup import DUMP, back_up
    from courtlistener_assets.operations.pace import size
    from courtlistener_assets.operations.running_session import with_session
    from courtlistener_assets.settings import Settings

    made = back_up(Settings.from_environ(with_session(os.environ)), directory, click.echo)
    manifest = made.manifest
    click.echo(f"{size(manifest['files'][DUMP]['bytes'])} in {directory}, as of {manifest['taken_at']}.")
    for name, why in manifest["left_out"].items():
        click.echo(f"Not in it: {name} ({why}).")


@click.command()
@_DIRECTORY
@click.option("--replace", is_flag=True, help="Delete what the database has of this project and of Dagster first.")
@click.option("--yes", is_flag=True, help="Do not ask before that.")
def restore(directory: Path, *, replace: bool, yes: bool) -> None:
    """Restore a backup from DIRECTORY into POSTGRES_URL, which no program may use meanwhile.

    \b
    courtlistener run courtlistener restore DIRECTORY      # into the database of `make dev`

    Verifies every checksum first. Afterwards the quota counts as used up, until the next run has read from
    CourtListener how much of it is: what was sent after the backup is in no journal.
    """
    from courtlistener_assets.operations.restore import restore as put_back
    from courtlistener_assets.operations.running_session import with_session
    from courtlistener_assets.settings import Settings

    if replace and not yes:
        click.confirm("All that the database has of this project and of Dagster is deleted. Go on?", abort=True)
    settings = Settings.from_environ(with_session(os.environ))
    done = put_back(settings, directory, replace=replace, say=click.echo)
    click.echo(f"Restored {sum(done.manifest['rows'].values()):,} rows, as of {done.manifest['taken_at']}.")
    click.echo("The quota counts as used up until the next run has read how much of it is.")
    for name, why in done.manifest["left_out"].items():
        click.echo(f"Not in the backup: {name} ({why}).")


@click.command()
def after_restore() -> None:
    """Make the quota safe after the database was restored by other means: a snapshot, or pg_restore.

    What was sent after the backup is in no journal. So the quota counts as used up, until the next run has read from
    CourtListener how much of it is. `courtlistener restore` does the same.
    """
    from courtlistener_assets.operations.restore import make_quota_safe
    from courtlistener_assets.operations.running_session import with_session
    from courtlistener_assets.settings import Settings

    permits = make_quota_safe(Settings.from_environ(with_session(os.environ)))
    click.echo(f"{permits:,} permits count as used from now on, until the next run has read how many are.")
