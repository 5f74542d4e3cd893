"""How many requests the rest of the downloads takes, from what was walked so far and from what the server has counted.

Belongs here: arithmetic. Does not belong here: reading the tables (`progress.py`), or how long requests take
(`resources/quota/eta.py`).

A month takes a request for each 20 objects of each sweep, and one at least. How many objects a month has is known of
months that were walked, and of all months of a court together if somebody has counted them (`courtlistener plan`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

OBJECTS_A_PAGE = 20
#: By how many hundredths the months of a court are taken to differ from their mean.
_SPREAD = 40
#: A line is drawn through so many months at least; from fewer, a mean.
_FEWEST_FOR_A_LINE = 12
#: A line is believed so many times as far as it was seen, and the less the less its slope is beyond so many times what
#: chance would make it.
_REACH, _CERTAIN = 2.5, 3.0
#: What is known beforehand of the last pages of months counts as much as so many months.
_PRIOR_MONTHS = 5.0
#: A month with so many times the pages of the others says nothing about these, unless a quarter of them is like that.
_OUTLIER = 4.0
#: Shares by which a forecast may well be wrong: of months that were counted, and where no months like them are known.
_LEAST_DOUBT, _MOST_DOUBT = 0.01, 0.3
#: Requests of which it takes more than this to say what a page costs.
_FEWEST_REQUESTS = 20.0


@dataclass(frozen=True)
class Month:
    """One partition: the pages of its last full walk, and those of a walk that is not finished.

    `objects` are how many came with them; None if that is not known.
    """

    walked_pages: int = 0
    pages: int = 0
    complete: bool = False
    objects: int | None = None


@dataclass(frozen=True)
class Series:
    """All months of an asset in a court, in order; `months` are those that were begun, by their position.

    `objects` are how many the server has counted in each sweep, all months together; empty if nobody has asked.
    """

    asset: str
    court: str
    keys: Sequence[str]
    sweeps: int
    months: Mapping[int, Month] = field(default_factory=dict)
    objects: Sequence[int] = ()

    def sizes(self) -> list[tuple[int, int]]:
        """The positions and pages of months that the API has brought; what bulk files brought took none."""
        return [
            (x, each.walked_pages) for x, each in sorted(self.months.items()) if each.complete and each.walked_pages
        ]

    def pages_left(self, alike: Sequence[Series] = ()) -> dict[str, float]:
        """By partition key, the requests that each month that is not complete still takes about.

        `alike` are series of the same asset, which say how large a month is if nothing else does.
        """
        shape = _shape(self.sizes()) or _flat(self._mean_counted()) or _flat(_mean_of(alike)) or _flat(self.sweeps)
        assert shape is not None
        open_ = [x for x in range(len(self.keys)) if not self.months.get(x, Month()).complete]
        begun = {x: self.months[x].pages for x in open_ if x in self.months}
        # One request at least shows that a month that was begun has come to its end.
        left = {x: max(1.0, max(float(self.sweeps), shape(x)) - begun.get(x, 0)) for x in open_}
        if self.objects and open_:
            factor = max(float(len(open_)), self._counted_left(open_) - sum(begun.values())) / sum(left.values())
            left = {x: pages * factor for x, pages in left.items()}
        return {self.keys[x]: pages for x, pages in left.items()}

    def variance(self, left: Sequence[float]) -> float:
        """How far the sum of what is left may be from the truth, squared."""
        if self.objects:  # All that is not known is how full last pages are.
            return self.sweeps * len(left) / 12 + (_LEAST_DOUBT * sum(left)) ** 2
        usual = _usual(self.sizes())
        shape = _shape(self.sizes())
        if shape is None or len(usual) < 3:
            return (_MOST_DOUBT * sum(left)) ** 2
        spread = sum((pages - shape(x)) ** 2 for x, pages in usual) / (len(usual) - 2)
        return spread * (len(left) + len(left) ** 2 / len(usual))

    def _mean_counted(self) -> float:
        return pages_of(self.objects, len(self.keys)) / max(1, len(self.keys))

    def _counted_left(self, open_: Collection[int]) -> float:
        """All pages of the months that are not complete, as the server counts them."""
        done = [each for each in self.months.values() if each.complete]
        walked = [each for each in done if each.walked_pages]
        share = 1 - (len(done) - len(walked)) / len(self.keys)  # The others came from bulk files.
        counted = pages_of(self.objects, len(self.keys)) * share
        known = [(each.walked_pages, each.objects) for each in walked if each.objects is not None]
        if len(known) < len(walked):
            return counted - sum(each.walked_pages for each in walked)
        # What the last page of a month lacks is seen in those that were walked.
        full = sum(self.objects) / OBJECTS_A_PAGE
        expected = (counted / share - full) / len(self.keys) if share else 0.0
        seen = sum(pages - objects / OBJECTS_A_PAGE for pages, objects in known)
        lacking = (seen + _PRIOR_MONTHS * expected) / (len(known) + _PRIOR_MONTHS)
        return full * share - sum(objects for _, objects in known) / OBJECTS_A_PAGE + lacking * len(open_)


def pages_of(objects: Iterable[int], months: int) -> float:
    """The pages of sweeps with so many objects in so many months that differ by some tenths; one a month at least."""
    return sum(months * _pages_a_month(count / months) for count in objects) if months else 0.0


def _pages_a_month(objects: float) -> float:
    sizes = [objects * (1 + share / 100) for share in range(-_SPREAD, _SPREAD + 1, 4)]
    return fmean(max(1.0, math.ceil(each / OBJECTS_A_PAGE)) for each in sizes)


@dataclass(frozen=True)
class _Line:
    """Pages by the position of a month; it goes on level where it is believed no longer."""

    at_zero: float
    slope: float = 0.0
    first: float = -math.inf
    last: float = math.inf

    def __call__(self, x: int) -> float:
        return self.at_zero + (self.slope * min(max(x, self.first), self.last) if self.slope else 0.0)


def _flat(pages: float) -> _Line | None:
    return _Line(pages) if pages > 0 else None


def _mean_of(alike: Iterable[Series]) -> float:
    means = [fmean(pages for _, pages in sizes) for each in alike if (sizes := _usual(each.sizes()))]
    return fmean(means) if means else 0.0


def _usual(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left without the few months that are much larger than the others."""
    if len(sizes) < 3:
        return list(sizes)
    middle = median(pages for _, pages in sizes)
    usual = [(x, pages) for x, pages in sizes if pages <= _OUTLIER * max(1.0, middle)]
    return usual if len(usual) > 0.75 * len(sizes) or len(usual) == len(sizes) - 1 else list(sizes)


