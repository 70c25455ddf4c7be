"""Margin calls where a bracket begins: against closed forms, against finer steps, never after the fact."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.leaps import find_passages, least_in_range, place_prices
from kernels.structs import HIGH, LIQUIDATION, LOW, MARGIN_CALL, PLACE, ROOM, WEIGHT, Integers, Law
from tests import margin_oracle, oracle
from tests.kernels.lowered import lower_problem, run_lowered, run_problem
from tests.kernels.mixed_books import BRACKETS, mixed_problem
from tests.kernels.problems import (
    FULL,
    HOUR,
    Account,
    Bracket,
    Floats,
    Position,
    Problem,
    random_problem,
    random_wicks,
    sample,
    simple_problem,
)
from tests.kernels.test_bridge import leave, reflect, score

PATHS = sample(200_000, 320)
DAY = 24
TIERED = ("tiered-long", "tiered-short", "tiered-pair", "coin-owed")


def tiers(low: float, high: float) -> tuple[Bracket, ...]:
    """Initial margin of those rates below 100 of notional and above; half of them for maintenance."""
    return Bracket(0.0, low, 0.5 * low), Bracket(100.0, high, 0.5 * high)


def find_barrier(account: Account, way: float) -> float:
    """The nearest price that way from 100 at which the account has a margin call, or none within 60 %."""
    problem = simple_problem((account,))

    def safe(price: float) -> bool:
        at = np.array([price])
        excess = margin_oracle.excess(problem, account.pools[0], MARGIN_CALL, at, 0.0, np.ones(1))
        return bool(excess[0] >= 0.0)

    assert safe(100.0)
    last = 100.0
    for price in 100.0 + way * np.arange(0.01, 60.0, 0.01):
        if not safe(price):
            return bisect(safe, last, price)
        last = price
    return math.inf * way


def bisect(safe: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where `safe` ends between two prices: a root or a jump."""
    for _ in range(80):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if safe(middle) else (inside, middle)
    return inside


# Account, what it is called by.
EDGES = {
    "short-at-the-edge": Account(8.0, (Position(0, -0.985, brackets=tiers(0.05, 0.1)),)),
    "short-beyond-it": Account(13.0, (Position(0, -0.985, brackets=tiers(0.05, 0.1)),)),
    "short-past-two": Account(
        16.0, (Position(0, -0.985, brackets=(*tiers(0.03, 0.05), Bracket(103, 0.2, 0.1))),)
    ),
    "long-at-the-edge": Account(28.0, (Position(0, 0.985, brackets=tiers(0.02, 0.3)),)),
    "long-above-it": Account(10.5, (Position(0, 1.01, brackets=tiers(0.05, 0.1)),)),
    "long-falls-through-it": Account(12.0, (Position(0, 1.01, brackets=tiers(0.05, 0.1)),)),
    "hedge-mode": Account(
        22.0, (Position(0, 0.985, brackets=tiers(0.05, 0.1)), Position(0, -1.2, brackets=tiers(0.05, 0.1)))
    ),
}


@pytest.mark.parametrize("hours", [4, 24])
@pytest.mark.parametrize("name", EDGES)
def test_simulate_paths__one_edge_is_hit_as_the_reflection_principle_says(name: str, hours: int) -> None:
    """One asset, one barrier within reach: exact, however long the step."""
    account = EDGES[name]
    problem = simple_problem((account,), step_years=hours * HOUR, horizons=(DAY // hours,), bridge=True)
    count = run_problem(problem, 31, 0, PATHS).hits[MARGIN_CALL, 0, 0, 0, 0]
    sd = 0.8 * math.sqrt(DAY * HOUR)
    up, down = find_barrier(account, 1.0), find_barrier(account, -1.0)
    ways = [side * math.log(at / 100.0) for side, at in ((-1.0, up), (1.0, down)) if abs(at) < math.inf]
    p = reflect(max(ways), 0.0, sd)
    assert 0.01 < p < 0.95
    assert all(way == max(ways) or reflect(way, 0.0, sd) < 1e-7 for way in ways)
    assert abs(score(count, p, PATHS)) < 4.2, (p, count / PATHS)


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])
def test_simulate_paths__additive_prices_get_to_an_edge(side: float) -> None:
    account = Account(28.0, (Position(0, 0.985 * side, brackets=tiers(0.02, 0.3)),))
    problem = simple_problem((account,), step_years=DAY * HOUR, horizons=(1,), bridge=True, additive=True)
    count = run_problem(problem, 32, 0, PATHS).hits[MARGIN_CALL, 0, 0, 0, 0]
    p = reflect(1.0 - 1.0 / 0.985, 0.0, 0.8 * math.sqrt(DAY * HOUR))
    assert abs(score(count, p, PATHS)) < 4.2, (p, count / PATHS)


