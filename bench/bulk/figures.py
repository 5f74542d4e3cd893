"""The figures of reading, from the spans that were read and those that were unpacked, too.

Belongs here: arithmetic. Does not belong here: measuring (`reading.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.bulk.dump import REAL_GB
from bench.bulk.reading import Ended, Span, Unpacked

_POINTS = 24
_SMALLEST_PAIR = 12_000_000


class Reading:
    """All spans of the passes, what unpacking alone took for some of them, and the pace that was tried before."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.pairs: list[tuple[Span, Unpacked]] = []
        self.ended: Ended | None = None
        self.tried: float | None = None

    def figures(self) -> dict[str, Any]:
        """What the passes did, and their share of unpacking alone, by the clock and by the processor."""
        seconds, raw = sum(span.seconds for span in self.spans), sum(span.raw for span in self.spans)
        return {
            "read_gb": round(raw / 1e9, 2),
            "packed_gb": round(sum(span.packed for span in self.spans) / 1e9, 2),
            "minutes": round(seconds / 60, 1),
            "raw_mb_per_s": round(raw / 1e6 / seconds, 1),
            "packed_mb_per_s": round(sum(span.packed for span in self.spans) / 1e6 / seconds, 1),
            "rows_per_s": round(sum(span.rows for span in self.spans) / seconds),
            **self._shares(self.pairs),
            "pairs": len(self.pairs),
            "tried_over_truth": round(sum(span.packed for span in self.spans) / (self.tried or 1) / seconds, 2),
            "peak_mb": round(self.ended.peak_mb if self.ended else max(span.memory_mb for span in self.spans)),
            "whole": self.ended is not None,
            "tables": self._tables(),
            "memory": self._memory(),
            "core_hours_of_the_real_files": self._projected(),
        }

    def _shares(self, pairs: Sequence[tuple[Span, Unpacked]]) -> dict[str, float]:
        if not pairs:
            return {}
        read, alone = (sum(each[at].raw for each in pairs) for at in (0, 1))

        def share(name: str) -> float:
            ours, theirs = (sum(getattr(each[at], name) for each in pairs) for at in (0, 1))
            return round((theirs / alone) / (ours / read), 3)

        return {
            "share_of_decompression": share("seconds"),
            "share_of_decompression_cpu": share("cpu_seconds"),
        }

    def _tables(self) -> list[Mapping[str, Any]]:
        found = []
        for name in dict.fromkeys(span.table for span in self.spans):
            spans = [span for span in self.spans if span.table == name]
            seconds, raw = sum(span.seconds for span in spans), sum(span.raw for span in spans)
            found.append({
                "table": name,
                "raw_gb": round(raw / 1e9, 3),
                "raw_mb_per_s": round(raw / 1e6 / seconds, 1),
                "packed_mb_per_s": round(sum(span.packed for span in spans) / 1e6 / seconds, 2),
                "rows_per_s": round(sum(span.rows for span in spans) / seconds),
                **self._shares([pair for pair in self.pairs if pair[0].table == name]),
            })  # fmt: skip
        return found

    def _memory(self) -> list[list[float]]:
        """Gigabytes read, and the most memory since the point before, MB."""
        points, each = [], max(1, -(-len(self.spans) // _POINTS))
        raw = 0
        for start in range(0, len(self.spans), each):
            some = self.spans[start : start + each]
            raw += sum(span.raw for span in some)
            points.append([round(raw / 1e9, 2), round(max(span.memory_mb for span in some))])
        return points

    def _projected(self) -> dict[str, float]:
        """How many hours of a core the real files would take: of the clock, by as many cores as there are, fewer."""
        return {
            name: round(gb * 1e9 / 3600 * sum(span.cpu_seconds for span in spans) / sum(span.raw for span in spans), 1)
            for name, gb in REAL_GB.items()
            if (spans := [span for span in self.spans if span.table == name])
        }


def worth_a_pair(span: Span) -> bool:
    """Whether a span is long enough that beginning it does not count."""
    return span.raw >= _SMALLEST_PAIR
