"""How fast bulk files are read, against unpacking alone, and in how much memory: `python -m bench.bulk`.

Belongs here: what is measured in which order. Does not belong here: the dump (`dump.py`), the passes (`reading.py`),
other libraries (`peers.py`), the real dump and requests (`real_dump.py`), arithmetic (`figures.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from bench import report
from bench.bulk import peers, real_dump
from bench.bulk.dump import write_dump
from bench.bulk.figures import Reading, worth_a_pair
from bench.bulk.reading import Span, filtered, unpacking
from courtlistener_assets.download.bulk.bootstrap import TABLES
from courtlistener_assets.download.bulk.passes import Wanted
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.operations.pace import tried

_WANTED = Wanted(frozenset({"ca9"}), date(2015, 1, 1), date(2030, 1, 1))
_HEADLINE = ("raw_mb_per_s", "share_of_decompression", "peak_mb", "fields_different", "requests")


def main() -> None:
    """Measure, print, and write it down."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(options.dump or temporary)
        if options.only != "real" and (not options.dump or not folder.exists()):
            times = write_dump(folder, options.gb, options.distinct_gb, options.threads)
            print(f"written, {times} times the same rows", file=sys.stderr)
        figures: dict[str, Any] = {
            "measured": report.measured_now(),
            "load": round(os.getloadavg()[0], 1),
            "threads": options.threads,
        }
        if options.only in (None, "reading"):
            figures["reading"] = _read(folder, options)
        if options.only in (None, "peers"):
            [opinions] = folder.glob("opinions-*")
            figures["peers"] = peers.measure(opinions, options.threads, options.rounds)
        if options.only in (None, "real"):
            figures |= real_dump.measure()
    print(json.dumps(figures, indent=2))
    if not options.dry_run:
        report.write("bulk", figures, headline)


def headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the few flat figures that say whether all is well."""
    found = {**figures, **figures.get("reading", {})}
    return {name: found[name] for name in _HEADLINE if name in found}


def _read(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All passes; every so often the other process unpacks what they have read. Ctrl-C ends it with what there is."""
    reading, began, said = Reading(), time.monotonic(), [0.0]
    source = BulkSource(str(folder))
    reading.tried = tried(source, source.newest(TABLES).files["opinions"], options.threads)
    with unpacking(folder, options.threads) as unpack:

        def told(span: Span) -> None:
            reading.spans.append(span)
            if worth_a_pair(span) and (len(reading.spans) % options.every == 0 or len(reading.pairs) < 3):
                unpacked = unpack(span)
                reading.pairs += [(span, unpacked)] if unpacked.raw else []
            if time.monotonic() - said[0] > 60:
                said[0] = time.monotonic()
                read = sum(each.raw for each in reading.spans) / 1e9
                print(f"{(said[0] - began) / 60:.0f} min: {span.table}, {read:.2f} GB", file=sys.stderr)

        try:
            for ended in filtered(folder, options.threads, _WANTED, options.turn_seconds, told):
                reading.ended = ended
        except KeyboardInterrupt:
            print("stopped: the figures are those of what was read", file=sys.stderr)
    return reading.figures()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.bulk")
    parser.add_argument("--gb", type=float, default=0.5, help="gigabytes of the dump, unpacked")
    parser.add_argument("--distinct-gb", type=float, default=0.5, help="of which so many are not repeated")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turn-seconds", type=float, default=5.0, help="between two checkpoints of the passes")
    parser.add_argument("--every", type=int, default=2, help="how many spans are read for one that is unpacked, too")
    parser.add_argument("--rounds", type=int, default=2, help="of the other libraries")
    parser.add_argument("--only", choices=("reading", "peers", "real"), help="only one part")
    parser.add_argument("--folder", help="where temporary files go; by default the system's own place")
    parser.add_argument("--dump", help="a folder with a dump of an earlier run, or where one is written and stays")
    parser.add_argument("--dry-run", action="store_true", help="write nothing down")
    return parser.parse_args()


if __name__ == "__main__":
    main()
