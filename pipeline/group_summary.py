"""Each group of accounts in the few numbers that a person can act on."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.schema import GROUP_CELL
from pipeline.summary import BASELINE
from pipeline.wording import Chance, chance

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class GroupSummary:
    """One group by the longest horizon, the book as it stands: in the baseline, and under the scenarios that
    most often liquidate one of its accounts, and all of them."""

    group: str
    accounts: int
    any: Chance
    all: Chance
    mean: float
    """Accounts of the group liquidated, in the mean."""
    worst_for_any: str
    worst_any: Chance
    worst_for_all: str
    worst_all: Chance


def summarise_groups(cube: xr.Dataset) -> tuple[GroupSummary, ...]:
    """A summary of each group, in the cube's order; none where the cube has no groups."""
    if "group" not in cube.coords:
        return ()
    members = Counter(account["group"] for account in json.loads(cube.attrs["plan"])["accounts"])
    paths = int(cube["paths"].max())
    at_end = cube.sel(leverage=1.0).isel(horizon=-1)
    order = [name for name in GROUP_CELL if name in ("scenario", "group")]
    scenarios = cube["scenario"].values.tolist()
    baseline = scenarios.index(BASELINE)
    stresses = [s for s in range(len(scenarios)) if s != baseline] or [baseline]
    columns = {
        event: [at_end[f"{event}{end}"].transpose(*order).values for end in ("", "_low", "_high")]
        for event in ("p_group_any", "p_group_all")
    }

    def words(event: str, scenario: int, group: int) -> Chance:
        p, low, high = (float(values[scenario, group]) for values in columns[event])
        return chance(p, low, high, paths)

    found = []
    for g, name in enumerate(cube["group"].values.tolist()):
        for_any, for_all = (
            stresses[int(np.argmax(columns[event][0][stresses, g]))]
            for event in ("p_group_any", "p_group_all")
        )
        found.append(
            GroupSummary(
                group=name,
                accounts=members[name],
                any=words("p_group_any", baseline, g),
                all=words("p_group_all", baseline, g),
                mean=float(at_end["group_liquidated_mean"].transpose(*order).values[baseline, g]),
                worst_for_any=scenarios[for_any],
                worst_any=words("p_group_any", for_any, g),
                worst_for_all=scenarios[for_all],
                worst_all=words("p_group_all", for_all, g),
            )
        )
    return tuple(found)
