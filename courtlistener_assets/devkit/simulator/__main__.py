"""Run the simulator as a process: `python -m courtlistener_assets.devkit.simulator --port 8000`.

Belongs here: the command line. Does not belong here: the server.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from courtlistener_assets.devkit.simulator import opinions_file
from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.errors import SettingError


@click.command(context_settings={"show_default": True})
@click.option("--port", default=0, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--corpus", type=click.Path(path_type=Path), help="Serve the opinions of a JSONL file.")
@click.option("--rates", default="5/2s,40/20s", help="Rates of the account `demo`.")
@click.option("--token", default="demo-token", help="Token of the account `demo`.")
@click.option("--log", "log_path", type=click.Path(path_type=Path), help="Append every request to this JSONL file.")
def main(port: int, corpus: Path | None, rates: str, token: str, log_path: Path | None) -> None:
    """Serve a stand-in CourtListener API on the loopback interface until SIGINT or SIGTERM."""
    try:
        objects = opinions_file.load(corpus) if corpus else None
        simulator = Simulator(objects, [Account("demo", token, rates)], port=port, log_path=log_path)
    except SettingError as error:
        raise click.ClickException(str(error)) from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with simulator:
        click.echo(f"simulator listening on {simulator.url}")
        stop.wait()


if __name__ == "__main__":
    main()
