"""From a plan's model and scenarios to the arrays of `kernels.structs.Market`: labels end here."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from kernels.structs import CELLS, NORMAL, WAYS, Floats, Market, checked, checked_index
from pipeline.bursts import burst_law, burst_spreads
from pipeline.effects import (
    Basis,
    Event,
    ForcedRegime,
    value_of,
)
from pipeline.funding_cap import annual_cap
from pipeline.lower_parameters import FACTOR_TILE, Parameters, Shelf
from pipeline.lower_state import has_basis, lower_basis, lower_funding
from pipeline.lower_timeline import (
    cut_segments,
    find_events,
    find_replays,
    find_shocks,
    find_window,
)
from pipeline.model import MarketModel
from pipeline.plan import Plan
from pipeline.regime import Excursions
from pipeline.units import YEAR


def simulated_assets(plan: Plan) -> tuple[str, ...]:
    """The model's assets that some account holds or has as collateral, in the model's order; the first one
    if none does."""
    held: set[str] = set()
    for account in plan.accounts:
        venue = plan.venue_of(account)
        held.update(venue.markets[position.market].asset for position in account.positions if position.size)
        held.update(asset for asset in account.collateral if asset != venue.quote)
    return tuple(asset for asset in plan.model.assets if asset in held) or plan.model.assets[:1]


def marked_assets(plan: Plan) -> tuple[str, ...]:
    """The assets of positions that are marked at the perpetual's own price, in the model's order; none where
    neither the model nor a scenario has a basis."""
    effects = (effect for scenario in plan.scenarios for effect in scenario.effects)
    if not has_basis(plan.model) and not any(isinstance(effect, Basis) for effect in effects):
        return ()
    held = {
        venue.markets[position.market].asset
        for account in plan.accounts
        if (venue := plan.venue_of(account)).is_marked
        for position in account.positions
        if position.size
    }
    return tuple(asset for asset in plan.model.assets if asset in held)


def funding_intervals(plan: Plan) -> tuple[timedelta, ...]:
    """The funding intervals of the venues' markets, each once, shortest first."""
    venues = (plan.venue, *plan.venues.values())
    return tuple(sorted({market.funding_interval for venue in venues for market in venue.markets.values()}))


def count_steps(plan: Plan) -> int:
    """Simulation steps up to the last horizon."""
    return plan.simulation.horizons[-1] // plan.simulation.step


