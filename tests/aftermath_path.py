"""Simulated paths as `tests.aftermath_oracle` takes them."""

from __future__ import annotations

import numpy as np

from kernels.random import SLOT_EVENT
from pipeline.effects import value_of
from pipeline.lower_timeline import find_events, find_shocks
from pipeline.paths import simulate_paths
from pipeline.plan import Plan
from pipeline.scenarios import Scenario
from tests.aftermath_estate import columns_of
from tests.aftermath_oracle import Path
from tests.oracle import Place, draw_normals, draw_uniforms


def path_of(plan: Plan, scenario: Scenario, number: int, *, starts: bool = False) -> Path:
    """Path `number` of a plan under a scenario. With `starts` the venue looks wherever something falls, as
    where accounts are watched between closes; else at `as_of` alone, as the screen does."""
    return paths_of(plan, scenario, number, 1, starts=starts)[0]


def paths_of(plan: Plan, scenario: Scenario, first: int, paths: int, *, starts: bool = False) -> list[Path]:
    """Paths `first` to `first + paths - 1`."""
    found = simulate_paths(plan, paths, scenario.name, first)
    spots = list(found["asset"].values)
    columns = columns_of(plan)
    of = [spots.index(column.removesuffix(" mark")) for column in columns]
    steps, step = found.sizes["step"], plan.simulation.step
    numbers = np.array([plan.model.assets.index(spots[i]) for i in of])
    shocks = find_shocks(scenario.effects, plan.model, numbers, len(columns) - len(spots), step, steps)
    events = find_events(scenario.effects, step, steps)
    spot = np.array([plan.prices.get(spots[i], 1.0) for i in of])
    rate = np.nan_to_num(found["funding"].values)[:, :, of]
    looks = np.array([t == 0 or (starts and (t in shocks or t in events)) for t in range(steps)])
    result = []
    for k in range(paths):
        price = found["price"].values[k][:, of].copy()
        price[:, len(spots) :] = found["mark"].values[k][:, of[len(spots) :]]
        before = np.vstack([spot, price[:-1]])
        for t, factor in shocks.items():
            before[t] *= factor
        for t, event in events.items():
            place = Place(plan.simulation.seed, first + k, t)
            up = draw_uniforms(place, SLOT_EVENT)[0] < event.probability
            normal = draw_normals(place, SLOT_EVENT + 1)[0]
            size = np.exp(event.spread * normal - 0.5 * event.spread**2)
            values = event.up if up else event.down
            names = plan.model.assets
            before[t] *= [np.exp(size * value_of(values, names[a], names, 0.0)) for a in numbers]
        result.append(Path(before, price, rate[k], found["regime"].values[k], looks))
    return result
