"""The kernels' arrays for the small problems of `tests.kernels.problems`, and runs on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammainccinv, gammaincinv
from scipy.stats import norm, poisson

from kernels.reverting import room_for_normals
from kernels.simulate import simulate_general_paths
from kernels.structs import (
    CELL_BITS,
    CELLS,
    DOUBLE_EXPONENTIAL,
    LANES,
    LIQUIDATION,
    LOWEST_OCTAVE,
    MARKS,
    NORMAL,
    THROUGHOUT,
    WAYS,
    Book,
    Clock,
    Draws,
    Kinks,
    Market,
    Reverting,
    Step,
    Tally,
    create_tally,
)
from tests.kernels.problems import (
    Account,
    Bracket,
    Coin,
    Excess,
    Floats,
    Interest,
    Kink,
    Pool,
    Position,
    Problem,
    Regime,
)


class Requirement(NamedTuple):
    """What must back a position: slope x price, and kinks."""

    slope: float
    kinks: tuple[Kink, ...] = ()


class Leg(NamedTuple):
    """One position or coin, as the kernel takes it."""

    asset: int
    interval: int
    cap: float
    size: float
    initial: Requirement
    maintenance: Requirement


class Row(NamedTuple):
    """One pool, as the kernel takes it: at every leverage, or at the one of number `alone`."""

    account: int
    alone: int
    equity: float
    legs: list[Leg]
    at_risk: bool


def lower_problem(problem: Problem) -> tuple[Market, Book, Clock]:
    """The kernels' arrays for a problem."""
    market = _lower_market(problem)
    horizon = np.searchsorted(problem.horizons, np.arange(1, problem.steps + 1)).astype(np.int64)
    ends = np.isin(np.arange(1, problem.steps + 1), problem.horizons).astype(np.int64)
    scenarios = len(problem.scenarios)
    clock = Clock(
        problem.steps,
        horizon,
        ends,
        int(problem.bridge),
        int(problem.wick),
        np.full((scenarios, problem.steps), THROUGHOUT, np.int64),
        np.ascontiguousarray(np.broadcast_to(horizon, (scenarios, problem.steps))),
    )
    return _of_one_layout((market, _lower_book(problem, market), clock))


def _of_one_layout(values: Any) -> Any:
    """Tuples with arrays of one layout: for another one everything would be compiled again."""
    if isinstance(values, np.ndarray):
        return np.array(values, order="C")
    if not isinstance(values, tuple):
        return values
    fields = map(_of_one_layout, values)
    return tuple(fields) if type(values) is tuple else type(values)(*fields)


def run_problem(problem: Problem, seed: int, first: int, paths: int) -> Tally:
    """Tally a range of paths."""
    market, book, clock = lower_problem(problem)
    return run_lowered(market, book, clock, seed, first, paths, len(problem.horizons))


def run_lowered(
    market: Market, book: Book, clock: Clock, seed: int, first: int, paths: int, horizons: int
) -> Tally:
    """Tally a range of paths from arrays, by the general walk."""
    tally = create_tally(
        market.parameters.shape[0],
        book.pools.size,
        book.multiple.size,
        horizons,
        joint=True,
        several=int(book.several.max(initial=-1)) + 1,
        groups=book.members.size,
    )
    simulate_general_paths(seed, first, paths, market, book, clock, tally)
    return tally


def step_of(assets: int) -> Step:
    """Room for one step: mixing numbers of one, everything else zero."""
    by_asset = np.zeros((6, assets, LANES))
    wick = np.zeros((WAYS, assets, LANES))
    return Step(np.ones(LANES), np.zeros(LANES, np.int64), *by_asset, wick, np.zeros(LANES))


def room_for(market: Market) -> tuple[Draws, Step]:
    """Room for the numbers of one step, and for the step."""
    loadings, regimes, assets, factors = market.loading.shape
    noise = np.zeros((2, loadings, regimes, assets, LANES))
    draws = Draws(
        np.zeros((4, LANES)),
        np.zeros((factors, LANES)),
        noise[0],
        np.zeros((factors, LANES)),
        noise[1],
        np.zeros((WAYS, LANES)),
        np.zeros((WAYS, assets, LANES)),
        np.zeros((1, WAYS, assets, LANES)),
        np.zeros((2, room_for_normals(market.funding_law), LANES)),
        np.zeros((room_for_normals(market.basis_law), LANES)),
        np.zeros((2, LANES)),
        np.zeros(LANES, np.int64),
        np.zeros((2, LANES)),
    )
    return draws, step_of(assets)


