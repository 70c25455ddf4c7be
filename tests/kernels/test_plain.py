"""The fast walk against the general one: the same paths, in float32."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kernels import plain_room
from kernels.plain import TILE, find_obstacle
from kernels.plain_pack import pack
from kernels.plain_sort import sort_lanes
from kernels.plain_walk import simulate_plain_paths
from kernels.simulate import simulate_paths
from kernels.structs import LIQUIDATION, MARGIN_CALL, UNSEEN, Book, Clock, Market, Tally, create_tally
from tests.kernels.lowered import lower_problem, run_lowered
from tests.kernels.mixed_books import mixed_problem
from tests.kernels.problems import (
    FULL,
    THREE_LEVELS,
    Account,
    Burst,
    Coin,
    Pool,
    Position,
    Problem,
    random_problem,
    sample,
    simple_problem,
)

PROBLEMS: dict[str, dict[str, Any]] = {
    "one-asset": {"assets": 1, "regimes": 1},
    "regimes": {"assets": 2, "regimes": 3},
    "scenarios": {"assets": 3, "regimes": 3, "scenarios": 4, "funding": True},
    "tails": {"assets": 5, "regimes": 2, "scenarios": 4, "df": 3.5, "funding": True},
    "levels": {"assets": 3, "regimes": 2, "scenarios": 4, "df": 4.0, "levels": THREE_LEVELS},
    "substeps": {"assets": 2, "regimes": 3, "scenarios": 4, "df": 4.0, "substeps": 5, "levels": THREE_LEVELS},
    "rates": {"assets": 3, "regimes": 3, "scenarios": 4, "df": 3.5, "rates": True},
    "rates-levels": {"assets": 6, "regimes": 2, "scenarios": 4, "rates": True, "levels": THREE_LEVELS},
    "rates-known": {"assets": 2, "regimes": 4, "rates": True, "known_rates": np.array([3.0, np.nan])},
    "jumps": {"assets": 3, "regimes": 2, "scenarios": 4, "df": 4.0, "jumps": True, "funding": True},
    "two-sided": {"assets": 2, "regimes": 3, "scenarios": 4, "jumps": True, "two_sided": True},
    "jumps-substeps": {"assets": 5, "regimes": 2, "scenarios": 2, "jumps": True, "substeps": 5},
    "rates-jumps": {
        "assets": 4,
        "regimes": 3,
        "scenarios": 4,
        "jumps": True,
        "two_sided": True,
        "rates": True,
    },
    "bursts": {"assets": 3, "regimes": 2, "scenarios": 4, "bursts": True, "funding": True},
    "bursts-tails": {
        **{"assets": 6, "regimes": 3, "scenarios": 4, "df": 3.5, "levels": THREE_LEVELS},
        **{"bursts": True, "jumps": True},
    },
    "bursts-substeps": {
        **{"assets": 2, "regimes": 2, "scenarios": 4, "df": 4.0, "levels": THREE_LEVELS},
        **{"bursts": True, "rates": True, "substeps": 5},
    },
    "wild-steps": {"assets": 9, "regimes": 2, "scenarios": 4, "step_years": 1.0 / 30.0},
}


Lowered = tuple[Market, Book, Clock]


def lower(problem: Problem) -> Lowered:
    market, book, clock = lower_problem(problem)
    assert find_obstacle(market, book, clock) == ""
    return market, book, clock


def run_fast(problem: Problem, seed: int, first: int, paths: int, lowered: Lowered | None = None) -> Tally:
    """Tally a range of paths by the fast walk."""
    market, book, clock = lowered or lower(problem)
    horizons = len(problem.horizons)
    several = int(book.several.max(initial=-1)) + 1
    shape = market.parameters.shape[0], book.pools.size, book.multiple.size, horizons
    tally = create_tally(*shape, joint=True, several=several)
    plain = pack(market, book, clock)
    simulate_plain_paths(seed, first, paths, plain, tally.hits, tally.joint, tally.last_pool)
    return tally


def check_same(problem: Problem, paths: int, lowered: Lowered | None = None) -> None:
    """Counts of both walks: a decision in 20,000 may fall differently where X comes so close to its level."""
    first = 2**32 - 70  # both words of the path's number take part
    lowered = lowered or lower(problem)
    fast = run_fast(problem, 11, first, paths, lowered)
    general = run_lowered(*lowered, 11, first, paths, len(problem.horizons))
    for name in ("hits", "joint", "last_pool"):
        got, want = getattr(fast, name), getattr(general, name)
        off = np.abs(np.cumsum(got - want, axis=1 if name == "joint" else -1)).sum()
        assert off <= 5e-5 * paths * want[..., 0].size, name
    assert 0.2 < fast.hits.sum() / (paths * fast.hits[..., 0].size) < 0.8


@pytest.mark.parametrize("name", PROBLEMS)
def test_simulate_plain_paths__equal_the_general_walk(name: str) -> None:
    check_same(random_problem(100 + len(name), **PROBLEMS[name]), sample(3000, 40))


def test_simulate_plain_paths__accounts_of_several_pools() -> None:
    def position(asset: int, size: float, maintenance: float = 0.02) -> Position:
        return Position(asset, size, 0.05, maintenance, asset)

    problem = random_problem(8, assets=2, regimes=3, df=4.0, funding=True, scenarios=4)
    spot = problem.spot
    apart = Pool(30.0, (position(0, -50.0 / spot[0]),)), Pool(40.0, (position(1, 90.0 / spot[1]),))
    harmless = Pool(10.0, (position(0, 30.0 / spot[0], 0.0),)), apart[0]
    accounts = (
        Account(60.0, (position(0, 60.0 / spot[0]), position(1, 40.0 / spot[1])), (), apart),
        Account(25.0, (), (Coin(1, 10.0 / spot[1], 0.3),), harmless),
        Account(80.0, (position(0, 60.0 / spot[0]),), by_leverage=True),
        Account(5.0, ()),
    )
    problem = replace(problem, accounts=accounts)
    check_same(problem, sample(3000, 40))
    assert not FULL or run_fast(problem, 5, 0, 640).last_pool.any()


def test_simulate_plain_paths__replays_and_halts() -> None:
    """Returns laid on top of a step's, and steps at whose end nobody looks."""
    problem = random_problem(12, assets=3, regimes=2, funding=True, scenarios=4)
    market, book, clock = lower(problem)
    replay = np.full_like(market.replay, -1)
    replay[1, 3], replay[2, 5] = 0, 1
    watch = clock.watch.copy()
    watch[0, 2:6] = UNSEEN
    watch[3, :4] = UNSEEN
    laid = market._replace(replay=replay, replays=np.array([[-0.2, 0.1, -0.3], [0.3, -0.1, 0.2]]))
    changed = laid, book, clock._replace(watch=watch)
    paths = sample(3000, 40)
    check_same(problem, paths, changed)
    before, after = run_fast(problem, 11, 0, paths), run_fast(problem, 11, 0, paths, changed)
    assert all((before.hits[:, s] != after.hits[:, s]).any() for s in range(4))


