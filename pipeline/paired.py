"""Scenarios against the baseline on the same paths: the cube's discordant counts, and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.intervals import paired_difference
from pipeline.plan import Plan
from pipeline.tallies import Tallies
from pipeline.variable import LEVEL


def summarise_pairs(tallies: Tallies, plan: Plan) -> dict[str, NDArray[Any]]:
    """Every variable of `pipeline.quantiles_schema` that holds a scenario against the baseline."""
    found = tallies.discordant
    assert found is not None
    up, down = found
    low, high = paired_difference(up, down, tallies.paths, LEVEL)
    itself = np.array([scenario.name == "baseline" for scenario in plan.scenarios])
    same = itself[:, np.newaxis, np.newaxis, np.newaxis]
    return {
        "discordant_up": up,
        "discordant_down": down,
        "p_liquidation_difference": (up - down) / tallies.paths,
        "p_liquidation_difference_low": np.where(same, 0.0, low),
        "p_liquidation_difference_high": np.where(same, 0.0, high),
    }