def _shape(sizes: Sequence[tuple[int, int]]) -> _Line | None:
    """How large months are: a line if they clearly grow or shrink, else their mean."""
    usual = _usual(sizes)
    if not usual:
        return None
    xs, ys = [float(x) for x, _ in usual], [float(y) for _, y in usual]
    mean_x, mean_y, spread = fmean(xs), fmean(ys), sum((x - fmean(xs)) ** 2 for x in xs)
    if len(usual) < _FEWEST_FOR_A_LINE or not spread:
        return _Line(mean_y)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    doubt = math.sqrt(rest / (len(usual) - 2) / spread)
    slope *= max(0.0, 1 - (_CERTAIN * doubt / slope) ** 2) if slope else 0.0
    reach = _REACH * (max(xs) - min(xs))
    return _Line(mean_y - slope * mean_x, slope, min(xs) - reach, max(xs) + reach)


def cost_of_a_page(requests: int, pages: int) -> float:
    """How many requests a page takes: more than one if some fail, or if what does not fit together is looked up."""
    return min(2.0, max(1.0, (requests + _FEWEST_REQUESTS) / (pages + _FEWEST_REQUESTS)))


@dataclass(frozen=True)
class Forecast:
    """What is left: requests by asset and partition key, and by which share of them all that may well be wrong."""

    requests: Mapping[str, Mapping[str, float]]
    doubt: float = 0.0

    @property
    def total(self) -> float:
        return sum(map(self.of, self.requests))

    def of(self, asset: str) -> float:
        return sum(self.requests.get(asset, {}).values())

    def within(self, wanted: Mapping[str, Collection[str]]) -> Forecast:
        """What is left of some partitions, by the name of their asset."""
        requests = {
            asset: {key: requests for key, requests in left.items() if key in wanted[asset]}
            for asset, left in self.requests.items()
            if asset in wanted
        }
        return Forecast(requests, self.doubt)


def forecast(series: Sequence[Series], requests_a_page: float = 1.0) -> Forecast:
    """What is left of these series, complete months left out."""
    left: dict[str, dict[str, float]] = {}
    variance = 0.0
    for each in series:
        alike = [other for other in series if other.asset == each.asset and other is not each]
        pages = each.pages_left(alike)
        left.setdefault(each.asset, {}).update({key: requests_a_page * count for key, count in pages.items()})
        variance += each.variance(list(pages.values())) * requests_a_page**2
    total = sum(sum(each.values()) for each in left.values())
    return Forecast(left, min(_MOST_DOUBT, math.sqrt(variance) / total) if total else 0.0)