def lower_market(plan: Plan, draw: int | None = None, tables: bool = True) -> Market:
    """The market of a plan under each of its scenarios. Rates become per step; a year is 365 days.

    With the figures of the model's draw of that number, if one is named. What scenarios do is the same in
    all draws: betas, and which regime is the wildest, are those of the model's own figures. Without tables
    nothing heavy is imported, and the market is good for looking at, not for walking.
    """
    step, steps = plan.simulation.step, count_steps(plan)
    model = plan.model if draw is None else plan.model.drawn(draw)
    spots, marks = simulated_assets(plan), marked_assets(plan)
    assets = (*spots, *marks)
    columns = np.array([model.assets.index(asset) for asset in assets])
    lower = Parameters(model, step, columns, len(marks), tables)
    factors = lower.factors
    scenarios = len(plan.scenarios)
    parameters = np.zeros((scenarios, steps), np.int64)
    forced = np.full((scenarios, steps), -1, np.int64)
    shock = np.full((scenarios, steps), -1, np.int64)
    event = np.full((scenarios, steps), -1, np.int64)
    replay = np.full((scenarios, steps), -1, np.int64)
    shocks: Shelf[Floats] = Shelf()
    replays: Shelf[Floats] = Shelf()
    events: list[Event] = []
    for s, scenario in enumerate(plan.scenarios):
        for first, last, active in cut_segments(scenario.effects, step, steps):
            parameters[s, first:last] = lower.parameter_set(active)
        for effect in scenario.effects:
            window = find_window(effect, step, steps)
            if isinstance(effect, ForcedRegime) and window.start < window.stop:
                stop = window.start + 1 if effect.start_only else window.stop
                forced[s, window.start : stop] = model.regime_names.index(
                    plan.model.regime_named(effect.force)
                )
        shifts = find_shocks(scenario.effects, plan.model, columns, len(marks), step, steps)
        for at, factor in shifts.items():
            shock[s, at] = shocks.put(factor.tobytes(), factor)
        for at, found in find_events(scenario.effects, step, steps).items():
            event[s, at] = len(events)
            events.append(found)
        for at, returns in find_replays(scenario.effects, plan.model, columns, step, steps).items():
            replay[s, at] = replays.put(returns.tobytes(), returns)
    own_tails = [r.tail if model.bursts else None for r in model.regimes.values()]
    burst_mixing = [-1 if nu is None else lower.tails.put(nu, nu) for nu in own_tails]
    sets, loadings, tails = lower.sets.items, lower.loadings.items, lower.tails.items
    count, regimes, levels, size = len(sets), len(model.regimes), len(model.level_names), len(assets)
    loading = np.array(loadings)
    depth = np.array([lower.depth_of(i) for i in range(size)])
    loading_of_set = np.array([entry.loading for entry in sets])
    in_use = np.zeros((steps, len(loadings)), np.int64)
    for row in parameters:
        in_use[np.arange(steps), loading_of_set[row]] = 1
    jumps = [entry.jumps for entry in sets]
    most = max(len(regime.law) for row in jumps for regime in row)
    jump_law = np.array(
        [[np.pad(each.law, (0, most - len(each.law)), constant_values=1.0) for each in row] for row in jumps]
    )
    funding = np.array([entry.funding for entry in sets])
    overlay = np.array([entry.overlay for entry in sets])
    volatility = np.sqrt(np.einsum("dkaf,dkaf->dka", loading, loading))
    known = {} if plan.market_state is None else plan.market_state.funding
    law = lower_funding(model, known, columns[: len(spots)], volatility[..., : len(spots)], step)
    free = next((s for s in range(scenarios) if (forced[s] < 0).all()), 0)
    leader = np.array([free if (forced[s] < 0).all() else s for s in range(scenarios)])
    wick, wick_common = _wicks(model, assets)
    return Market(
        spot_of=np.array([spots.index(asset) for asset in assets], np.int64),
        basis_law=lower_basis(model, plan.market_state, columns[len(spots) :], step, len(loadings)),
        spot=checked([plan.prices.get(asset, 1.0) for asset in assets], np.float64, (size,), "spot"),
        additive=int(model.returns == "additive"),
        substeps=model.step // step,
        initial=checked(_first_regimes(model), np.float64, (levels, regimes), "initial"),
        transitions=checked(
            np.cumsum(model.transition_matrix(), axis=1), np.float64, (regimes, regimes), "transitions"
        ),
        level_initial=np.cumsum(model.state_law().sum(axis=1)),
        level_transitions=np.cumsum(model.level_matrix(), axis=1),
        level_scale=checked(model.level_scales(), np.float64, (levels,), "level_scale"),
        leader=checked_index(leader, (scenarios,), 0, scenarios, "leader"),
        forced=checked_index(forced, (scenarios, steps), -1, regimes, "forced"),
        parameters=checked_index(parameters, (scenarios, steps), 0, count, "parameters"),
        shock=checked_index(shock, (scenarios, steps), -1, len(shocks.items), "shock"),
        shocks=np.ascontiguousarray(np.array(shocks.items).reshape(-1, size)),
        event=checked_index(event, (scenarios, steps), -1, len(events), "event"),
        events=np.array(
            [[_by_asset(each.up, assets, model), _by_asset(each.down, assets, model)] for each in events],
            np.float64,
        ).reshape(-1, 2, size),
        event_law=np.array([[each.probability, each.spread] for each in events], np.float64).reshape(-1, 2),
        replay=checked_index(replay, (scenarios, steps), -1, len(replays.items), "replay"),
        replays=np.array(replays.items, np.float64).reshape(-1, size),
        drift=checked([entry.drift for entry in sets], np.float64, (count, regimes, size), "drift"),
        loading_of_set=checked_index(loading_of_set, (count,), 0, len(loadings), "loading_of_set"),
        loading=checked(loading, np.float64, (len(loadings), regimes, size, factors), "loading"),
        volatility=volatility,
        covariance=np.ascontiguousarray(np.einsum("dkaf,dkbf->dkab", loading, loading)),
        depth=checked_index(depth, (size,), FACTOR_TILE, factors + 1, "depth"),
        in_use=in_use,
        mixing=checked_index([entry.mixing for entry in sets], (count, regimes), -1, len(tails), "mixing"),
        mixing_tables=_mixing_tables(tails if tables else []),
        jump_law=np.ascontiguousarray(jump_law),
        jump_mean=checked(
            [[each.mean for each in row] for row in jumps], np.float64, (count, regimes, size), "jump_mean"
        ),
        jump_loading=checked(
            [[each.loading for each in row] for row in jumps],
            np.float64,
            (count, regimes, size, factors),
            "jump_loading",
        ),
        jump_sizes=checked_index(
            [[each.sizes for each in row] for row in jumps], (count, regimes), NORMAL, 2, "jump_sizes"
        ),
        jump_sides=checked(
            [[each.sides for each in row] for row in jumps],
            np.float64,
            (count, regimes, size, 3),
            "jump_sides",
        ),
        has_jumps=int(most > 1),
        burst_law=burst_law(model.bursts, model.step),
        burst_move=checked(
            [entry.bursts for entry in sets], np.float64, (count, len(model.bursts), size), "burst_move"
        ),
        burst_spread=checked(
            [burst_spreads(model.bursts, regime.tail) for regime in model.regimes.values()],
            np.float64,
            (regimes, len(model.bursts)),
            "burst_spread",
        ),
        burst_mixing=checked_index(burst_mixing, (regimes,), -1, len(tails), "burst_mixing"),
        funding=checked(funding, np.float64, (count, regimes, size), "funding"),
        due=_funding_due(plan, steps),
        has_funding=int(np.any(funding != 0.0)),
        funding_law=law,
        funding_factor=checked(overlay[:, 0], np.float64, (count, size), "funding_factor"),
        funding_added=checked(overlay[:, 1], np.float64, (count, size), "funding_added"),
        clamps=int(len(law.column) > 0 or np.abs(funding).max() > _least_cap(plan)),
        number=checked_index(columns, (size,), 0, len(model.assets), "number"),
        wick=checked(wick, np.float64, (regimes, WAYS, size, 4), "wick"),
        wick_cut=_wick_cut(wick[..., 0]) if tables else np.zeros(wick.shape[:-1]),
        wick_common=checked(wick_common, np.float64, (regimes, WAYS), "wick_common"),
    )