def test_simulate_plain_paths__events_and_cash() -> None:
    """Each path draws an event's way and size; cash changes at `as_of` and later, of each pool its own."""
    problem = random_problem(111, assets=3, regimes=2, funding=True, scenarios=4)
    market, book, clock = lower(problem)
    event, cash = np.full_like(market.event, -1), np.full_like(book.cash, -1)
    event[1, 4], event[2, 6] = 0, 1
    cash[0, 3], cash[2, 0], cash[3, 0], cash[3, 7] = 0, 1, 0, 1
    moves = np.array([[[0.2, 0.1, 0.3], [-0.3, -0.2, -0.4]], [[0.05, 0.1, 0.0], [-0.6, -0.5, -0.4]]])
    pools = book.base.size
    changed = (
        market._replace(event=event, events=moves, event_law=np.array([[0.3, 0.4], [0.6, 0.0]])),
        book._replace(
            cash=cash, cashes=np.stack([np.linspace(-25.0, 5.0, pools), np.linspace(10.0, -30.0, pools)])
        ),
        clock,
    )
    paths = sample(3000, 40)
    check_same(problem, paths, changed)
    before, after = run_fast(problem, 11, 0, paths), run_fast(problem, 11, 0, paths, changed)
    assert all((before.hits[:, s] != after.hits[:, s]).any() for s in range(4))


def test_simulate_plain_paths__cash_alone_without_funding() -> None:
    problem = random_problem(5, assets=2, regimes=2)
    market, book, clock = lower(problem)
    cash = np.full_like(book.cash, -1)
    cash[0, 2] = 0
    less = book._replace(cash=cash, cashes=np.full((1, book.base.size), -20.0))
    check_same(problem, sample(3000, 40), (market, less, clock))


def test_simulate_plain_paths__clamps_on_constant_rates() -> None:
    """Positions of one asset under different clamps pay different rates."""
    problem = random_problem(117, assets=3, regimes=2, funding=True, scenarios=4)
    accounts = tuple(
        account._replace(
            positions=tuple(
                p._replace(cap=(np.inf, 0.3, 1.0)[(i + n) % 3]) for n, p in enumerate(account.positions)
            )
        )
        for i, account in enumerate(problem.accounts)
    )
    clamped = replace(problem, accounts=accounts)
    paths = sample(3000, 40)
    assert lower(clamped)[0].clamps
    check_same(clamped, paths)
    assert (run_fast(problem, 11, 0, paths).hits != run_fast(clamped, 11, 0, paths).hits).any()


