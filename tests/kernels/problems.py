"""Small simulation problems in plain words, and the arrays the kernels want for them.

A problem says what model.md and margin.md say: annualised figures, fractions, leverages, horizons in steps.
The oracle reads the problem itself; only `lower_problem` knows the kernels' arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainccinv, gammaincinv
from scipy.stats import poisson

from kernels.market import CELL_BITS, CELLS, LOWEST_OCTAVE
from kernels.simulate import simulate_paths
from kernels.structs import LIQUIDATION, MARKS, Book, Clock, Kinks, Market, Tally, create_tally

Floats = NDArray[np.float64]
COMPILED = not numba.config.DISABLE_JIT
HOUR = 1.0 / 8760.0


def sample(size: int, fewest: int = 64) -> int:
    """A sample size: as asked for when compiled, a small part of it when every line is interpreted."""
    return size if COMPILED else max(fewest, size // 800)


@dataclass(frozen=True)
class Regime:
    """One regime's annualised parameters, an entry for each asset; df None is Gaussian."""

    volatility: Floats
    drift: Floats
    correlation: Floats
    funding: Floats
    df: float | None = None
    intensity: float = 0.0
    jump_mean: Floats = field(default_factory=lambda: np.zeros(0))
    jump_volatility: Floats = field(default_factory=lambda: np.zeros(0))
    jump_correlation: Floats = field(default_factory=lambda: np.eye(0))


class Scenario(NamedTuple):
    """What holds in each step: parameter set, forced regime or -1, price factors of shocks by step."""

    sets: tuple[int, ...]
    forced: tuple[int, ...]
    shocks: dict[int, Floats]
    leader: int


class Position(NamedTuple):
    """One perpetual: fractions of notional for initial and maintenance margin, which funding interval."""

    asset: int
    size: float
    initial: float = 0.04
    maintenance: float = 0.02
    interval: int = 0


class Account(NamedTuple):
    """Equity at `as_of`, and positions."""

    collateral: float
    positions: tuple[Position, ...]


@dataclass(frozen=True)
class Problem:
    """A market, scenarios, accounts and clock. sets[q][k] is regime k under parameter set q."""

    spot: Floats
    step_years: float
    initial: Floats
    transitions: Floats
    sets: tuple[tuple[Regime, ...], ...]
    scenarios: tuple[Scenario, ...]
    accounts: tuple[Account, ...]
    leverages: tuple[float, ...]
    horizons: tuple[int, ...]
    due: Floats
    additive: bool = False
    bridge: bool = False
    substeps: int = 1
    most_jumps: int = 4

    @property
    def steps(self) -> int:
        """Number of steps: the last horizon."""
        return self.horizons[-1]


def plain_scenario(steps: int, leader: int = 0) -> Scenario:
    """The baseline: set 0 throughout, nothing forced, no shock."""
    return Scenario((0,) * steps, (-1,) * steps, {}, leader)


def equicorrelation(assets: int, rho: float) -> Floats:
    """A correlation matrix with one number in it."""
    return np.full((assets, assets), rho) + (1.0 - rho) * np.eye(assets)


def simple_problem(
    accounts: tuple[Account, ...],
    *,
    volatility: Any = 0.8,
    drift: Any = 0.0,
    rho: float = 0.0,
    funding: Any = 0.0,
    df: float | None = None,
    spot: Any = 100.0,
    step_years: float = HOUR,
    horizons: tuple[int, ...] = (24,),
    leverages: tuple[float, ...] = (1.0,),
    **rest: Any,
) -> Problem:
    """One regime, one scenario; as many assets as `volatility` has entries; funding falls due every step."""
    volatility = np.atleast_1d(np.asarray(volatility, np.float64))
    assets = volatility.size

    def spread_out(value: Any) -> Floats:
        return np.array(np.broadcast_to(np.asarray(value, np.float64), (assets,)))

    regime = Regime(
        volatility,
        spread_out(drift),
        equicorrelation(assets, rho),
        spread_out(funding),
        df,
        jump_mean=np.zeros(assets),
        jump_volatility=np.zeros(assets),
        jump_correlation=np.eye(assets),
    )
    given: dict[str, Any] = {
        "spot": spread_out(spot),
        "step_years": step_years,
        "initial": np.ones(1),
        "transitions": np.ones((1, 1)),
        "sets": ((regime,),),
        "scenarios": (plain_scenario(horizons[-1]),),
        "accounts": accounts,
        "leverages": leverages,
        "horizons": horizons,
        "due": np.full((1, horizons[-1]), step_years),
    }
    return Problem(**{**given, **rest})


