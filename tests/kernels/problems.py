"""Small simulation problems in plain words.

A problem says what model.md and margin.md say: annualised figures, fractions, leverages, horizons in steps.
The oracle reads the problem itself; only `tests.kernels.lowered` knows the kernels' arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Interpreted, or with bounds checks, every line is run on small samples: what they are for needs no more.
FULL = not (numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK)
HOUR = 1.0 / 8760.0


def sample(size: int, fewest: int = 64) -> int:
    """A sample size: as asked for, or a small part of it where every line is interpreted or checked."""
    return size if FULL else max(fewest, size // 800)


class Excess(NamedTuple):
    """How far wicks of one direction go, by asset, in standard deviations of a step; what they share."""

    probability: Floats
    scale: Floats
    tail: Floats
    common: float
    lean: Floats | None = None  # None: zero


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
    jump_sides: Floats | None = None  # (A, 3) probability of up, mean up, mean down: double exponential
    wicks: tuple[Excess, Excess] | None = None  # down, up
    rates: Rates | None = None
    basis: Rates | None = None


@dataclass(frozen=True)
class Rates:
    """How funding, or a basis, reverts to its level in a regime, an entry for each asset.

    Half-life in years, standard deviation in the long run, correlation with returns; `common` is that between
    assets' own shocks.
    """

    level: Floats
    half_life: Floats
    deviation: Floats
    correlation: Floats
    common: float = 0.0


class Burst(NamedTuple):
    """What comes so many times a year, in one model step: log returns (A,), spread of their size."""

    per_year: float
    move: Floats
    spread: float


class Scenario(NamedTuple):
    """What holds in each step: parameter set, forced regime or -1, price factors of shocks by step."""

    sets: tuple[int, ...]
    forced: tuple[int, ...]
    shocks: dict[int, Floats]
    leader: int


class Kink(NamedTuple):
    """Above the floor more is required: jump + rise x + curve x^2, x = price - floor; times leverage."""

    floor: float
    jump: float
    rise: float
    curve: float


class Bracket(NamedTuple):
    """Of notional above this: initial margin on all of it, maintenance on the part that lies in here."""

    above: float
    initial: float
    maintenance: float


class Interest(NamedTuple):
    """Open interest in coins. From its lower to its upper notional initial margin rises to 100 %."""

    coins: float
    lower: float
    upper: float


class Position(NamedTuple):
    """One perpetual: fractions of notional for initial and maintenance margin, which funding interval.

    Brackets stand in place of the two fractions. `chosen` is the least initial margin the account has set.
    Kinks are of initial and of maintenance margin. The cap is on the annualised funding rate.
    """

    asset: int
    size: float
    initial: float = 0.04
    maintenance: float = 0.02
    interval: int = 0
    brackets: tuple[Bracket, ...] = ()
    interest: Interest | None = None
    chosen: float = 0.0
    kinks: tuple[tuple[Kink, ...], tuple[Kink, ...]] = ((), ())
    cap: float = np.inf


class Coin(NamedTuple):
    """Collateral in an asset (negative: owed), and what part of it does not count as margin."""

    asset: int
    amount: float
    haircut: float = 0.0


class Pool(NamedTuple):
    """Equity at `as_of` but for coins, and what shares it."""

    collateral: float
    positions: tuple[Position, ...]
    coins: tuple[Coin, ...] = ()


class Account(NamedTuple):
    """Equity at `as_of` but for coins, positions, coins; pools apart from these; group or -1.

    `by_leverage`: the kernel is to take its pools leverage by leverage, though it need not.
    """

    collateral: float
    positions: tuple[Position, ...]
    coins: tuple[Coin, ...] = ()
    apart: tuple[Pool, ...] = ()
    group: int = -1
    by_leverage: bool = False

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All of them, the account's own first."""
        return (Pool(self.collateral, self.positions, self.coins), *self.apart)


@dataclass(frozen=True)
class Levels:
    """A chain of its own: first law (M,), transitions (M, M), scale (M,) of volatilities, and of deviations
    of funding and basis."""

    initial: Floats
    transitions: Floats
    scale: Floats