def test_simulate_paths__called_by_a_fall_or_at_the_edge() -> None:
    """Two barriers, one on either side: hourly steps leave next to nothing between."""
    account = Account(8.0, (Position(0, 0.985, brackets=tiers(0.05, 0.1)),))
    problem = simple_problem((account,), horizons=(DAY,), bridge=True)
    count = run_problem(problem, 33, 0, PATHS).hits[MARGIN_CALL, 0, 0, 0, 0]
    low, high = (math.log(find_barrier(account, way) / 100.0) for way in (-1.0, 1.0))
    assert high == pytest.approx(-math.log(0.985))
    p = leave(low, high, 0.0, 0.8 * math.sqrt(DAY * HOUR))
    assert abs(score(count, p, PATHS)) < 4.2, (p, count / PATHS)


def several_assets(hours: float) -> Problem:
    """Books of several assets near their edges, over a day."""

    def position(asset: int, notional: float, high: float = 0.1) -> Position:
        return Position(asset, notional / 100.0, brackets=tiers(0.05, high))

    books = [
        (position(0, 98.5), position(1, 98.0)),
        (position(0, 98.5), position(1, -98.0)),
        (position(0, 98.5, 0.06), position(1, -98.0, 0.06)),
        (position(0, 101.5), position(1, -101.0)),
        (position(0, 101.5), position(1, 101.0)),
        (position(0, 99.0), position(1, -60.0), position(2, 50.0)),
    ]
    accounts = []
    for positions in books:
        at = [margin_oracle.requirement(p, MARGIN_CALL, 100.0, np.ones(1))[0] for p in positions]
        accounts += [Account(sum(at) + spare, positions) for spare in (1.5, 3.0, 4.5)]
    return simple_problem(
        tuple(accounts),
        volatility=[0.8, 0.9, 1.2],
        rho=0.7,
        step_years=hours * HOUR,
        horizons=(round(DAY / hours),),
        bridge=True,
    )


def test_simulate_paths__several_assets_near_edges_by_the_hour_and_finer() -> None:
    """Within 5 % of what steps of 10 minutes give, or of chance; without `leaps` some are off by a third."""
    hourly, finely = sample(50_000, 64), sample(20_000, 64)
    if not FULL:
        pytest.skip("a day of 10-minute steps is long when every line is interpreted")
    p = run_problem(several_assets(1.0), 34, 0, hourly).hits[MARGIN_CALL, 0, :, 0, 0] / hourly
    q = run_problem(several_assets(1.0 / 6.0), 35, 0, finely).hits[MARGIN_CALL, 0, :, 0, 0] / finely
    error = np.sqrt(p * (1.0 - p) / hourly + q * (1.0 - q) / finely)
    assert (np.abs(p - q) < 0.05 * q + 4.2 * error).all()


@pytest.mark.slow
def test_simulate_paths__several_assets_measured() -> None:
    """The table in margin.md."""
    n = 400_000
    fine, hourly = (
        run_problem(several_assets(hours), seed, 0, n).hits[MARGIN_CALL, 0, :, 0, 0] / n
        for hours, seed in ((1.0 / 12.0, 36), (1.0, 37))
    )
    closes = (
        run_problem(replace(several_assets(1.0), bridge=False), 37, 0, n).hits[MARGIN_CALL, 0, :, 0, 0] / n
    )
    error = np.sqrt((fine * (1.0 - fine) + hourly * (1.0 - hourly)) / n)
    for row in zip(closes, hourly, fine, hourly - fine, error, strict=True):
        print(" | ".join(f"{100.0 * x:.3f}" for x in row))
    assert (np.abs(hourly - fine) < 0.05 * fine + 4.2 * error).all()


