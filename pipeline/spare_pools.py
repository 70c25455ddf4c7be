"""Pools that stand empty until a policy moves a position there, appended to what is held."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.desks import Holdings
from kernels.structs import Floats, Integers, Kinks
from pipeline.holders import Holder


def append_spare_pools(holdings: Holdings, holders: Sequence[Holder]) -> Holdings:
    """Holdings with a pool more for every `isolate` policy, after its account's own; the same without any.

    Its rows and positions come after those of the book that the screen walks. A position there is a copy of
    the one that may be moved: same asset, interval, requirement, and, as brackets are of the size at `as_of`,
    same size; estates open with none of it.
    """
    if not any(holder.spares for holder in holders):
        return holdings
    count = len(holdings.account)
    legs: list[int] = []  # what each new position is a copy of
    mothers: list[int] = []  # the row of the first pool, by new row
    rows: list[Integers] = []
    places: list[int] = []
    spare: list[int] = []
    ties: list[Floats] = []
    starts = [int(holdings.start[-1])]
    for p, holder in enumerate(holders):
        own = slice(holdings.first[p], holdings.first[p + 1])
        rows += list(holdings.row[own])
        places += holdings.place[own].tolist()
        ties += list(holdings.tie[own])
        spare += [0] * (own.stop - own.start)
        for each in holder.spares:
            mother = holdings.row[own.start]
            numbers: dict[int, int] = {}
            for row in mother.tolist():
                if row not in numbers:
                    numbers[row] = count + len(mothers)
                    mothers.append(row)
                    legs += [int(holdings.start[row]) + copy for copy in each.copies]
                    starts.append(starts[-1] + len(each.copies))
            rows.append(np.array([numbers[row] for row in mother.tolist()]))
            places.append(each.place)
            ties.append(holdings.tie[own.start])
            spare.append(1)
    pools = np.diff(holdings.first) + [len(holder.spares) for holder in holders]
    value = holdings.size[legs] * holdings.spot[holdings.asset[legs]]
    base = [value[first - starts[0] : last - starts[0]].sum() for first, last in pairwise(starts)]

    def more(values: NDArray[Any], of: list[int]) -> NDArray[Any]:
        return np.concatenate([values, values[of]])

    of_positions: dict[str, Any] = {name: more(getattr(holdings, name), legs) for name in _OF_POSITIONS}
    return holdings._replace(
        start=np.concatenate([holdings.start, np.array(starts[1:], np.int64)]),
        **of_positions,
        kinks=_copy_kinks(holdings.kinks, legs, mothers),
        account=more(holdings.account, mothers),
        alone=more(holdings.alone, mothers),
        base=np.concatenate([holdings.base, base]),
        began=np.concatenate([holdings.began, np.zeros(len(mothers))]),
        cashes=np.ascontiguousarray(np.pad(holdings.cashes, ((0, 0), (0, len(mothers))))),
        first=np.concatenate([[0], np.cumsum(pools)]).astype(np.int64),
        row=np.ascontiguousarray(rows, np.int64),
        place=np.array(places, np.int64),
        spare=np.array(spare, np.int64),
        tie=np.ascontiguousarray(ties, np.float64),
    )


_OF_POSITIONS = (
    *("asset", "interval", "funding_cap", "size", "required"),
    *("closes", "market", "lead", "entry"),
)


def _copy_kinks(kinks: Kinks, legs: list[int], rows: list[int]) -> Kinks:
    """Those of the positions, mark by mark as they are numbered, with copies of some positions at the end."""
    start: list[list[int]] = []
    order: list[int] = []
    for mark in kinks.start:
        start.append([])
        for n in [*range(len(mark) - 1), *legs]:
            start[-1].append(len(order))
            order += range(int(mark[n]), int(mark[n + 1]))
        start[-1].append(len(order))
    floor: Floats = kinks.floor[order]
    return Kinks(
        start=np.array(start, np.int64),
        floor=floor,
        lift=np.ascontiguousarray(kinks.lift[order]),
        present=np.concatenate([kinks.present, kinks.present[rows]]),
        leaps=np.concatenate([kinks.leaps, kinks.leaps[rows]]),
    )