def test_simulate_plain_paths__scenarios_that_differ_in_jumps_alone() -> None:
    problem = random_problem(6, assets=2, regimes=2, jumps=True, scenarios=4)
    market, book, clock = lower(problem)
    assert not pack(market, book, clock).factor_of[3].any()
    rarer = market.jump_law.copy()
    rarer[2] **= 0.2
    other = market._replace(jump_law=rarer)
    assert (pack(other, book, clock).factor_of[3] == 3).all()
    check_same(problem, sample(3000, 40), (other, book, clock))


def test_simulate_plain_paths__bursts_in_some_scenarios() -> None:
    """None in scenario 1 for a while, as under a replay in the model's place, and others in scenario 3."""
    problem = random_problem(106, assets=2, regimes=2, df=4.0, bursts=True, scenarios=4)
    market, book, clock = lower(problem)
    moves = market.burst_move.copy()
    moves[1] = 0.0
    moves[2] *= -3.0
    other = market._replace(burst_move=moves, mixing=np.repeat(market.mixing[:1], 3, axis=0))
    alike = other._replace(burst_move=np.repeat(moves[:1], 3, axis=0))
    np.testing.assert_array_equal(pack(other, book, clock).factor_of[3], 3)
    np.testing.assert_array_equal(pack(alike, book, clock).factor_of[3], 0)
    paths = sample(3000, 40)
    check_same(problem, paths, (other, book, clock))
    tallies = [run_fast(problem, 11, 0, paths, (each, book, clock)).hits for each in (market, other)]
    assert [bool((tallies[0][:, s] != tallies[1][:, s]).any()) for s in range(4)] == [
        False,
        True,
        False,
        True,
    ]


def test_simulate_plain_paths__a_burst_in_every_step() -> None:
    """Its probability rounds to one: no word is above it."""
    problem = random_problem(7, assets=2, regimes=2, df=4.0, scenarios=2)
    bursts = (Burst(1e9, np.array([0.03, 0.0]), 0.5),)
    problem = replace(problem, bursts=bursts)
    assert lower(problem)[0].burst_law[0] == 1.0
    check_same(problem, sample(3000, 40))