@pytest.mark.parametrize("monitoring", ["close", "bridge", "wick"])
def test_simulate_paths__calls_at_edges_equal_oracle_path_by_path(monitoring: str) -> None:
    """Where hardly anything but jumps of initial margin decides."""
    problem = several_assets(6.0)
    problem = replace(problem, bridge=monitoring != "close", accounts=(*problem.accounts, *EDGES.values()))
    problem = random_wicks(4, problem) if monitoring == "wick" else problem
    market, book, clock = lower_problem(problem)
    for path in range(24 if FULL else 2):
        tally = run_lowered(market, book, clock, 9, path, 1, 1)
        passage = oracle.simulate_path(problem, 9, path, 1e-10)
        assert not passage.doubtful.any()
        np.testing.assert_array_equal(tally.hits[..., 0], passage.first == 0, err_msg=f"path {path}")


@pytest.mark.parametrize("name", ["short-at-the-edge", "long-above-it"])
def test_simulate_paths__calls_at_an_edge_with_jumps_do_not_depend_on_the_step(name: str) -> None:
    """Jumps cut a step into pieces, each with a range of its own."""
    n, counts = sample(60_000, 128), []
    for hours in (1, 12, 24):
        problem = simple_problem(
            (EDGES[name],), step_years=hours * HOUR, horizons=(DAY // hours,), bridge=True, most_jumps=14
        )
        jumpy = replace(
            problem.sets[0][0], volatility=np.array([0.4]), intensity=800.0, jump_volatility=np.array([0.01])
        )
        counts.append(
            run_problem(replace(problem, sets=((jumpy,),)), 40 + hours, 0, n).hits[MARGIN_CALL, 0, 0, 0, 0]
        )
    for coarse in counts[1:]:
        p = (counts[0] + coarse) / (2.0 * n)
        assert abs(coarse - counts[0]) < 4.2 * math.sqrt(2.0 * n * p * (1.0 - p))


def passages(problem: Problem, paths: int) -> Iterator[Integers]:
    """Hits up to each horizon, path by path."""
    market, book, clock = lower_problem(problem)
    for path in range(paths):
        tally = run_lowered(market, book, clock, 5, path, 1, len(problem.horizons))
        yield np.asarray(tally.hits.cumsum(axis=-1))


@settings(max_examples=40 if FULL else 2, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    assets=st.sampled_from([2, 3]),
    step=st.sampled_from([HOUR, 1 / 365, 1 / 50, 1 / 10]),
    jumps=st.booleans(),
    additive=st.booleans(),
    wick=st.booleans(),
)
def test_simulate_paths__who_is_liquidated_has_been_called(
    seed: int, assets: int, step: float, jumps: bool, additive: bool, wick: bool
) -> None:
    """Path by path, so in every cell."""
    problem = mixed_problem(
        seed, only=TIERED, assets=assets, step_years=step, jumps=jumps, additive=additive, bridge=True
    )
    problem = random_wicks(seed, problem) if wick else problem
    for hits in passages(problem, 20 if FULL else 1):
        assert (hits[MARGIN_CALL] >= hits[LIQUIDATION]).all()


@settings(max_examples=40 if FULL else 2, deadline=None)
@given(seed=st.integers(0, 2**16), step=st.sampled_from([HOUR, 1 / 365, 1 / 10]), jumps=st.booleans())
def test_simulate_paths__one_asset_more_leverage_is_called_no_later(
    seed: int, step: float, jumps: bool
) -> None:
    """In brackets too: margin needed grows faster than leverage."""
    problem = random_problem(seed, assets=2, step_years=step, jumps=jumps, bridge=True)
    positions = (
        Position(a, side * 100.0 / problem.spot[a], brackets=BRACKETS) for a in (0, 1) for side in (1, -1)
    )
    problem = replace(problem, accounts=tuple(Account(70.0, (p,)) for p in positions))
    for hits in passages(problem, 20 if FULL else 1):
        assert (np.diff(hits[: LIQUIDATION + 1], axis=3) >= 0).all()


def test_least_in_range__ends_and_just_beyond_edges() -> None:
    """A long gains with the price and loses 5 at the edge; a short loses more and more."""
    long, short = (Account(0.0, (Position(0, size, brackets=tiers(0.05, 0.1)),)) for size in (0.985, -0.985))
    problem = simple_problem((long, short))
    _, book, _ = lower_problem(problem)
    edge = 100.0 / 0.985
    for pool, low, high, at, lost in [
        (0, 99.0, 101.0, 99.0, 0.0),
        (0, 101.0, 103.0, edge, 5.0),
        (0, edge, 103.0, 103.0, 0.0),  # at the edge itself nothing has jumped yet
        (0, 80.0, 103.0, 80.0, 0.0),
        (1, 99.0, 101.0, 101.0, 0.0),
        (1, 99.0, 103.0, 103.0, 0.0),
    ]:
        size = book.size[book.start[pool]]
        rate = 0.1 if at > edge else 0.05
        want = size * at - rate * abs(size) * at - lost
        assert least_in_range(book, pool, MARGIN_CALL, low, high) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("out", "back", "far", "farther", "times"),
    [
        (1.0, 1.0, 1.0, 1.0, (0.5, 0.5)),  # just touched
        (1.0, 1.0, 2.0, 2.0, (0.25, 0.75)),
        (1.0, 3.0, 2.0, 4.0, (1 / 6, 0.5)),
        (1.0, 3.0, 0.0, 0.0, (0.25, 0.25)),  # between the ends
        (0.0, 0.0, 0.0, 0.0, (0.0, 1.0)),  # nothing moves
    ],
)
def test_find_passages__out_and_back(
    out: float, back: float, far: float, farther: float, times: tuple[float, float]
) -> None:
    assert find_passages(out, back, far, farther) == pytest.approx(times)