def _least_cap(plan: Plan) -> float:
    """The smallest clamp on an annualised funding rate among the venues' markets."""
    venues = (plan.venue, *plan.venues.values())
    return min(annual_cap(venue, market) for venue in venues for market in venue.markets.values())


def _first_regimes(model: MarketModel) -> Floats:
    """Cumulative laws of the first regime by the first level, (M, K)."""
    if model.levels is None:
        return np.cumsum(model.initial_law())[None]
    law = model.state_law()
    first = law.sum(axis=1, keepdims=True)
    given = np.where(first > 0.0, law / np.where(first > 0.0, first, 1.0), model.initial_law())
    return np.ascontiguousarray(np.cumsum(given, axis=1))


def _wicks(model: MarketModel, assets: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Laws of wicks (K, WAYS, A, 4) and what they share (K, WAYS); none, where the model has none."""
    law = np.zeros((len(model.regimes), WAYS, len(assets), 4))
    common = np.zeros((len(model.regimes), WAYS))
    for k, regime in enumerate(model.regimes.values()):
        ways: tuple[Excursions, ...] = () if regime.wick is None else (regime.wick.down, regime.wick.up)
        for way, excursions in enumerate(ways):
            common[k, way] = excursions.common
            for a, asset in enumerate(assets):
                law[k, way, a] = (
                    excursions.probability[asset],
                    excursions.scale[asset],
                    excursions.tail[asset],
                    excursions.lean[asset],
                )
    return law, common


def _mixing_tables(tails: list[float]) -> Floats:
    if not tails:
        return np.zeros((0, 2, CELLS))
    from pipeline.mixing import mixing_table

    return np.array([mixing_table(nu) for nu in tails])


def _wick_cut(probability: Floats) -> Floats:
    """Normal scores above which there is a wick; far out where there is never, or always, one."""
    from scipy.special import ndtri

    return np.ascontiguousarray(np.clip(-ndtri(probability), -100.0, 100.0))


def _by_asset(values: dict[str, float], assets: tuple[str, ...], model: MarketModel) -> list[float]:
    return [value_of(values, asset, model.assets, 0.0) for asset in assets]


def _funding_due(plan: Plan, steps: int) -> Floats:
    """(I + 1, T): years of funding paid at each step's end: that of the interval's UTC marks within the step.

    The last row is of what pays none.
    """
    start, step = plan.as_of.timestamp(), plan.simulation.step.total_seconds()
    due = []
    for interval in funding_intervals(plan):
        marks = np.floor((start + step * np.arange(steps + 1)) / interval.total_seconds())
        due.append(np.diff(marks) * (interval / YEAR))
    return np.ascontiguousarray([*due, np.zeros(steps)])
