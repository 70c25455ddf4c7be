"""From a plan's model and scenarios to the arrays of `kernels.structs.Market`: labels end here."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from math import sqrt
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernels.market import CELLS
from kernels.structs import DOUBLE_EXPONENTIAL, NORMAL, WAYS, Floats, Market, checked, checked_index
from pipeline.correlation import blend_correlation
from pipeline.effects import (
    Basis,
    Correlation,
    Drift,
    Event,
    ForcedRegime,
    Funding,
    Tail,
    Volatility,
    value_of,
)
from pipeline.funding_cap import annual_cap
from pipeline.jumps import DoubleExponentialJumps, Jumps
from pipeline.lower_state import basis_of, has_basis, lower_basis, lower_funding, overlay_funding, shock_of
from pipeline.lower_timeline import (
    Lasting,
    cut_segments,
    find_events,
    find_replays,
    find_shocks,
    find_window,
    is_replaced,
)
from pipeline.model import Excursions, MarketModel, Regime
from pipeline.plan import Plan

YEAR = timedelta(days=365)
FACTOR_TILE = 4  # the kernel combines factors four at a time
SMALLEST_PIVOT = 1e-10  # of a correlation's Cholesky factor: below it the asset follows from those before
NO_MORE_JUMPS = 1e-15  # probability beyond which more jumps in one step are left out

Item = TypeVar("Item")


@dataclass
class Shelf(Generic[Item]):
    """Things numbered in the order they came, equal ones once."""

    number: dict[Hashable, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)

    def put(self, key: Hashable, item: Item) -> int:
        """The number of an item, which is kept if its key is new."""
        if key not in self.number:
            self.number[key] = len(self.items)
            self.items.append(item)
        return self.number[key]


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


def lower_market(plan: Plan, draw: int | None = None) -> Market:
    """The market of a plan under each of its scenarios. Rates become per step; a year is 365 days.

    With the figures of the model's draw of that number, if one is named. What scenarios do is the same in
    all draws: betas, and which regime is the wildest, are those of the model's own figures.
    """
    from pipeline.mixing import mixing_table

    step, steps = plan.simulation.step, count_steps(plan)
    model = plan.model if draw is None else plan.model.drawn(draw)
    spots, marks = simulated_assets(plan), marked_assets(plan)
    assets = (*spots, *marks)
    columns = np.array([model.assets.index(asset) for asset in assets])
    lower = _Lowering(model, step, columns, len(marks))
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
    sets, loadings, tables = lower.sets.items, lower.loadings.items, lower.tails.items
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
        mixing=checked_index([entry.mixing for entry in sets], (count, regimes), -1, len(tables), "mixing"),
        mixing_tables=np.array([mixing_table(nu) for nu in tables]).reshape(-1, 2, CELLS),
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
        funding=checked(funding, np.float64, (count, regimes, size), "funding"),
        due=_funding_due(plan, steps),
        has_funding=int(np.any(funding != 0.0)),
        funding_law=law,
        funding_factor=checked(overlay[:, 0], np.float64, (count, size), "funding_factor"),
        funding_added=checked(overlay[:, 1], np.float64, (count, size), "funding_added"),
        clamps=int(len(law.column) > 0 or np.abs(funding).max() > _least_cap(plan)),
        number=checked_index(columns, (size,), 0, len(model.assets), "number"),
        wick=checked(wick, np.float64, (regimes, WAYS, size, 4), "wick"),
        wick_cut=_wick_cut(wick[..., 0]),
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


@dataclass(frozen=True)
class _ParameterSet:
    """What holds in a step, by regime and asset; `loading` numbers the shelf of loadings."""

    drift: Floats
    loading: int
    mixing: list[int]
    jumps: list[_Jumps]
    funding: Floats
    overlay: Floats


class _Jumps(NamedTuple):
    """Of one regime: law of the number in a step, law of sizes, mean (A,), loading (A, F), sides (A, 3)."""

    law: Floats
    sizes: int
    mean: Floats
    loading: Floats
    sides: Floats


class _Lowering:
    """Collects the distinct parameter sets, loadings and tails that scenarios need."""

    def __init__(self, model: MarketModel, step: timedelta, columns: NDArray[np.int64], marks: int) -> None:
        self.model = model
        self.step, self.years = step, step / YEAR
        self.columns = columns
        self.spots = len(columns) - marks
        self.factors = max(self.depth_of(i) for i in range(len(columns)))
        self.funds = any(regime.funding_process for regime in model.regimes.values())
        self.sets: Shelf[_ParameterSet] = Shelf()
        self.loadings: Shelf[Floats] = Shelf()
        self.tails: Shelf[float] = Shelf()

    def depth_of(self, i: int) -> int:
        """Leading factors that matter to a column. Beyond the assets' own there is one that all basis have in
        common, then one for each asset's."""
        last = self.columns[i] + (0 if i < self.spots else len(self.model.assets) + 1)
        return int(-(-(last + 1) // FACTOR_TILE) * FACTOR_TILE)

    def parameter_set(self, effects: tuple[Lasting, ...]) -> int:
        """The number of the parameter set under these effects."""
        regimes = [self._regime(regime, effects) for regime in self.model.regimes.values()]
        loading = np.array(
            [
                self._loading(volatility, correlation, regime)
                for (_, volatility, correlation, _, _), regime in zip(
                    regimes, self.model.regimes.values(), strict=True
                )
            ]
        )
        number = self.loadings.put(loading.tobytes(), loading)
        drift = np.array([drift for drift, *_ in regimes])[:, self.columns] * self.years
        funding = np.array([funding for *_, funding in regimes])[:, self.columns]
        overlay = overlay_funding(effects if self.funds else (), self.model.assets)[:, self.columns]
        mixing = [-1 if nu is None else self.tails.put(nu, nu) for *_, nu, _ in regimes]
        replaced = is_replaced(effects)
        jumps = [self._jumps(None if replaced else r.jumps) for r in self.model.regimes.values()]
        entry = _ParameterSet(
            drift,
            number,
            mixing,
            jumps,
            funding,
            overlay,
        )
        # jumps are the model's own, the same in every set, or none
        rates = funding.tobytes(), overlay.tobytes()
        return self.sets.put((drift.tobytes(), number, tuple(mixing), *rates, replaced), entry)

    def _regime(
        self, regime: Regime, effects: tuple[Lasting, ...]
    ) -> tuple[Floats, Floats, Floats, float | None, Floats]:
        """Drift, volatility, correlation, degrees of freedom, funding of a regime under effects, a year."""
        assets = self.model.assets
        drift = np.array([regime.drift[a] for a in assets])
        volatility = np.array([regime.volatility[a] for a in assets])
        correlation = np.array(regime.correlation, np.float64)
        nu = regime.tail
        if is_replaced(effects):
            drift, volatility, nu = np.zeros(len(assets)), np.zeros(len(assets)), None
        funding = np.array([regime.funding[a] if regime.funding else 0.0 for a in assets])
        for effect in effects:
            match effect:
                case Drift():
                    drift = drift + [value_of(effect.add, a, assets, 0.0) for a in assets]
                case Volatility():
                    volatility = volatility * [value_of(effect.multiply, a, assets, 1.0) for a in assets]
                case Correlation():
                    correlation = blend_correlation(correlation, self._target(effect), effect.blend)
                case Tail():
                    nu = effect.df if nu is None else min(nu, effect.df)
                case Funding():
                    added = [value_of(effect.add, a, assets, 0.0) for a in assets]
                    funding = funding * effect.multiply + added
        return drift, volatility, correlation, nu, funding

    def _target(self, effect: Correlation) -> Floats:
        size = len(self.model.assets)
        if effect.target == "one":
            return np.ones((size, size))
        return np.eye(size) if effect.target == "zero" else np.array(effect.target, np.float64)

    def _loading(self, volatility: Floats, correlation: Floats, regime: Regime) -> Floats:
        """(A, F): one step's standard deviations times the correlation's Cholesky factor, for held assets; a
        perpetual's row is its asset's and the shock of its basis."""
        deviation = volatility * sqrt(self.years)
        rows = self._padded(deviation[:, None] * lower_triangle(correlation))
        common = len(volatility)
        for i in range(self.spots, len(self.columns)):
            column = self.columns[i]
            shock = shock_of(basis_of(regime), self.model.assets[column], self.step, deviation[column])
            rows[i] *= 1.0 + shock.tied
            rows[i, common] += shock.pooled
            rows[i, common + 1 + column] += shock.own
        return rows

    def _padded(self, rows: Floats) -> Floats:
        held = rows[self.columns, : self.factors]
        return np.pad(held, ((0, 0), (0, self.factors - held.shape[1])))

    def _jumps(self, jumps: Jumps | None) -> _Jumps:
        size = len(self.columns)
        none, unmoved = np.zeros((size, self.factors)), np.zeros(size)
        if jumps is None:
            return _Jumps(np.ones(1), NORMAL, unmoved, none, np.zeros((size, 3)))
        assets = self.model.assets
        law = poisson_law(jumps.intensity * self.years)
        root = lower_triangle(jumps.correlation_matrix(len(assets)))
        if isinstance(jumps, DoubleExponentialJumps):
            sides = jumps.sides(assets)[self.columns]
            return _Jumps(law, DOUBLE_EXPONENTIAL, unmoved, self._padded(root), sides)
        spread = np.array([jumps.volatility[a] for a in assets])[:, None] * root
        mean = np.array([jumps.mean[a] for a in assets])[self.columns]
        return _Jumps(law, NORMAL, mean, self._padded(spread), np.zeros((size, 3)))


def poisson_law(mean: float) -> Floats:
    """P(at most n), n = 0, 1, ... until what is left out is below `NO_MORE_JUMPS`; the last is 1."""
    from scipy.special import gammainc, gammaincc

    most = 0
    while mean > 0 and gammainc(most + 1, mean) > NO_MORE_JUMPS:
        most += 1
    law = np.ones(most + 1)
    if mean > 0:
        law[:-1] = gammaincc(np.arange(1, most + 1), mean)
    return law


def lower_triangle(correlation: Floats) -> Floats:
    """The Cholesky factor of a positive semidefinite correlation; an asset that follows from others adds 0.

    Row i depends on the first i assets alone, so that an asset's numbers don't depend on those after it.
    """
    factor = np.zeros_like(correlation)
    for j in range(len(correlation)):
        rest = correlation[j:, j] - factor[j:, :j] @ factor[j, :j]
        if rest[0] > SMALLEST_PIVOT:
            factor[j:, j] = rest / sqrt(rest[0])
    return factor