ONE_LEVEL = Levels(np.ones(1), np.ones((1, 1)), np.ones(1))
THREE_LEVELS = Levels(
    np.array([0.5, 0.2, 0.3]),
    np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.0, 0.4, 0.6]]),
    np.array([0.5, 1.0, 1.6]),
)


@dataclass(frozen=True)
class Problem:
    """A market, scenarios, accounts and clock. sets[q][k] is regime k under parameter set q.

    initial is the law of the first regime, (K,), or one for each first level, (M, K).
    """

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
    wick: bool = False  # which takes the bridge too
    substeps: int = 1
    most_jumps: int = 4
    known_rates: Floats | None = None
    """Funding rates at `as_of`, where regimes have `rates`; NaN or None: drawn."""
    marks: tuple[int, ...] = ()
    """Assets that are followed by a perpetual with a basis; those come after the assets in `spot`, shocks and
    positions."""
    overlay: tuple[tuple[float, float], ...] = ()
    """Factor on those rates and what is added to them, by parameter set."""
    levels: Levels = ONE_LEVEL
    bursts: tuple[Burst, ...] = ()
    """Their tails are those of the first parameter set's regimes, in every set."""
    burst_factors: tuple[Floats, ...] = ()
    """(A,) on the moves of bursts, by parameter set."""

    @property
    def first_laws(self) -> Floats:
        """Law of the first regime by the first level, (M, K)."""
        return np.array(np.broadcast_to(self.initial, (self.levels.scale.size, self.initial.shape[-1])))

    @property
    def steps(self) -> int:
        """Number of steps: the last horizon."""
        return self.horizons[-1]

    @property
    def assets(self) -> int:
        """Number of assets, perpetuals apart."""
        return self.spot.size - len(self.marks)

    @property
    def spot_of(self) -> list[int]:
        """For each asset and perpetual, the asset."""
        return [*range(self.assets), *self.marks]


def plain_scenario(steps: int, leader: int = 0) -> Scenario:
    """The baseline: set 0 throughout, nothing forced, no shock."""
    return Scenario((0,) * steps, (-1,) * steps, {}, leader)


def equicorrelation(assets: int, rho: float) -> Floats:
    """A correlation matrix with one number in it."""
    return np.full((assets, assets), rho) + (1.0 - rho) * np.eye(assets)


def with_wicks(problem: Problem, draw: Callable[[int, int], Excess]) -> Problem:
    """The problem with wicks by the law that `draw` gives for a regime, in every set, and a direction."""
    sets = tuple(
        tuple(replace(r, wicks=(draw(k, 0), draw(k, 1))) for k, r in enumerate(regimes))
        for regimes in problem.sets
    )
    return replace(problem, sets=sets, bridge=True, wick=True)


def random_wicks(seed: int, problem: Problem) -> Problem:
    """The problem with wicks of all kinds: never, always, sometimes; exponential and heavy-tailed."""
    assets = problem.assets

    def draw(regime: int, way: int) -> Excess:
        rng = np.random.default_rng((seed, regime, way))
        probability = rng.uniform(0.1, 0.6, assets)
        probability[rng.integers(assets)] = rng.choice([0.0, 1.0])
        tail = np.where(rng.random(assets) < 0.4, 0.0, rng.uniform(0.0, 0.5, assets))
        scale, common = rng.uniform(0.2, 0.9, assets), rng.choice([0.0, 0.8, 1.0])
        lean = rng.uniform(0.0, 0.5, assets) * (rng.random(assets) < 0.7)
        return Excess(probability, scale, tail, common, lean)

    return with_wicks(problem, draw)