def test_pack__scenarios_share_rates_until_something_tells_them_apart() -> None:
    """Scenario 1 has another covariance in steps 3 to 7, 2 its own regimes, 3 other tails from the start."""
    rates = pack(*lower(random_problem(6, assets=3, regimes=2, df=4.0, scenarios=4, rates=True))).rates
    np.testing.assert_array_equal(rates.of[:, 0], [0, 0, 2, 3])
    np.testing.assert_array_equal(rates.of[1], [0, 0, 0, 1, 1, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("regimes", [2, 3, 4, 6])
def test_sort_lanes__every_lane_in_the_region_of_its_regime(regimes: int) -> None:
    rng = np.random.default_rng(regimes)
    for _ in range(sample(200, 20)):
        regime = rng.integers(0, regimes, (3, 1, TILE)).astype(np.uint32)
        number = np.arange(3 * TILE, dtype=np.uint32).reshape(3, 1, TILE)
        state = number.astype(np.float32)
        before = regime.ravel().copy()
        sizes, astray = np.zeros(regimes, np.int64), np.zeros((regimes, regimes, 3 * TILE + 1), np.int64)
        sort_lanes(regime[:, 0], sizes, astray, (number, regime), (state,))
        np.testing.assert_array_equal(regime.ravel(), np.sort(before))
        np.testing.assert_array_equal(before[number.ravel()], regime.ravel())
        np.testing.assert_array_equal(state, number)


@pytest.mark.parametrize("cuts", [(32,), (1, 2, 63), (100,), (37, 101, 165, 170)])
def test_simulate_plain_paths__any_split_of_the_paths(cuts: tuple[int, ...]) -> None:
    problem = random_problem(8, assets=3, regimes=3, df=4.0, funding=True, scenarios=4)
    whole = run_fast(problem, 5, 10, 200)
    parts = [run_fast(problem, 5, 10 + a, b - a) for a, b in pairwise([0, *cuts, 200])]
    for name in ("hits", "joint"):
        assert getattr(whole, name).any()
        np.testing.assert_array_equal(getattr(whole, name), sum(getattr(part, name) for part in parts))


@pytest.mark.parametrize("levels", [None, THREE_LEVELS], ids=["one-level", "levels"])
def test_simulate_plain_paths__sorted_or_not(levels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths by regime, 512 side by side, or as they come: the same counts of the same paths."""
    features: dict[str, Any] = {} if levels is None else {"levels": levels, "substeps": 5}
    features |= {"rates": True, "jumps": True, "bursts": True}
    problem = random_problem(9, assets=5, regimes=3, df=4.0, scenarios=4, **features)
    tallies = []
    for tiles in (1, 3, 16):
        monkeypatch.setattr(plain_room, "count_tiles", lambda plain, tiles=tiles: tiles)
        tallies.append(run_fast(problem, 5, 10, sample(1200, 110)))
    for other in tallies[1:]:
        np.testing.assert_array_equal(tallies[0].hits, other.hits)
        np.testing.assert_array_equal(tallies[0].joint, other.joint)


def test_simulate_plain_paths__zero_leaves_nothing_to_rounding() -> None:
    """At `as_of` an account may stand exactly on its requirement: that is not below it, in float64."""
    price, size = 1.0 / 3.0, 0.3
    maintenance = 0.1
    exact = maintenance * size * price
    accounts = tuple(
        Account(exact * factor, (Position(0, size, 0.2, maintenance),))
        for factor in (1.0 - 1e-9, 1.0, 1.0 + 1e-9)
    )
    problem = simple_problem(accounts)
    tally = run_fast(replace(problem, spot=np.array([price])), 1, 0, 64)
    assert (tally.hits[LIQUIDATION, 0, 0, :, 0] > 0).any()
    first = tally.hits[LIQUIDATION, 0, :, list(problem.leverages).index(1.0), 0]
    assert first[0] == 64
    assert first[1] < 64


def test_simulate_plain_paths__refuses_arrays_that_are_not_of_tiles() -> None:
    """It says so, instead of adding nothing to the counts."""
    plain = pack(*lower(random_problem(9, assets=2, regimes=2)))
    odd = plain._replace(weights=np.ascontiguousarray(plain.weights[..., :3]))
    hits, joint = np.zeros((3, 1, 6, 6, 3), np.int64), np.zeros((1, 3, 6, 6), np.int64)
    with pytest.raises(ValueError, match="tiles of 32 paths"):
        simulate_plain_paths(1, 0, 64, odd, hits, joint, np.zeros((1, 0, 6, 3), np.int64))


def test_simulate_paths__takes_the_fast_walk_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = random_problem(9, assets=2, regimes=2)
    market, book, clock = lower(problem)
    tally = create_tally(1, book.pools.size, book.multiple.size, len(problem.horizons), joint=True)
    taken = []
    monkeypatch.setattr("kernels.simulate.simulate_plain_paths", lambda *given: taken.append(given))
    simulate_paths(1, 0, 64, market, book, clock, tally)
    assert len(taken) == 1
    simulate_paths(1, 0, 64, market, book, clock._replace(bridge=1), tally)
    assert len(taken) == 1
    assert tally.hits[MARGIN_CALL].any()


def test_simulate_paths__nobody_falls_by_rounding_where_an_asset_stands_still() -> None:
    """Twelve accounts exactly on their requirement, on an asset that does not move beside one that does."""
    spot = np.array([1.0 / 3.0, 100.0])
    accounts = tuple(
        Account(0.01 * (i + 1) * (0.3 + i) * spot[0], (Position(0, 0.3 + i, 0.5, 0.01 * (i + 1)),))
        for i in range(12)
    )
    problem = simple_problem(accounts, volatility=[0.0, 0.8], spot=spot, horizons=(2, 4))
    market, book, clock = lower_problem(problem)
    assert find_obstacle(market, book, clock) == "an asset that stands still"
    tally = create_tally(1, 12, book.multiple.size, 2, joint=True)
    simulate_paths(1, 0, 32, market, book, clock, tally)
    assert not tally.hits[LIQUIDATION, 0, :, list(problem.leverages).index(1.0)].any()


OBSTACLES: dict[str, dict[str, Any]] = {
    "watched between step ends": {"bridge": True},
    "additive returns": {"additive": True},
    "basis": {"marks": (0,)},
}


@pytest.mark.parametrize("words", OBSTACLES)
def test_find_obstacle__names_what_the_fast_walk_cannot_take(words: str) -> None:
    problem = random_problem(9, **({"assets": 2, "regimes": 2} | OBSTACLES[words]))
    assert find_obstacle(*lower_problem(problem)) == words


def test_find_obstacle__books() -> None:
    tiered = mixed_problem(8, only=("tiered-long",), assets=2, regimes=2)
    assert find_obstacle(*lower_problem(tiered)) == "brackets of margin"
    grouped = mixed_problem(8, only=("plain",), assets=2, regimes=2)
    assert find_obstacle(*lower_problem(grouped)) == "groups of accounts"
    market, book, clock = lower_problem(random_problem(9, assets=2, regimes=2))
    still = market._replace(loading=np.zeros_like(market.loading))
    still = still._replace(volatility=np.zeros_like(market.volatility))
    assert find_obstacle(still, book, clock) == "an asset that stands still"
    assert find_obstacle(market, book, clock._replace(wick=1)) == "watched between step ends"
    late = clock._replace(seen=clock.seen + 1)
    assert find_obstacle(market, book, late) == "hits that are seen late"