def tabulate_mixing(df: float) -> Floats:
    """Table (2, CELLS) for `read_mixing`: w at the lower edges of cells of u, and of 1 - u."""
    cell = np.arange(CELLS)
    per_octave = 2**CELL_BITS
    u = 2.0 ** (LOWEST_OCTAVE + cell // per_octave) * (1.0 + (cell % per_octave) / per_octave)
    chi2 = 2.0 * np.stack([gammaincinv(df / 2.0, u), gammainccinv(df / 2.0, u)])
    return np.asarray(np.sqrt((df - 2.0) / chi2))


def _lower_market(problem: Problem) -> Market:
    assets, dt = problem.assets, problem.step_years
    wide = 2 * assets + 1 if problem.marks else assets
    factors, of = 4 * -(-wide // 4), problem.spot_of
    sets = problem.sets

    def gather(values: Any) -> Floats:
        return np.array([[values(regime) for regime in regimes] for regimes in sets], np.float64)

    def padded(root: Floats) -> Floats:
        return np.pad(root, ((0, 0), (0, factors - root.shape[1])))

    def load(regime: Regime) -> Floats:
        root = padded(np.sqrt(dt) * np.diag(regime.volatility) @ np.linalg.cholesky(regime.correlation))[of]
        for i, a in enumerate(problem.marks, start=assets):
            law = regime.basis
            assert law is not None
            shock = law.deviation[a] * np.sqrt(1.0 - np.exp2(-2.0 * dt / law.half_life[a]))
            root[i] *= 1.0 + law.correlation[a] * shock / (np.sqrt(dt) * regime.volatility[a])
            apart = np.sqrt(1.0 - law.correlation[a] ** 2) * shock
            root[i, [assets, assets + 1 + a]] = apart * np.sqrt([law.common, 1.0 - law.common])
        return root

    loading_of_all = gather(load)
    loading, loading_of_set = np.unique(loading_of_all, axis=0, return_inverse=True)
    loading_of_set = loading_of_set.reshape(-1).astype(np.int64)
    parameters = np.array([s.sets for s in problem.scenarios], np.int64)
    in_use = np.zeros((problem.steps, loading.shape[0]), np.int64)
    for row in parameters:
        in_use[np.arange(problem.steps), loading_of_set[row]] = 1
    shock = np.full(parameters.shape, -1, np.int64)
    shocks = [np.ones(len(of))]
    for s, scenario in enumerate(problem.scenarios):
        for step, factor in scenario.shocks.items():
            shock[s, step] = len(shocks)
            shocks.append(factor)
    degrees = sorted({r.df for regimes in sets for r in regimes if r.df is not None})
    mixing = np.array(
        [[-1 if r.df is None else degrees.index(r.df) for r in regimes] for regimes in sets], np.int64
    )
    counts = np.arange(problem.most_jumps + 1)
    none = Excess(np.zeros(assets), np.zeros(assets), np.zeros(assets), 0.0)
    wicks = [r.wicks or (none, none) for r in sets[0]]
    probability = np.array([[way.probability for way in ways] for ways in wicks])
    return Market(
        spot=problem.spot,
        spot_of=np.array(of),
        basis_law=_lower_basis(problem, loading),
        additive=int(problem.additive),
        substeps=problem.substeps,
        initial=np.cumsum(problem.first_laws, axis=1),
        transitions=np.cumsum(problem.transitions, axis=1),
        level_initial=np.cumsum(problem.levels.initial),
        level_transitions=np.cumsum(problem.levels.transitions, axis=1),
        level_scale=problem.levels.scale,
        leader=np.array([s.leader for s in problem.scenarios], np.int64),
        forced=np.array([s.forced for s in problem.scenarios], np.int64),
        parameters=parameters,
        shock=shock,
        shocks=np.array(shocks),
        event=np.full(parameters.shape, -1, np.int64),
        events=np.zeros((0, 2, len(of))),
        event_law=np.zeros((0, 2)),
        replay=np.full(parameters.shape, -1, np.int64),
        replays=np.zeros((0, len(of))),
        drift=gather(lambda r: r.drift[of] * dt),
        loading_of_set=loading_of_set,
        loading=np.ascontiguousarray(loading),
        volatility=np.sqrt((loading**2).sum(axis=-1)),
        covariance=np.ascontiguousarray(loading @ loading.transpose(0, 1, 3, 2)),
        depth=np.array(
            [4 * -(-((a if i < assets else wide - assets + a) + 1) // 4) for i, a in enumerate(of)]
        ),
        in_use=in_use,
        mixing=mixing,
        mixing_tables=np.array([tabulate_mixing(df) for df in degrees] or [np.zeros((2, CELLS))]),
        jump_law=gather(lambda r: poisson.cdf(counts, r.intensity * dt)),
        jump_mean=gather(lambda r: r.jump_mean[of]),
        jump_loading=gather(lambda r: padded(_jump_root(r))[of]),
        jump_sizes=gather(lambda r: NORMAL if r.jump_sides is None else DOUBLE_EXPONENTIAL).astype(np.int64),
        jump_sides=gather(lambda r: np.zeros((len(of), 3)) if r.jump_sides is None else r.jump_sides[of]),
        burst_law=_burst_law(problem),
        burst_move=np.array(
            [
                [
                    burst.move[of] * (problem.burst_factors[q][of] if problem.burst_factors else 1.0)
                    for burst in problem.bursts
                ]
                for q in range(len(sets))
            ]
        ).reshape(len(sets), -1, len(of)),
        burst_spread=np.array(
            [
                [
                    burst.spread * (1.0 if r.df is None else np.sqrt(r.df / (r.df - 2.0)))
                    for burst in problem.bursts
                ]
                for r in sets[0]
            ]
        ).reshape(len(sets[0]), -1),
        burst_mixing=mixing[0],
        has_jumps=int(any(r.intensity > 0.0 for regimes in sets for r in regimes)),
        funding=gather(lambda r: r.funding[of]),
        due=np.vstack([problem.due, np.zeros(problem.steps)]),  # coins fund nothing
        has_funding=int(any(r.funding.any() for regimes in sets for r in regimes)),
        funding_law=_lower_rates(problem, loading),
        funding_factor=_by_set(problem, [factor for factor, _ in problem.overlay], 1.0),
        funding_added=_by_set(problem, [added for _, added in problem.overlay], 0.0),
        clamps=int(
            sets[0][0].rates is not None
            or any(p.cap < np.inf for a in problem.accounts for pool in a.pools for p in pool.positions)
        ),
        number=np.array(of),
        wick=np.array([[_wick_law(way)[of] for way in ways] for ways in wicks]),
        wick_cut=np.clip(norm.isf(probability), -100.0, 100.0)[..., of],
        wick_common=np.array([[way.common for way in ways] for ways in wicks]),
    )


def _burst_law(problem: Problem) -> Floats:
    """Cumulative: one comes with probability 1 - exp(-all their rates x step), which one by its rate."""
    rates = np.array([burst.per_year for burst in problem.bursts])
    any_of = 1.0 - np.exp(-rates.sum() * problem.substeps * problem.step_years)
    return np.asarray(np.cumsum(rates) * (any_of / max(rates.sum(), 1.0)))


def _wick_law(law: Excess) -> Floats:
    """(A, 4): probability, scale, tail, lean."""
    lean = np.zeros_like(law.scale) if law.lean is None else law.lean
    return np.column_stack([law.probability, law.scale, law.tail, lean])


def _by_set(problem: Problem, values: list[float], default: float) -> Floats:
    rows = values or [default] * len(problem.sets)
    return np.array([[value] * problem.spot.size for value in rows], np.float64)


def _lower_rates(problem: Problem, loading: Floats) -> Reverting:
    """The law of funding rates in the first parameter set, which is that of all."""
    assets = problem.assets
    laws = [regime.rates for regime in problem.sets[0] if regime.rates is not None]
    deviations = np.sqrt((loading**2).sum(axis=-1))[..., :assets]
    if not laws:
        return _no_rates(loading)
    kept = np.exp(-np.log(2.0) * problem.step_years / np.array([law.half_life for law in laws]))
    shock = np.array([law.deviation for law in laws]) * np.sqrt(1.0 - kept**2)
    rho = np.array([law.correlation for law in laws])
    moves = deviations > 0.0
    return Reverting(
        asset=np.arange(assets),
        column=np.arange(assets),
        start=np.full(assets, np.nan) if problem.known_rates is None else problem.known_rates,
        level=np.array([law.level for law in laws]),
        deviation=np.array([law.deviation for law in laws]),
        kept=kept,
        tied=np.where(moves, rho * shock / np.where(moves, deviations, 1.0), 0.0),
        apart=np.where(moves, np.sqrt(1.0 - rho**2), 1.0) * shock,
        common=np.array([law.common for law in laws]),
    )


def _lower_basis(problem: Problem, loading: Floats) -> Reverting:
    laws = [regime.basis for regime in problem.sets[0] if regime.basis is not None]
    if not laws:
        return _no_rates(loading)
    of, none = list(problem.marks), np.zeros((*loading.shape[:2], len(problem.marks)))
    half_life = np.array([law.half_life[of] for law in laws])
    return Reverting(
        asset=np.array(of),
        column=np.array(of),
        start=np.full(len(of), np.nan),
        level=np.array([law.level[of] for law in laws]),
        deviation=np.array([law.deviation[of] for law in laws]),
        kept=np.exp2(-problem.step_years / half_life),
        tied=none,
        apart=none,
        common=np.array([law.common for law in laws]),
    )


def _no_rates(loading: Floats) -> Reverting:
    regimes = loading.shape[1]
    none, flat = np.zeros((loading.shape[0], regimes, 0)), np.zeros((regimes, 0))
    return Reverting(
        *np.zeros((2, 0), np.int64), np.zeros(0), flat, flat, flat, none, none, np.zeros(regimes)
    )


def _jump_root(regime: Regime) -> Floats:
    """The volatilities times the correlation's Cholesky factor; of the scores alone where two-sided."""
    root = np.linalg.cholesky(regime.jump_correlation)
    return np.diag(regime.jump_volatility) @ root if regime.jump_sides is None else root


def _lower_book(problem: Problem, market: Market) -> Book:
    accounts, spot = problem.accounts, problem.spot
    rows = [row for p, account in enumerate(accounts) for row in _rows(problem, p, account)]
    legs = [leg for row in rows for leg in row.legs]
    start = np.cumsum([0, *(len(row.legs) for row in rows)]).astype(np.int64)
    spans = [slice(a, b) for a, b in pairwise(start)]
    asset = np.array([leg.asset for leg in legs], np.int64)
    size = np.array([leg.size for leg in legs])
    requirement = np.zeros((MARKS, len(legs)))
    requirement[0] = [leg.initial.slope for leg in legs]
    requirement[1] = [leg.maintenance.slope for leg in legs]
    exposure = np.zeros((len(rows), spot.size))
    for r, span in enumerate(spans):
        np.add.at(exposure[r], asset[span], size[span] * spot[asset[span]])
    threshold, leverage = _thresholds(problem, rows)
    first = [row for row in rows if row.alone <= 0]  # a pool once, however many rows it has
    pools = np.array([sum(row.account == p for row in first) for p in range(len(accounts))])
    at_risk = np.array([sum(row.account == p and row.at_risk for row in first) for p in range(len(accounts))])
    group = np.array([account.group for account in accounts], np.int64)
    groups = range(int(group.max(initial=-1)) + 1)
    return Book(
        start=start,
        asset=asset,
        interval=np.array([leg.interval for leg in legs], np.int64),
        funding_cap=np.array([leg.cap for leg in legs]),
        size=size,
        requirement=requirement,
        kinks=_lower_kinks(legs, spans),
        spread=np.sqrt(np.einsum("pa,dkab,pb->pdk", exposure, market.covariance, exposure)),
        initial=np.array([sum(_value(leg.initial, spot[leg.asset]) for leg in row.legs) for row in rows]),
        base=exposure.sum(axis=1),
        equity=np.array([row.equity for row in rows]),
        only_asset=np.array([asset[s][0] if len(set(asset[s])) == 1 else -1 for s in spans], np.int64),
        threshold=threshold,
        leverage=leverage,
        alone=np.array([row.alone for row in rows], np.int64),
        multiple=np.array(problem.leverages),
        unit=problem.leverages.index(1.0),
        account=np.array([row.account for row in rows], np.int64),
        several=np.where(pools > 1, np.cumsum(pools > 1) - 1, -1),
        pools=at_risk,
        group=group,
        members=np.array([np.sum((group == g) & (at_risk > 0)) for g in groups], np.int64),
        quantum=np.array([_find_quantum(problem, g) for g in groups]),
        cash=np.full((len(problem.scenarios), problem.steps), -1, np.int64),
        cashes=np.zeros((0, len(rows))),
    )


def _rows(problem: Problem, number: int, account: Account) -> list[Row]:
    """One row for each pool; one for each leverage where margin is not proportional to that."""
    rows = []
    for pool in account.pools:
        equity = pool.collateral + sum(c.amount * problem.spot[c.asset] for c in pool.coins)
        at_risk = any(p.size != 0 and (p.maintenance or p.brackets) for p in pool.positions)
        if pool.coins or account.by_leverage or any(p.brackets for p in pool.positions):
            rows += [
                Row(number, j, equity, _legs(problem, pool, leverage), at_risk)
                for j, leverage in enumerate(problem.leverages)
            ]
        else:
            rows.append(Row(number, -1, equity, _legs(problem, pool, 1.0), at_risk))
    return rows


def _legs(problem: Problem, pool: Pool, leverage: float) -> list[Leg]:
    legs = [
        Leg(
            p.asset, p.interval, p.cap, leverage * p.size, *_requirements(p, leverage * abs(p.size), leverage)
        )
        for p in pool.positions
    ]
    legs += [_leg_of_coin(coin, len(problem.due)) for coin in pool.coins]
    if len(legs) % 2:
        legs.append(legs[-1]._replace(size=0.0, initial=Requirement(0.0), maintenance=Requirement(0.0)))
    return legs


def _leg_of_coin(coin: Coin, no_funding: int) -> Leg:
    withheld = Requirement(coin.haircut * max(coin.amount, 0.0))
    return Leg(coin.asset, no_funding, np.inf, coin.amount, withheld, withheld)


def _requirements(position: Position, gross: float, leverage: float) -> tuple[Requirement, Requirement]:
    if position.brackets:
        return _initial_by_bracket(position, gross), _maintenance_by_bracket(position.brackets, gross)
    initial, maintenance = (
        tuple(Kink(k.floor, *(leverage * term for term in k[1:])) for k in sorted(kinks))
        for kinks in position.kinks
    )
    least = max(position.initial, position.chosen)
    if position.interest is not None:
        initial += _scale_with_interest(position.initial, least, position.interest, gross)
    return Requirement(gross * least, initial), Requirement(gross * position.maintenance, maintenance)


def _initial_by_bracket(position: Position, gross: float) -> Requirement:
    """At the price where the notional enters a bracket, all of it takes the new rate."""
    rates = [max(bracket.initial, position.chosen) for bracket in position.brackets]
    kinks = [
        Kink(bracket.above / gross, bracket.above * (high - low), gross * (high - low), 0.0)
        for bracket, (low, high) in zip(position.brackets[1:], pairwise(rates), strict=True)
    ]
    return Requirement(gross * rates[0], tuple(kinks))


def _maintenance_by_bracket(brackets: tuple[Bracket, ...], gross: float) -> Requirement:
    kinks = [
        Kink(high.above / gross, 0.0, gross * (high.maintenance - low.maintenance), 0.0)
        for low, high in pairwise(brackets)
    ]
    return Requirement(gross * brackets[0].maintenance, tuple(kinks))


def _scale_with_interest(base: float, least: float, interest: Interest, gross: float) -> tuple[Kink, ...]:
    """The fraction base + k (p - lower / coins) passes `least` at `meets`, and stays at 1 from `full` on."""
    k = (1.0 - base) * interest.coins / (interest.upper - interest.lower)
    meets = interest.lower / interest.coins + (least - base) / k
    full = interest.upper / interest.coins
    return Kink(meets, 0.0, gross * k * meets, gross * k), Kink(full, 0.0, -gross * k * full, -gross * k)


def _value(requirement: Requirement, price: float) -> float:
    x = [(k, price - k.floor) for k in requirement.kinks if price > k.floor]
    return requirement.slope * price + sum(k.jump + k.rise * above + k.curve * above**2 for k, above in x)


def lifts(kinks: Sequence[tuple[float, float, float, float]]) -> Floats:
    """(kinks, 3): a, b, c of a + b p + c p^2, the sum of jump + rise (p - floor) + curve (p - floor)^2."""
    terms = np.array(kinks, np.float64).reshape(-1, 4)
    floor, jump, rise, curve = terms.T
    each = np.stack([jump - rise * floor + curve * floor**2, rise - 2.0 * curve * floor, curve], axis=1)
    return np.asarray(each.cumsum(axis=0))


def _lower_kinks(legs: list[Leg], spans: list[slice]) -> Kinks:
    by_mark = [[leg.initial.kinks for leg in legs], [leg.maintenance.kinks for leg in legs]]
    terms = [
        (kink, lift) for of in by_mark for kinks in of for kink, lift in zip(kinks, lifts(kinks), strict=True)
    ]
    before = np.cumsum([0, *(len(kinks) for kinks_of in by_mark for kinks in kinks_of)])
    return Kinks(
        start=np.stack([before[: len(legs) + 1], before[len(legs) :]]).astype(np.int64),
        floor=np.array([kink[0] for kink, _ in terms], np.float64),
        lift=np.array([lift for _, lift in terms], np.float64).reshape(-1, 3),
        present=np.array(
            [int(any(leg.initial.kinks or leg.maintenance.kinks for leg in legs[span])) for span in spans],
            np.int64,
        ),
        leaps=np.array([int(_leaps(legs[span])) for span in spans], np.int64),
    )


def _leaps(legs: list[Leg]) -> bool:
    """Whether initial margin jumps somewhere and nothing curves."""
    kinks = [kink for leg in legs for kink in leg.initial.kinks + leg.maintenance.kinks]
    return any(k.jump for leg in legs for k in leg.initial.kinks) and not any(k.curve for k in kinks)


def _thresholds(problem: Problem, rows: list[Row]) -> tuple[Floats, Any]:
    """Where C + l X = 0; on a row of its own C + X = 0, and no other leverage."""
    multiples = np.array(problem.leverages)
    threshold = np.full((MARKS, len(rows), multiples.size), -np.inf)
    leverage = np.zeros(threshold.shape[1:], np.int64)
    for r, row in enumerate(rows):
        if row.alone >= 0:
            threshold[:, r, 0], leverage[r] = -row.equity, row.alone
        else:
            critical = -row.equity / multiples
            leverage[r] = np.argsort(-critical, kind="stable")
            threshold[:, r] = critical[leverage[r]]
        if not row.at_risk:  # without maintenance there is no liquidation
            threshold[LIQUIDATION, r] = -np.inf
    return threshold, leverage


def _find_quantum(problem: Problem, group: int) -> float:
    """A millionth or so of what the group holds at its largest."""
    pools = [pool for account in problem.accounts if account.group == group for pool in account.pools]
    held = sum(
        abs(pool.collateral)
        + sum(abs(c.amount) * problem.spot[c.asset] for c in pool.coins)
        + max(problem.leverages) * sum(abs(p.size) * problem.spot[p.asset] for p in pool.positions)
        for pool in pools
    )
    return float(2.0 ** np.ceil(np.log2(max(held, 1.0)) - 20.0))