def with_bursts(seed: int, problem: Problem) -> Problem:
    """The problem with three bursts of one asset or all, in four model steps of ten; larger in set 1."""
    rng = np.random.default_rng(seed)
    assets, years = problem.assets, problem.substeps * problem.step_years
    share = rng.dirichlet([3.0, 3.0, 3.0])
    moves = rng.normal(0.0, 0.05, (3, assets))
    moves[0, 1:] = 0.0
    spreads = (0.0, 0.4, 1.2)
    bursts = tuple(
        Burst(float(-np.log(0.6) / years * share[j]), moves[j], spreads[j]) for j in range(len(moves))
    )
    factors = tuple(rng.uniform(1.2, 2.0, assets) if q == 1 else np.ones(assets) for q in range(3))
    return replace(problem, bursts=bursts, burst_factors=factors)


def with_two_sided_jumps(seed: int, problem: Problem) -> Problem:
    """The problem with double-exponential jumps in every other regime of a set."""
    rng = np.random.default_rng(seed)
    assets = problem.assets
    sides = np.column_stack([rng.uniform(0.1, 0.9, assets), *rng.uniform(0.01, 0.06, (2, assets))])
    sides[0, 0] = rng.choice([0.0, 0.4, 1.0])
    sets = tuple(
        tuple(replace(r, jump_sides=sides) if (q + k) % 2 == 0 else r for k, r in enumerate(regimes))
        for q, regimes in enumerate(problem.sets)
    )
    return replace(problem, sets=sets)


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
    two_sided: bool = False,
    funding: bool = False,
    rates: bool = False,
    marks: tuple[int, ...] = (),
    bursts: bool = False,
    scenarios: int = 1,
    step_years: float = 1.0 / 365.0,
    **rest: Any,
) -> Problem:
    """A problem with everything asked for in it, wild enough that about half of all cells are hit.

    Scenario 1 has another drift and covariance for a while after a gap at time zero, scenario 2 a forced
    regime and regimes of its own after that, scenario 3 heavier tails and a gap on the way. With `rates`
    funding reverts to its levels, and positions have clamps that bind now and then.
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
    overlay: tuple[tuple[float, float], ...] = ()
    if rates:
        laws = [
            Rates(
                rng.normal(0.0, 2.0, assets),
                step_years * rng.uniform(0.5, 8.0, assets),
                rng.uniform(0.0, 6.0, assets),
                rng.uniform(-1.0, 1.0, assets),
                float(rng.uniform(0.0, 1.0)),
            )
            for _ in range(regimes)
        ]
        base, other, heavy = (
            tuple(replace(r, rates=law) for r, law in zip(of, laws, strict=True))
            for of in (base, other, heavy)
        )
        overlay = ((1.0, 0.0), (-1.5, 0.3), (1.0, 4.0))
        accounts = tuple(
            account._replace(
                positions=tuple(
                    p._replace(cap=(np.inf, 4.0, 8.0)[(i + n) % 3]) for n, p in enumerate(account.positions)
                )
            )
            for i, account in enumerate(accounts)
        )
    if marks:
        of_regime = [
            Rates(
                rng.normal(0.0, 0.02, assets),
                step_years * rng.uniform(0.5, 8.0, assets),
                rng.uniform(0.0, 0.06, assets),
                rng.uniform(-1.0, 1.0, assets),
                float(rng.uniform(0.0, 1.0)),
            )
            for _ in range(regimes)
        ]
        base, other, heavy = (
            tuple(replace(r, basis=law) for r, law in zip(of, of_regime, strict=True))
            for of in (base, other, heavy)
        )
        apart = rng.uniform(0.97, 1.03, len(marks))
        story = tuple(
            s._replace(shocks={t: np.append(f, f[list(marks)] * apart) for t, f in s.shocks.items()})
            for s in story
        )
        accounts = tuple(
            account._replace(
                positions=tuple(
                    p._replace(asset=assets + marks.index(p.asset)) if p.asset in marks and n % 2 == 0 else p
                    for n, p in enumerate(account.positions)
                )
            )
            for account in accounts
        )
        spot = np.append(spot, spot[list(marks)])
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
        "overlay": overlay,
        "marks": marks,
    }
    problem = Problem(**{**given, **rest})
    problem = with_bursts(seed, problem) if bursts else problem
    return with_two_sided_jumps(seed, problem) if two_sided else problem