def random_problem(
    seed: int,
    *,
    assets: int = 2,
    regimes: int = 2,
    df: float | None = None,
    jumps: bool = False,
    funding: bool = False,
    scenarios: int = 1,
    step_years: float = 1.0 / 365.0,
    **rest: Any,
) -> Problem:
    """A problem with everything asked for in it, wild enough that about half of all cells are hit.

    Scenario 1 has another drift and covariance for a while after a gap at time zero, scenario 2 a forced
    regime and regimes of its own after that, scenario 3 heavier tails and a gap on the way.
    """
    rng = np.random.default_rng(seed)
    steps = 10

    def regime(wildness: float, tail: float | None, drift: float) -> Regime:
        root = rng.normal(size=(assets, assets + 2))
        covariance = root @ root.T
        scale = np.sqrt(np.diag(covariance))
        return Regime(
            wildness * rng.uniform(0.4, 0.9, assets),
            drift + rng.normal(0.0, 0.5, assets),
            covariance / np.outer(scale, scale),
            rng.normal(0.0, 2.0, assets) if funding else np.zeros(assets),
            tail,
            rng.uniform(60.0, 150.0) if jumps else 0.0,
            rng.normal(-0.02, 0.02, assets),
            rng.uniform(0.01, 0.05, assets),
            equicorrelation(assets, 0.5),
        )

    base = tuple(regime(1.0 + 0.7 * k, None if df is None else df + k, 0.0) for k in range(regimes))
    other = tuple(regime(1.5 + 0.7 * k, None if df is None else df + k, -3.0) for k in range(regimes))
    heavy = tuple(
        replace(r, df=None if df is None else 3.0, funding=r.funding * 2.0 - 0.1 * float(funding))
        for r in base
    )
    story = (
        plain_scenario(steps),
        Scenario(
            tuple(1 if 3 <= t < 8 else 0 for t in range(steps)),
            (-1,) * steps,
            {0: rng.uniform(0.85, 1.1, assets)},
            0,
        ),
        Scenario((0,) * steps, tuple(regimes - 1 if 2 <= t < 5 else -1 for t in range(steps)), {}, 2),
        Scenario((2,) * steps, (-1,) * steps, {5: rng.uniform(0.85, 1.1, assets)}, 0),
    )[:scenarios]
    spot = rng.uniform(20.0, 200.0, assets)

    def position(asset: int, notional: float, interval: int = 0) -> Position:
        return Position(
            asset, notional / spot[asset], rng.uniform(0.03, 0.1), rng.uniform(0.01, 0.03), interval
        )

    last = assets - 1
    accounts = (
        Account(90.0, (position(0, 100.0),)),
        Account(80.0, (position(last, -100.0, 1),)),
        Account(
            70.0,
            (*(position(a, 130.0 * rng.normal(), a % 2) for a in range(assets)), position(0, 30.0)),
        ),
        Account(-4.0, (position(0, 120.0), position(last, 60.0, 1))),
        Account(5.0, ()),
        Account(0.5, (position(0, -50.0), position(last, -40.0))),
    )
    transitions = rng.dirichlet(np.full(regimes, 1.0), regimes) * 0.5 + 0.5 * np.eye(regimes)
    due = np.zeros((2, steps))
    due[0, :] = step_years
    due[1, 2::3] = 3.0 * step_years
    given: dict[str, Any] = {
        "spot": spot,
        "step_years": step_years,
        "initial": rng.dirichlet(np.full(regimes, 2.0)),
        "transitions": transitions,
        "sets": (base, other, heavy),
        "scenarios": story,
        "accounts": accounts,
        "leverages": (0.5, 1.0, 2.0, 4.0, 7.0, 12.0),
        "horizons": (1, 4, 10),
        "due": due,
    }
    return Problem(**{**given, **rest})


