"""The command `courtlistener`.

Belongs here: names, options and help of the subcommands. Does not belong here: what they do (`local/`).
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from resources.errors import CourtListenerAssetsError


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
    """Run CourtListener assets on this machine. Start it in the checkout; settings are environment variables."""
    # Whoever started us with `&` made us ignore Ctrl-C; a closed terminal or `kill` must clean up as Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # It repeats every attempt; our own errors say why Postgres does not answer.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the UI; 3000 if it is free.")
def dev(port: int | None) -> None:
    """Open the Dagster UI, with embedded servers unless REDIS_URL and POSTGRES_URL name others.

    With COURTLISTENER_API_TOKEN it talks to CourtListener, otherwise to a simulator. Ctrl-C stops everything.
    """
    from courtlistener_assets.devkit.session.dev import dev as run_dev

    try:
        run_dev(Path.cwd(), os.environ, port, click.echo)
    except KeyboardInterrupt:
        click.echo("Stopped.")


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Run COMMAND with the servers and settings of `courtlistener dev`, which need not be running.

    \b
    courtlistener run dagster asset materialize -m courtlistener_assets.definitions \\
        --select dockets --partition 'scotus|2024-01-01'
    """
    from courtlistener_assets.devkit.session.dev import run as run_command

    sys.exit(run_command(Path.cwd(), os.environ, command))


@main.command()
def env() -> None:
    """Print `export` lines with which other commands use the servers of a running `courtlistener dev`."""
    from courtlistener_assets.devkit.session.session import running_session

    for name, value in running_session(Path.cwd()).added.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@main.command()
@click.option(
    "--corpus",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines of opinions to serve instead of the generated corpus.",
)
@click.option("--rates", default="5/2s,40/20s", show_default=True, help="The quota of the simulated account.")
@click.option("--workers", default=8, show_default=True, type=click.IntRange(1, 64), help="Dagster processes at once.")
def demo(corpus: Path | None, rates: str, workers: int) -> None:
    """Materialise several partitions from a simulator under a small quota, and check that nothing is missing."""
    from courtlistener_assets.devkit.demo.demo import Demo

    try:
        complete = Demo(Path.cwd(), os.environ, corpus=corpus, rates=rates, workers=workers).run()
    except KeyboardInterrupt:
        raise click.ClickException("stopped; run it again and it goes on where it was") from None
    sys.exit(0 if complete else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too, not only for errors.")
@click.option("--watch-daemons", is_flag=True, help="Look 40 s for a second Dagster daemon; a short look can miss it.")
def doctor(as_json: bool, strict: bool, watch_daemons: bool) -> None:
    """Look for what is set up wrong, and say what to do about it.

    Exits with 0 if there is no error, with 1 if there is one (with --strict also if there is a warning), and with 2 if
    the command itself is mistyped.

    Sends one request, to api-usage, which costs no quota. Changes nothing, but for the quota as it was just read.
    """
    from courtlistener_assets.operations.doctor import examination

    findings = examination.examine(_environ(), watch_seconds=40.0 if watch_daemons else 0.0)
    if as_json:
        click.echo(examination.as_json(findings))
    else:
        examination.show(findings, Console())
    sys.exit(0 if examination.is_healthy(findings, strict=strict) else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(as_json: bool) -> None:
    """Show how the quota and the downloads stand: what is used, what is left, what failed, when it will be done.

    Reads Postgres only; sends no request.
    """
    from courtlistener_assets.operations import status as report
    from courtlistener_assets.settings import Settings
    from resources.connections.postgres import Database

    settings = Settings.from_environ(_environ())
    database = Database(settings.postgres_url)
    try:
        current = report.read_status(settings, database)
    finally:
        database.close()
    if as_json:
        click.echo(report.as_json(current))
    else:
        report.show(current, Console())


@main.command()
@click.option("--port", default=9464, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
def metrics(port: int, host: str) -> None:
    """Serve metrics for Prometheus at /metrics until Ctrl-C. One exporter serves all workers; see docs/metrics.md."""
    from courtlistener_assets.operations.exporter import serve
    from courtlistener_assets.settings import Settings

    try:
        serve(Settings.from_environ(_environ()), host, port, click.echo)
    except KeyboardInterrupt:
        click.echo("Stopped.")


def _environ() -> dict[str, str]:
    """The environment, with the servers of a running `courtlistener dev` where it names none."""
    from courtlistener_assets.devkit.session.session import NoSession, running_session

    try:
        return {**running_session(Path.cwd()).added, **os.environ}
    except NoSession:
        return dict(os.environ)


if __name__ == "__main__":
    main()
