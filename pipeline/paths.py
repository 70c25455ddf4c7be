"""Simulated paths to look at: prices, regimes and what the model has beside prices, over time."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from kernels.structs import LANES, Floats, Integers
from pipeline.effects import Depth, ImpliedVolatility
from pipeline.errors import InputError, Problem
from pipeline.faults import nearest
from pipeline.lower_market import count_steps, lower_market, marked_assets, simulated_assets
from pipeline.lower_state import lower_implied
from pipeline.lower_timeline import basis_levels, find_overlay
from pipeline.plan import Plan
from pipeline.scenarios import Scenario

if TYPE_CHECKING:
    import xarray as xr


def simulate_paths(plan: Plan, paths: int, scenario: str = "baseline", first_path: int = 0) -> xr.Dataset:
    """Paths first_path .. first_path + paths - 1 of a plan under one of its scenarios, as its run walks them.

    Dimensions (path, step, asset): the assets that accounts hold, at the end of every step; `time` of each.
    price; mark, the price of the asset's perpetual where one is judged at its own; regime and level in force
    over the step (path, step), numbered as in the attributes `regimes` and `levels` (level 0, and no names,
    where the model has none); funding, annualised, before clamps; basis, of perpetuals, a fraction;
    implied_volatility, annualised; depth, a multiple of the usual. NaN where the model has no such state.
    InputError for a scenario that the plan lacks, or no paths.
    """
    import xarray as xr

    from kernels.record import record_paths

    names = [each.name for each in plan.scenarios]
    problems = []
    if scenario not in names:
        problems.append(Problem("scenario", "a scenario of the plan", scenario, nearest(scenario, names)))
    if paths < 1 or first_path < 0:
        got = f"{paths} from {first_path} on"
        problems.append(Problem("paths", "at least one path, numbered from 0", got, "ask for some"))
    if problems:
        raise InputError(problems)
    chosen = plan.scenarios[names.index(scenario)]
    alone = plan.model_copy(update={"scenarios": (chosen,)})
    model, step, steps = plan.model, plan.simulation.step, count_steps(plan)
    market = lower_market(alone)
    spots, marks = simulated_assets(alone), marked_assets(alone)
    count = len(spots)
    columns = np.array([model.assets.index(asset) for asset in spots])
    marked = [spots.index(asset) for asset in marks]
    implied = lower_implied(model, plan.market_state, columns, market.volatility[..., :count], step)
    begin = first_path - first_path % LANES
    blocks = [
        record_paths(plan.simulation.seed, first, steps, market, implied)
        for first in range(begin, first_path + paths, LANES)
    ]
    kept = slice(first_path - begin, first_path - begin + paths)
    price, regime, level, rate, basis, volatility = (
        np.moveaxis(np.concatenate(parts, axis=-1), -1, 0)[kept] for parts in zip(*blocks, strict=True)
    )
    funded = market.has_funding or any(r.funding is not None for r in model.regimes.values())
    lift = basis_levels(chosen.effects, model, step, steps)[:, columns[marked]]
    factor, added = find_overlay(chosen.effects, ImpliedVolatility, model, step, steps)
    quoted = np.exp(volatility) * factor[:, columns[implied.asset]] + added[:, columns[implied.asset]]
    variables = {
        "price": price[..., :count],
        "mark": _spread_out(price[..., count:], marked, count),
        "funding": np.where(funded, rate[..., :count], nan),
        "basis": _spread_out(np.exp(basis) * lift - 1.0, marked, count),
        "implied_volatility": _spread_out(quoted, implied.asset, count),
        "depth": _depth(plan, chosen, regime, columns),
    }
    dims = ("path", "step", "asset")
    number = np.arange(1, steps + 1)
    opening = np.datetime64(plan.as_of.replace(tzinfo=None), "s")
    return xr.Dataset(
        {name: (dims, values) for name, values in variables.items()}
        | {"regime": (dims[:2], regime), "level": (dims[:2], level)},
        coords={
            "path": np.arange(first_path, first_path + paths),
            "step": number,
            "asset": list(spots),
            "time": ("step", opening + number * np.timedelta64(step)),
        },
        attrs={
            "scenario": scenario,
            "regimes": list(model.regime_names),
            "levels": [] if model.levels is None else list(model.level_names),
            "seed": str(plan.simulation.seed),
        },
    )


def _spread_out(values: Floats, of: Sequence[int] | Integers, assets: int) -> Floats:
    """(path, step, asset) from those that some assets have; NaN for the others."""
    whole = np.full((*values.shape[:2], assets), nan)
    whole[..., of] = values
    return whole


def _depth(plan: Plan, scenario: Scenario, regime: Integers, columns: Integers) -> Floats:
    """(path, step, asset): the regime's depth times the scenario's; NaN where the model has none."""
    assets, regimes = plan.model.assets, plan.model.regimes.values()
    usual = np.array([[nan if r.depth is None else r.depth[a] for a in assets] for r in regimes])
    factor, _ = find_overlay(scenario.effects, Depth, plan.model, plan.simulation.step, regime.shape[1])
    return np.asarray(usual[regime][..., columns] * factor[:, columns])
