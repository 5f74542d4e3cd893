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
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.errors import SettingError


@click.command(context_settings={"show_default": True})
@click.option("--port", default=0, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--seed", default=1, help="Seed of the generated corpus, the latencies and the faults.")
@click.option("--size", default=1.0, help="How many times the usual number of objects.")
@click.option("--courts", default="scotus,ca9", help="Courts with decisions.")
@click.option("--first-month", default="2024-01", help="First month of the generated corpus.")
@click.option("--last-month", default="2024-03", help="Last month of the generated corpus.")
@click.option("--corpus", type=click.Path(path_type=Path), help="Serve the opinions of a JSONL file instead.")
@click.option("--rates", default="5/2s,40/20s", help="Rates of the account `demo`.")
@click.option("--token", default="demo-token", help="Token of the account `demo`.")
@click.option("--latency", default="fixed:0", help="Seconds: fixed:S, uniform:LOW,HIGH or lognormal:MEDIAN,SIGMA.")
@click.option("--fault", "faults", multiple=True, help="500:0.02, reset_after:x3, poison:opinions/17; repeatable.")
@click.option("--log", "log_path", type=click.Path(path_type=Path), help="Append every request to this JSONL file.")
def main(
    port: int,
    seed: int,
    size: float,
    courts: str,
    first_month: str,
    last_month: str,
    corpus: Path | None,
    rates: str,
    token: str,
    latency: str,
    faults: tuple[str, ...],
    log_path: Path | None,
) -> None:
    """Serve a stand-in CourtListener API on the loopback interface until SIGINT or SIGTERM."""
    try:
        simulator = Simulator(
            opinions_file.load(corpus)
            if corpus
            else generate(seed, size, courts.split(","), first_month=first_month, last_month=last_month),
            [Account("demo", token, rates)],
            faults=[Fault.parse(text) for text in faults],
            latency=latency,
            seed=seed,
            port=port,
            log_path=log_path,
        )
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