def test_place_prices__the_law_of_a_bridge_given_one_price() -> None:
    """Mean and variance of the other price, half way, from the normal law of three correlated moments."""
    account = Account(50.0, (Position(0, 1.0), Position(1, -2.0)))
    problem = simple_problem((account,), volatility=[0.5, 0.8], rho=0.6, step_years=0.01)
    market, book, _ = lower_problem(problem)
    start, end = np.array([[100.0], [100.0]]), np.array([[102.0], [97.0]])
    rng, found = np.random.default_rng(3), []
    root = market.loading[0, 0]
    room = np.zeros((ROOM, 2))
    room[LOW], room[HIGH], room[WEIGHT] = 1.0, 1e4, [1.0, 0.0]
    time, level, weight, length = 0.3, 0.05, 1.4, 0.5
    for _ in range(sample(20_000, 400)):
        noise = (root @ rng.normal(size=root.shape[1]))[:, None]
        place_prices(market, book, 0, Law(0, 0, weight), start, end, noise, 0, length, level, time, room)
        assert room[PLACE, 0] == pytest.approx(100.0 * math.exp(level), rel=1e-12)
        found.append(math.log(room[PLACE, 1] / 100.0))
    beta = 0.6 * 0.8 / 0.5
    mean = time * math.log(0.97) + beta * (level - time * math.log(1.02))
    variance = 0.8**2 * (1 - 0.6**2) * 0.01 * weight**2 * length * time * (1 - time)
    values: Floats = np.array(found)
    assert abs(values.mean() - mean) < 4.2 * math.sqrt(variance / values.size)
    assert values.var() == pytest.approx(variance, rel=4.2 * math.sqrt(2.0 / values.size))
    room[LOW, 1], room[HIGH, 1] = 97.0, 100.5
    place_prices(market, book, 0, Law(0, 0, weight), start, end, noise, 0, length, 0.9, time, room)
    assert room[PLACE, 1] == 100.5  # a price stays where it has been
