"""What follows a breach, of each account, in the few numbers that a person can act on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.aftermath_schema import COMPONENTS, OUTCOMES
from pipeline.quantile_summary import quantile_record
from pipeline.summary import BASELINE
from pipeline.wording import Chance, average, chance, duration

if TYPE_CHECKING:
    import xarray as xr

NOTHING_FORCED = "–"
ENDS = ("", "_low", "_high")
MEANS = ("shortfall_mean", "share_liquidated_mean", "cost_mean")


@dataclass(frozen=True)
class AftermathSummary:
    """One account under one scenario by the longest horizon, the book as it stands."""

    account: str
    scenario: str
    liquidation: Chance
    """Of the book that nobody touches."""
    forced: Chance
    partial: Chance
    closed_out: Chance
    others_pay: Chance
    fired: Chance | None
    """None where the account has no policies."""
    needlessly: str
    """On how many of the paths."""
    shortfall: Chance
    cost: Chance
    """Over all components but funding. Their sum has no interval: the cube has those of each."""
    share: Chance
    first: str
    """The market that goes first most often, and on which share of the paths with a forced close."""


def summarise_accounts_after(
    cube: xr.Dataset, scenarios: Sequence[str] | None = None
) -> tuple[AftermathSummary, ...]:
    """Each account under a scenario of its own, by default the baseline, in the cube's order.

    None where the cube has nothing of it.
    """
    if not has_aftermath(cube):
        return ()
    figures, busy = _figures(cube), _accounts_with_policies(cube)
    markets, names = cube["market"].values.tolist(), cube["scenario"].values.tolist()
    return tuple(
        _summarise(
            account,
            scenario,
            {name: values[names.index(scenario), a] for name, values in figures.items()},
            markets,
            account in busy,
        )
        for a, (account, scenario) in enumerate(
            zip(cube["account"].values.tolist(), scenarios or repeat(BASELINE), strict=False)
        )
    )


def find_worst_after(cube: xr.Dataset) -> tuple[str, ...]:
    """For each account the scenario beside the baseline in which the venue most often closes something.

    Of scenarios alike the one with the larger shortfall, then with more of it at all leverages; of a cube
    with the baseline alone that one.
    """
    scenarios = cube["scenario"].values.tolist()
    stresses = [s for s, name in enumerate(scenarios) if name != BASELINE] or [0]
    order = ("scenario", "account", "leverage")
    at_end = cube.isel(horizon=-1)
    forced, shortfall = (
        at_end[name].transpose(*order).values for name in ("forced_liquidations", "shortfall_mean")
    )
    now = int(np.flatnonzero(cube["leverage"].values == 1)[0])
    return tuple(
        scenarios[max(stresses, key=lambda s: (forced[s, a, now], shortfall[s, a, now], forced[s, a].sum()))]
        for a in range(cube.sizes["account"])
    )


def has_aftermath(cube: xr.Dataset) -> bool:
    """Whether the run followed what comes after a breach."""
    return "forced_liquidations" in cube


def aftermath_records(cube: xr.Dataset) -> list[dict[str, Any]]:
    """What follows a breach in the baseline at leverage 1 by the longest horizon, JSON-able, by account.

    None where an interval has no upper end.
    """
    if not has_aftermath(cube):
        return []
    baseline = cube["scenario"].values.tolist().index(BASELINE)
    figures = {name: values[baseline] for name, values in _figures(cube).items()}
    horizon = duration(cube["horizon"].values[-1])
    markets = cube["market"].values.tolist()
    records = []
    for a, account in enumerate(cube["account"].values.tolist()):
        cell = {name: values[a].tolist() for name, values in figures.items()}
        costs, goes_first = (cell.pop(name) for name in ("cost_mean", "first_breach"))
        ends = [cell.pop(f"cost_mean{end}") for end in ENDS[1:]]
        del cell["p_liquidation"], cell["p_liquidation_low"], cell["p_liquidation_high"]
        records.append(
            {
                "account": account,
                "scenario": BASELINE,
                "horizon": horizon,
                "leverage": 1.0,
                **{name: _finite(value) for name, value in cell.items()},
                "cost_mean": {
                    component: {"mean": mean, "low": low, "high": _finite(high)}
                    for component, mean, low, high in zip(COMPONENTS, costs, *ends, strict=True)
                },
                "first_breach": dict(zip(markets, goes_first, strict=True)),
                **quantile_record(cube, account),
            }
        )
    return records


def _figures(cube: xr.Dataset) -> dict[str, NDArray[Any]]:
    """By name, each (scenario, account, ...): at leverage 1, by the longest horizon."""
    at = cube.sel(leverage=1.0).isel(horizon=-1)
    names = ["paths", *(outcome.counts for outcome in OUTCOMES), "policy_fired_needlessly"]
    for name in ("p_liquidation", *(outcome.probability for outcome in OUTCOMES), *MEANS):
        names += [f"{name}{end}" for end in ENDS]
    return {name: at[name].transpose("scenario", "account", ...).values for name in (*names, "first_breach")}


def _summarise(
    account: str, scenario: str, cell: dict[str, NDArray[Any]], markets: Sequence[str], busy: bool
) -> AftermathSummary:
    paths = int(cell["paths"])

    def ends(name: str) -> tuple[float, float, float]:
        low, high = (float(cell[f"{name}{end}"]) for end in ENDS[1:])
        return float(cell[name]), low, high

    cost = float(sum(cell["cost_mean"][i] for i, name in enumerate(COMPONENTS) if name != "funding"))
    return AftermathSummary(
        account=account,
        scenario=scenario,
        liquidation=chance(*ends("p_liquidation"), paths),
        forced=chance(*ends("p_forced_liquidation"), paths),
        partial=chance(*ends("p_partial_liquidation"), paths),
        closed_out=chance(*ends("p_closed_out"), paths),
        others_pay=chance(*ends("p_managed_bankruptcy"), paths),
        fired=chance(*ends("p_policy_fired"), paths) if busy else None,
        needlessly=f"{int(cell['policy_fired_needlessly']):,}" if busy else "",
        shortfall=average(*ends("shortfall_mean"), paths),
        cost=average(cost, cost, cost, paths),
        share=average(*ends("share_liquidated_mean"), paths, in_percent=True),
        first=_goes_first(markets, cell["first_breach"].tolist()),
    )


def _goes_first(markets: Sequence[str], paths: Sequence[int]) -> str:
    forced = sum(paths)
    if not forced:
        return NOTHING_FORCED
    most = int(np.argmax(paths))
    return f"{markets[most]} ({100 * paths[most] // forced} %)"  # 100 of all of them alone


def _accounts_with_policies(cube: xr.Dataset) -> set[str]:
    plan = json.loads(cube.attrs["plan"])
    return {account["name"] for account in plan["accounts"] if account.get("policies")}


def _finite(value: float) -> float | None:
    return None if isnan(value) else value
