"""Where accounts come to, in the few numbers that a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.quantiles_schema import QUANTILES, TAILS
from pipeline.summary import BASELINE
from pipeline.wording import duration, money, ratio

if TYPE_CHECKING:
    import xarray as xr

NAMES = ("equity_q", "min_equity_q", "min_margin_ratio_q", "shortfall_q", "max_drawdown_q")
NOTHING_HELD = "–"
NEVER = "never"


@dataclass(frozen=True)
class QuantileSummary:
    """One account under one scenario by the longest horizon, the book as it stands, in words."""

    account: str
    scenario: str
    equity: tuple[str, str, str]
    """At the horizon: 5 %, median, 95 %."""
    ratio: str
    """Lowest margin ratio, median."""
    drawdown: str
    """Median."""
    loss: str
    """Mean of the worst twentieth of the paths."""
    time: str
    """To liquidation untouched, median of the paths that meet it."""


def has_quantiles(cube: xr.Dataset) -> bool:
    """Whether the run counted where its paths have been."""
    return "equity_q" in cube


def summarise_quantiles_of(
    cube: xr.Dataset, scenarios: Sequence[str] | None = None
) -> tuple[QuantileSummary, ...]:
    """Each account under a scenario of its own, by default the baseline, in the cube's order; none without
    quantiles in the cube."""
    if not has_quantiles(cube):
        return ()
    pairs = zip(cube["account"].values.tolist(), scenarios or repeat(BASELINE), strict=False)
    return tuple(_summarise(cube, account, scenario) for account, scenario in pairs)


def _summarise(cube: xr.Dataset, account: str, scenario: str) -> QuantileSummary:
    cell = cube.sel(account=account, scenario=scenario, leverage=1.0).isel(horizon=-1)

    def at(name: str, level: float) -> float:
        return float(cell[name].sel(quantile=level))

    low, middle, high = (_money(at("equity_q", level)) for level in (0.05, 0.5, 0.95))
    lowest = at("min_margin_ratio_q", 0.5)
    when: Any = cell["time_to_liquidation_q"].sel(quantile=0.5).values[()]
    return QuantileSummary(
        account=account,
        scenario=scenario,
        equity=(low, middle, high),
        ratio=ratio(lowest) if isfinite(lowest) else NOTHING_HELD,
        drawdown=_money(at("max_drawdown_q", 0.5)),
        loss=_money(float(cell["expected_shortfall"].sel(tail=0.95))),
        time=NEVER if np.isnat(when) else duration(when),
    )


def _money(value: float) -> str:
    return NOTHING_HELD if isnan(value) else money(value)


def quantile_record(cube: xr.Dataset, account: str) -> dict[str, Any]:
    """An account's quantiles in the baseline at leverage 1 by the longest horizon, JSON-able, by level.

    Times are in seconds. None for what is not finite. Empty without quantiles in the cube.
    """
    if not has_quantiles(cube):
        return {}
    cell = cube.sel(account=account, scenario=BASELINE, leverage=1.0).isel(horizon=-1)
    found: dict[str, Any] = {
        name: {
            f"{level:g}": _finite(value)
            for level, value in zip(QUANTILES, cell[name].values.tolist(), strict=True)
        }
        for name in NAMES
    }
    times = cell["time_to_liquidation_q"].values / np.timedelta64(1, "s")
    found["time_to_liquidation_q"] = {
        f"{level:g}": _finite(value) for level, value in zip(QUANTILES, times.tolist(), strict=True)
    }
    losses = cell["expected_shortfall"].values.tolist()
    found["expected_shortfall"] = {
        f"{tail:g}": _finite(value) for tail, value in zip(TAILS, losses, strict=True)
    }
    return found


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