def tabulate_mixing(df: float) -> Floats:
    """Table (2, CELLS) for `read_mixing`: w at the lower edges of cells of u, and of 1 - u."""
    cell = np.arange(CELLS)
    per_octave = 2**CELL_BITS
    u = 2.0 ** (LOWEST_OCTAVE + cell // per_octave) * (1.0 + (cell % per_octave) / per_octave)
    chi2 = 2.0 * np.stack([gammaincinv(df / 2.0, u), gammainccinv(df / 2.0, u)])
    return np.asarray(np.sqrt((df - 2.0) / chi2))


def lower_problem(problem: Problem) -> tuple[Market, Book, Clock]:
    """The kernels' arrays for a problem."""
    market = _lower_market(problem)
    horizon = np.searchsorted(problem.horizons, np.arange(1, problem.steps + 1)).astype(np.int64)
    ends = np.isin(np.arange(1, problem.steps + 1), problem.horizons).astype(np.int64)
    clock = Clock(problem.steps, horizon, ends, int(problem.bridge))
    return market, _lower_book(problem, market), clock


def run_problem(problem: Problem, seed: int, first: int, paths: int) -> Tally:
    """Tally a range of paths."""
    market, book, clock = lower_problem(problem)
    return run_lowered(market, book, clock, seed, first, paths, len(problem.horizons))


def run_lowered(
    market: Market, book: Book, clock: Clock, seed: int, first: int, paths: int, horizons: int
) -> Tally:
    """Tally a range of paths from arrays."""
    scenarios, accounts = market.parameters.shape[0], book.base.shape[0]
    tally = create_tally(scenarios, accounts, book.threshold.shape[2], horizons, True)
    simulate_paths(seed, first, paths, market, book, clock, tally)
    return tally


def _lower_market(problem: Problem) -> Market:
    assets, dt = problem.spot.size, problem.step_years
    factors = 4 * -(-assets // 4)
    sets = problem.sets

    def gather(values: Any) -> Floats:
        return np.array([[values(regime) for regime in regimes] for regimes in sets], np.float64)

    def padded(root: Floats) -> Floats:
        return np.pad(root, ((0, 0), (0, factors - assets)))

    loading_of_all = gather(
        lambda r: padded(np.sqrt(dt) * np.diag(r.volatility) @ np.linalg.cholesky(r.correlation))
    )
    loading, loading_of_set = np.unique(loading_of_all, axis=0, return_inverse=True)
    loading_of_set = loading_of_set.reshape(-1).astype(np.int64)
    parameters = np.array([s.sets for s in problem.scenarios], np.int64)
    in_use = np.zeros((problem.steps, loading.shape[0]), np.int64)
    for row in parameters:
        in_use[np.arange(problem.steps), loading_of_set[row]] = 1
    shock = np.full(parameters.shape, -1, np.int64)
    shocks = [np.ones(assets)]
    for s, scenario in enumerate(problem.scenarios):
        for step, factor in scenario.shocks.items():
            shock[s, step] = len(shocks)
            shocks.append(factor)
    degrees = sorted({r.df for regimes in sets for r in regimes if r.df is not None})
    mixing = np.array(
        [[-1 if r.df is None else degrees.index(r.df) for r in regimes] for regimes in sets], np.int64
    )
    counts = np.arange(problem.most_jumps + 1)
    return Market(
        spot=problem.spot,
        additive=int(problem.additive),
        substeps=problem.substeps,
        initial=np.cumsum(problem.initial),
        transitions=np.cumsum(problem.transitions, axis=1),
        leader=np.array([s.leader for s in problem.scenarios], np.int64),
        forced=np.array([s.forced for s in problem.scenarios], np.int64),
        parameters=parameters,
        shock=shock,
        shocks=np.array(shocks),
        drift=gather(lambda r: r.drift * dt),
        loading_of_set=loading_of_set,
        loading=np.ascontiguousarray(loading),
        volatility=np.sqrt((loading**2).sum(axis=-1)),
        covariance=np.ascontiguousarray(loading @ loading.transpose(0, 1, 3, 2)),
        depth=np.minimum(4 * -(-(np.arange(assets) + 1) // 4), factors),
        in_use=in_use,
        mixing=mixing,
        mixing_tables=np.array([tabulate_mixing(df) for df in degrees] or [np.zeros((2, CELLS))]),
        jump_law=gather(lambda r: poisson.cdf(counts, r.intensity * dt)),
        jump_mean=gather(lambda r: r.jump_mean),
        jump_loading=gather(
            lambda r: padded(np.diag(r.jump_volatility) @ np.linalg.cholesky(r.jump_correlation))
        ),
        has_jumps=int(any(r.intensity > 0.0 for regimes in sets for r in regimes)),
        funding=gather(lambda r: r.funding),
        due=np.ascontiguousarray(problem.due),
        has_funding=int(any(r.funding.any() for regimes in sets for r in regimes)),
    )


def _pad_to_even(positions: tuple[Position, ...]) -> tuple[Position, ...]:
    return (*positions, positions[-1]._replace(size=0.0)) if len(positions) % 2 else positions


def _lower_book(problem: Problem, market: Market) -> Book:
    accounts, spot = problem.accounts, problem.spot
    held_by = [_pad_to_even(account.positions) for account in accounts]
    positions = [p for held in held_by for p in held]
    size = np.array([p.size for p in positions])
    asset = np.array([p.asset for p in positions], np.int64)
    start = np.cumsum([0, *(len(held) for held in held_by)]).astype(np.int64)
    requirement = np.zeros((MARKS, len(positions)))
    requirement[0] = np.abs(size) * [p.initial for p in positions]
    requirement[1] = np.abs(size) * [p.maintenance for p in positions]
    exposure = np.zeros((len(accounts), spot.size))
    only = np.full(len(accounts), -1, np.int64)
    margin = np.zeros(len(accounts))
    threshold = np.empty((MARKS, len(accounts), len(problem.leverages)))
    leverage = np.empty(threshold.shape[1:], np.int64)
    for i, account in enumerate(accounts):
        held = slice(start[i], start[i + 1])
        np.add.at(exposure[i], asset[held], size[held] * spot[asset[held]])
        margin[i] = requirement[0, held] @ spot[asset[held]]
        if len(set(asset[held])) == 1:
            only[i] = asset[start[i]]
        critical = -account.collateral / np.array(problem.leverages)
        leverage[i] = np.argsort(-critical, kind="stable")
        threshold[:, i] = critical[leverage[i]]
        if not requirement[1, held].any():  # without maintenance there is no liquidation
            threshold[LIQUIDATION, i] = -np.inf
    return Book(
        start=start,
        asset=asset,
        interval=np.array([p.interval for p in positions], np.int64),
        size=size,
        requirement=requirement,
        kinks=Kinks(
            np.zeros((MARKS - 1, len(positions) + 1), np.int64),
            np.zeros((0, 4)),
            np.zeros(len(accounts), np.int64),
        ),
        equity=np.array([account.collateral for account in accounts]),
        spread=np.sqrt(np.einsum("pa,dkab,pb->pdk", exposure, market.covariance, exposure)),
        initial=margin,
        base=exposure.sum(axis=1),
        only_asset=only,
        threshold=threshold,
        leverage=leverage,
        alone=np.full(len(accounts), -1, np.int64),
        multiple=np.array(problem.leverages),
        unit=problem.leverages.index(1.0),
        account=np.arange(len(accounts)),
        several=np.full(len(accounts), -1, np.int64),
        pools=np.ones(len(accounts), np.int64),
        group=np.full(len(accounts), -1, np.int64),
        members=np.zeros(0, np.int64),
        quantum=np.zeros(0),
    )
