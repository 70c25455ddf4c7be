"""Between the ends of a step: the minimum's law, the cut at jumps, and whole runs against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr
from scipy.stats import kstest

from kernels.bridge import could_reach, dip_between, find_depth, split_step
from kernels.market import draw_jump_sum
from kernels.structs import BANKRUPTCY, LANES, LIQUIDATION, MARGIN_CALL, Key, Law, Pieces
from tests import margin_oracle, oracle
from tests.kernels.double_exponential import Process, above_at, above_by
from tests.kernels.lowered import lower_problem, run_problem, step_of
from tests.kernels.problems import (
    HOUR,
    Account,
    Bracket,
    Floats,
    Pool,
    Position,
    Problem,
    random_problem,
    sample,
    simple_problem,
)

PATHS = sample(400_000, 320)


def reflect(barrier: float, drift: float, sd: float) -> float:
    """P(a Brownian motion from 0 with this drift and sd at the end goes below barrier < 0 on the way)."""
    return float(
        ndtr((barrier - drift) / sd) + math.exp(2.0 * drift * barrier / sd**2) * ndtr((barrier + drift) / sd)
    )


def leave(low: float, high: float, drift: float, sd: float) -> float:
    """P(it leaves (low, high) on the way): images at every 2 (high - low), reweighted for the drift."""
    width = high - low

    def density(x: float) -> float:
        images = sum(
            math.exp(-0.5 * ((x - 2 * k * width) / sd) ** 2)
            - math.exp(-0.5 * ((x - 2 * low - 2 * k * width) / sd) ** 2)
            for k in range(-6, 7)
        )
        tilt = math.exp(drift * (x - 0.5 * drift) / sd**2)
        return tilt * images / (sd * math.sqrt(2.0 * math.pi))

    return 1.0 - float(quad(density, low, high, epsabs=1e-12)[0])


def score(count: float, p: float, n: int) -> float:
    """Standard score of a binomial count."""
    return (count - n * p) / math.sqrt(n * p * (1.0 - p))


def room_for(problem: Problem) -> Pieces:
    """Arrays for the pieces of a step."""
    assets, most = problem.spot.size, problem.most_jumps + 1
    factors = 4 * -(-assets // 4)
    positions = sum(len(a.positions) + 1 for a in problem.accounts)
    by_piece = np.zeros((3, assets, most))
    return Pieces(
        by_piece[0],
        by_piece[1],
        np.zeros(most),
        np.zeros(factors),
        by_piece[2],
        np.zeros(positions),
        np.zeros((3, assets)),
    )


def draw_dips(problem: Problem, account: int, weight: float, length: float, draws: int) -> tuple[Floats, ...]:
    """X at both ends and its least in between (each (draws,)), for steps from spot with random ends."""
    market, book, _ = lower_problem(problem)
    rng = np.random.default_rng(5)
    scale = np.diag(weight * math.sqrt(length) * np.ones(market.loading.shape[3]))
    rows = []
    weighted = room_for(problem).weighted
    held = slice(book.start[account], book.start[account + 1])
    net = book.size[held] - book.requirement[LIQUIDATION, held]
    for _ in range(draws):
        root = market.loading[0, 0]
        move = root @ scale @ rng.normal(size=root.shape[1])
        end = problem.spot * (1.0 + move if problem.additive else np.exp(move))
        noise = root @ rng.normal(size=root.shape[1])
        start_margin = 0.0
        margin = float(net @ (end - problem.spot)[book.asset[held]])
        low = dip_between(
            market,
            book,
            account,
            LIQUIDATION,
            Law(0, 0, weight),
            problem.spot[:, None].copy(),
            end[:, None].copy(),
            noise[:, None].copy(),
            0,
            length,
            start_margin,
            margin,
            1e9,
            weighted,
        )
        rows.append((start_margin, margin, low, *end))
    return tuple(np.array(rows).T)


def test_could_reach__is_a_bound_for_every_zeta() -> None:
    zeta = np.concatenate([np.linspace(-38.0, 9.0, sample(20_000, 2000)), -np.logspace(-12, 1, 300), [0.0]])
    for z in zeta:
        needed = -float(log_ndtr(z))
        assert could_reach(z, needed * (1.0 - 4e-16))
    # and not a useless one: a tenth more in the tail and it says no
    assert not could_reach(-3.0, 1.2 * -float(log_ndtr(-3.0)))
    assert not could_reach(2.0, 0.7)


def test_find_depth__minus_log_of_the_normal_law() -> None:
    zeta = np.linspace(-37.0, 3.0, 500)
    got = np.array([find_depth(z) for z in zeta])
    np.testing.assert_allclose(got, -log_ndtr(zeta), rtol=1e-12)
    assert find_depth(9.0) == pytest.approx(0.0, abs=1e-15)
    assert 700.0 < find_depth(-39.0) < 800.0  # where erfc underflows


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_dip_between__one_asset_has_the_exact_law(side: float) -> None:
    """exp(-2 m (m - x) / v) at the log price's extreme m is uniform, whatever the return x."""
    problem = simple_problem((Account(10.0, (Position(0, side),)),), volatility=0.9, step_years=1 / 52)
    weight, length = 1.7, 0.4
    _, _, low, end = draw_dips(problem, 0, weight, length, sample(20_000, 400))
    extreme = np.log(1.0 + low / (side - 0.02) / 100.0)
    move = np.log(end / 100.0)
    u = np.exp(-2.0 * extreme * (extreme - move) / (0.81 / 52 * weight**2 * length))
    assert kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u, move)[0, 1]) < 4.5 / math.sqrt(len(u))
    # unconditionally: below a barrier as the reflection principle says
    sd = math.sqrt(0.81 / 52 * length) * weight
    below = int((side * extreme < -0.7 * sd).sum())
    assert abs(score(below, reflect(-0.7, 0.0, 1.0), len(u))) < 4.0


@pytest.mark.parametrize("requirement", [0.02, 0.3])
def test_dip_between__additive_prices_have_the_exact_law(requirement: float) -> None:
    account = Account(
        10.0, (Position(0, 1.0, maintenance=requirement), Position(1, -2.0, maintenance=requirement))
    )
    problem = simple_problem(
        (account,), volatility=[0.5, 0.8], rho=0.6, spot=[100.0, 40.0], step_years=0.01, additive=True
    )
    start, finish, low, *_ = draw_dips(problem, 0, 1.3, 0.7, sample(20_000, 400))
    slope = np.array([1.0 - requirement, -2.0 - 2.0 * requirement]) * problem.spot
    sd = np.array([0.5, 0.8])
    variance = slope @ (np.outer(sd, sd) * [[1, 0.6], [0.6, 1]] * 0.01) @ slope * 1.3**2 * 0.7
    u = np.exp(-2.0 * (start - low) * (finish - low) / variance)
    assert kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u, finish)[0, 1]) < 4.5 / math.sqrt(len(u))


def test_dip_between__long_and_short_mirror_one_another() -> None:
    """One normal decides both: where the long dips deep, the short hardly dips."""
    accounts = (Account(10.0, (Position(0, 1.0),)), Account(10.0, (Position(0, -1.0),)))
    problem = simple_problem(accounts, volatility=0.9, step_years=1 / 52)
    shares = []
    for i, slope in enumerate((0.98, -1.02)):
        _, _, low, end = draw_dips(problem, i, 1.0, 1.0, 200)
        extreme, move = np.log(1.0 + low / slope / 100.0), np.log(end / 100.0)
        shares.append(np.exp(-2.0 * extreme * (extreme - move) / (0.81 / 52)))
    np.testing.assert_allclose(shares[0] + shares[1], 1.0, atol=1e-6)


def test_dip_between__no_risk_no_dip() -> None:
    """Long and short of one asset and no maintenance: nothing can happen in between."""
    account = Account(1.0, (Position(0, 0.3, maintenance=0.0), Position(0, -0.3, maintenance=0.0)))
    problem = simple_problem((account,), volatility=0.9)
    start, finish, low, _ = draw_dips(problem, 0, 1.0, 1.0, 200)
    np.testing.assert_allclose(low, np.minimum(start, finish), atol=1e-12)


@pytest.mark.parametrize("jumps", [0, 1, 2, 4])
@pytest.mark.parametrize("additive", [False, True], ids=["log", "additive"])
def test_split_step__pieces_and_jumps_make_up_the_step(jumps: int, additive: bool) -> None:
    """Lengths add to one, and the jumps between pieces to the step's jump sum, the pieces to its diffusion.

    Taken over all paths, pieces by the root of their length and jumps by themselves are independent normals:
    the laws of a Brownian path and of independent jumps, each given nothing but itself.
    """
    weight, draws = 1.4, sample(6000, 300)
    problem = random_problem(60, assets=3, regimes=1, jumps=True, additive=additive)
    market, _, _ = lower_problem(problem)
    regime, pieces, law = problem.sets[0][0], room_for(problem), Law(0, 0, weight)
    rng = np.random.default_rng(6)
    root = market.loading[0, 0]
    now = step_of(3)
    lane = 3
    now.jumps[lane] = jumps
    now.before[:, lane] = [90.0, 35.0, 120.0]
    price, normal, jump_sum = np.zeros((3, LANES)), np.zeros(4), np.zeros(3)
    gone, leaps, lengths = [], [], []

    def measure(start: Floats, end: Floats) -> Floats:
        return np.asarray((end - start) / problem.spot if additive else np.log(end / start))

    for path in range(draws):
        key = Key(np.uint64(1), np.uint64(path), np.uint64(2))
        draw_jump_sum(market, law, key, jumps, normal, jump_sum)
        diffusion = weight * root @ rng.normal(size=4)
        now.move[:, lane] = diffusion + jump_sum
        price[:, lane] = (
            now.before[:, lane] + problem.spot * now.move[:, lane]
            if additive
            else now.before[:, lane] * np.exp(now.move[:, lane])
        )
        split_step(market, law, key, now, price, lane, pieces)
        count = jumps + 1
        starts, ends = pieces.starts[:, :count].T, pieces.ends[:, :count].T
        share = pieces.lengths[:count].copy()
        np.testing.assert_array_equal(starts[0], now.before[:, lane])
        np.testing.assert_array_equal(ends[-1], price[:, lane])
        assert (share > 0.0).all()
        assert share.sum() == pytest.approx(1.0, abs=1e-15)
        leap = np.array([measure(a, b) for a, b in zip(ends[:-1], starts[1:], strict=True)]).reshape(-1, 3)
        went = np.array([measure(a, b) for a, b in zip(starts, ends, strict=True)])
        np.testing.assert_allclose(leap.sum(axis=0), jump_sum * (jumps > 0), atol=1e-13)
        np.testing.assert_allclose(went.sum(axis=0), now.move[:, lane] - jump_sum * (jumps > 0), atol=1e-13)
        gone.append(np.linalg.solve(weight * root[:, :3], went.T) / np.sqrt(share))
        leaps.append(((leap - regime.jump_mean) / regime.jump_volatility).T)
        lengths.append(share)
    flat = np.array(gone).reshape(draws, -1)
    assert np.abs(np.cov(flat.T, bias=True) - np.eye(3 * count)).max() < 5.0 * math.sqrt(2.0 / draws)
    assert np.abs(flat.mean(axis=0)).max() < 4.5 / math.sqrt(draws)
    if jumps > 0:
        each = np.array(leaps)  # (draws, 3, jumps)
        want = np.kron(regime.jump_correlation, np.eye(jumps))
        z = each.reshape(draws, -1)
        assert np.abs(np.cov(z.T, bias=True) - want).max() < 5.0 * math.sqrt(2.0 / draws)
        assert np.abs(z.mean(axis=0)).max() < 4.5 / math.sqrt(draws)
        # spacings of n uniforms: each a Beta(1, n)
        for i in range(count):
            assert kstest(np.array(lengths)[:, i], "beta", (1, jumps)).pvalue > 1e-5


@pytest.mark.parametrize("jumps", [1, 3])
def test_split_step__double_exponential_jumps_are_those_of_the_sum(jumps: int) -> None:
    """The cut has each jump by itself, in the order of its number: the oracle's, one by one."""
    problem = random_problem(61, assets=3, regimes=1, jumps=True, two_sided=True)
    market, _, _ = lower_problem(problem)
    pieces, law, now = room_for(problem), Law(0, 0, 1.0), step_of(3)
    now.jumps[0] = jumps
    now.before[:, 0] = [90.0, 35.0, 120.0]
    price, normal, jump_sum = np.zeros((3, LANES)), np.zeros(4), np.zeros(3)
    for path in range(50):
        key = Key(np.uint64(1), np.uint64(path), np.uint64(2))
        draw_jump_sum(market, law, key, jumps, normal, jump_sum)
        now.move[:, 0] = jump_sum
        price[:, 0] = now.before[:, 0] * np.exp(jump_sum)
        split_step(market, law, key, now, price, 0, pieces)
        leaps = np.log(pieces.starts[:, 1 : jumps + 1] / pieces.ends[:, :jumps]).T
        place = oracle.Place(1, path, 2)
        want = [oracle.find_jump(problem, problem.sets[0][0], place, i) for i in range(jumps)]
        np.testing.assert_allclose(leaps, want, atol=1e-12)
        np.testing.assert_allclose(jump_sum, np.sum(want, axis=0), atol=1e-12)


@pytest.mark.parametrize("hours", [1, 8, 24])
@pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])
@pytest.mark.parametrize("volatility", [0.6, 2.5])
def test_simulate_paths__one_asset_in_bridge_is_exact(side: float, hours: int, volatility: float) -> None:
    """Barriers in the log price, whatever the step: the reflection principle for each mark and leverage."""
    horizon, drift = 72, -0.4
    account = Account(100.0, (Position(0, side, initial=0.05, maintenance=0.01),))
    problem = simple_problem(
        (account,),
        volatility=volatility,
        drift=drift,
        step_years=hours * HOUR,
        horizons=(horizon // hours // 3 or 1, horizon // hours),
        leverages=(1.0, 2.0, 4.0, 8.0, 16.0),
        bridge=True,
    )
    counts = run_problem(problem, 12 + hours, 0, PATHS).hits.cumsum(axis=-1)
    for mark, fraction in [(MARGIN_CALL, 0.05), (LIQUIDATION, 0.01), (BANKRUPTCY, 0.0)]:
        for i, leverage in enumerate(problem.leverages):
            # 100 + l side (S - 100) = l fraction S
            price = (100.0 * leverage * side - 100.0) / (leverage * (side - fraction))
            if side > 0.0 and price <= 0.0:
                assert not counts[mark, 0, 0, i].any()
                continue
            for h, steps in enumerate(problem.horizons):
                years = steps * hours * HOUR
                barrier = side * math.log(price / 100.0)
                p = reflect(barrier, side * drift * years, volatility * math.sqrt(years))
                count = counts[mark, 0, 0, i, h]
                if PATHS * p > 10.0 and PATHS * (1.0 - p) > 10.0:
                    assert abs(score(count, p, PATHS)) < 4.2, (mark, leverage, steps, p, count / PATHS)
                elif PATHS * p < 1e-4:
                    assert count <= 1


@pytest.mark.parametrize("hours", [4, 12])
@pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])
def test_simulate_paths__maintenance_by_bracket_is_hit_as_one_barrier_says(side: float, hours: int) -> None:
    """Brackets around the price: where equity meets maintenance is one price, and the reflection principle's.

    A straight line within a step, bent where it crosses an edge, is not exact; it is not seen here.
    """
    rates = ((0.0, 0.005), (95.0, 0.01), (105.0, 0.05), (125.0, 0.15))
    position = Position(0, side, brackets=tuple(Bracket(above, 0.5, rate) for above, rate in rates))
    problem = simple_problem(
        tuple(Account(equity, (position,)) for equity in (5.0, 10.0, 15.0, 25.0)),
        step_years=hours * HOUR,
        horizons=(144 // hours,),
        bridge=True,
    )
    n = PATHS // 2
    counts = run_problem(problem, 21, 0, n).hits[LIQUIDATION, 0, :, 0, 0]
    for account, count in zip(problem.accounts, counts, strict=True):

        def margin(price: float, pool: Pool = account.pools[0]) -> float:
            at = np.array([price])
            return float(margin_oracle.excess(problem, pool, LIQUIDATION, at, 0.0, np.ones(1))[0])

        barrier = brentq(margin, 100.0, 100.0 * math.exp(-1.4 * side))
        p = reflect(side * math.log(barrier / 100.0), 0.0, 0.8 * math.sqrt(144.0 * HOUR))
        assert abs(score(count, p, n)) < 4.2 or n * p < 10.0, (account.collateral, p, count / n)


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])
def test_simulate_paths__one_wild_step_is_exact(side: float) -> None:
    """A step of 20 %: barriers far away, where a price and its logarithm part the most."""
    problem = simple_problem(
        (Account(100.0, (Position(0, side, initial=0.01, maintenance=0.01),)),),
        volatility=0.2,
        step_years=1.0,
        horizons=(1,),
        leverages=(1.0, 1.5, 2.0, 3.0, 5.0, 9.0),
        bridge=True,
    )
    counts = run_problem(problem, 3, 0, PATHS).hits[LIQUIDATION, 0, 0, :, 0]
    for leverage, count in zip(problem.leverages, counts, strict=True):
        price = (1.0 - side / leverage) / (1.0 - side * 0.01)
        if price > 0.0:
            p = reflect(side * math.log(price), 0.0, 0.2)
            assert abs(score(count, p, PATHS)) < 4.2 or PATHS * p < 10.0, leverage


def test_simulate_paths__a_hedge_is_short_its_maintenance() -> None:
    """Long and short of one asset: only the requirement moves, 0.2 of the price, and E stays."""
    held = tuple(Position(0, size, initial=0.1, maintenance=0.1) for size in (1.0, -1.0))
    problem = simple_problem(
        (Account(22.0, held),),
        volatility=0.2,
        step_years=1.0,
        horizons=(1,),
        leverages=(0.7, 0.8, 0.9, 1.0),
        bridge=True,
    )
    counts = run_problem(problem, 3, 0, PATHS).hits[LIQUIDATION, 0, 0, :, 0]
    for leverage, count in zip(problem.leverages, counts, strict=True):
        p = reflect(-math.log(22.0 / leverage / 20.0), 0.0, 0.2)
        assert abs(score(count, p, PATHS)) < 4.2, leverage


def test_simulate_paths__additive_spread_is_exact() -> None:
    """Long one asset, short another, additive: X is a Brownian motion, hit by the reflection principle."""
    m, size, spot = 0.02, np.array([1.0, -1.5]), np.array([100.0, 60.0])
    sd, drift, rho = np.array([0.7, 0.9]), np.array([-0.5, 0.6]), 0.7
    account = Account(14.0, tuple(Position(a, size[a], maintenance=m) for a in range(2)))
    problem = simple_problem(
        (account,),
        volatility=sd,
        drift=drift,
        rho=rho,
        spot=spot,
        step_years=8 * HOUR,
        horizons=(3, 9),
        leverages=(1.0, 1.5, 2.0),
        additive=True,
        bridge=True,
    )
    counts = run_problem(problem, 4, 0, PATHS).hits[LIQUIDATION, 0, 0].cumsum(axis=-1)
    slope = (size - m * np.abs(size)) * spot
    yearly = math.sqrt(slope @ (np.outer(sd, sd) * [[1, rho], [rho, 1]]) @ slope)
    for i, leverage in enumerate(problem.leverages):
        distance = 14.0 / leverage - m * float(np.abs(size) @ spot)
        for h, steps in enumerate(problem.horizons):
            years = steps * 8 * HOUR
            p = reflect(-distance, float(slope @ drift) * years, yearly * math.sqrt(years))
            assert 1e-3 < p < 0.9
            assert abs(score(counts[i, h], p, PATHS)) < 4.2


def test_simulate_paths__long_and_short_are_hit_as_two_barriers_say() -> None:
    """Either: leaving a band. Both: inclusion and exclusion. Hourly steps leave next to nothing between."""
    leverage, m, volatility, hours, drift = 10.0, 0.01, 0.8, 72, -0.3
    accounts = tuple(Account(100.0 / leverage, (Position(0, side, maintenance=m),)) for side in (1.0, -1.0))
    problem = simple_problem(accounts, volatility=volatility, drift=drift, horizons=(hours,), bridge=True)
    n = PATHS
    tally = run_problem(problem, 5, 0, n)
    years = hours * HOUR
    low = math.log((1.0 - 1.0 / leverage) / (1.0 - m))
    high = math.log((1.0 + 1.0 / leverage) / (1.0 + m))
    sd = volatility * math.sqrt(years)
    long, short = reflect(low, drift * years, sd), reflect(-high, -drift * years, sd)
    either = leave(low, high, drift * years, sd)
    both = long + short - either
    found = tally.joint[0].sum(axis=0)
    assert abs(score(found[0, 0], long, n)) < 4.2
    assert abs(score(found[1, 1], short, n)) < 4.2
    assert abs(score(found[0, 1], both, n)) < 4.2
    assert abs(score(found[0, 0] + found[1, 1] - found[0, 1], either, n)) < 4.2


def one_jumper(hours: int, side: float, sides: Floats | None = None) -> Problem:
    """Two days of a jump-diffusion, some three jumps in it, in steps of that many hours.

    Normal jumps, or double-exponential ones where their sides are given.
    """
    regime: dict[str, Any] = {"volatility": 0.9, "step_years": hours * HOUR, "horizons": (48 // hours,)}
    problem = simple_problem(
        (Account(100.0, (Position(0, side, maintenance=0.01),)),),
        leverages=(1.0, 5.0, 8.0, 12.0, 20.0),
        bridge=True,
        most_jumps=14,
        **regime,
    )
    jumps: dict[str, Any] = {
        "intensity": 500.0,
        "jump_mean": np.array([0.01]),
        "jump_volatility": np.array([0.03]),
        "jump_correlation": np.eye(1),
        "jump_sides": sides,
    }
    return replace(problem, sets=((replace(problem.sets[0][0], **jumps),),))


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])
@pytest.mark.parametrize("sides", [None, np.array([[0.6, 0.03, 0.05]])], ids=["normal", "two-sided"])
def test_simulate_paths__jumps_in_bridge_do_not_depend_on_the_step(side: float, sides: Floats | None) -> None:
    """The same process in steps of 1, 12 and 48 hours: the cut at jump times makes each exact."""
    n = PATHS // 4
    counts = [
        run_problem(one_jumper(hours, side, sides), 70 + hours, 0, n).hits[LIQUIDATION, 0, 0, 1:, 0]
        for hours in (1, 12, 48)
    ]
    for coarse in counts[1:]:
        p = (counts[0] + coarse) / (2.0 * n)
        spread = np.sqrt(2.0 * n * p * (1.0 - p))
        assert (np.abs(coarse - counts[0]) <= 4.2 * spread).all()


def level_of(leverage: float, side: float) -> float:
    """How far the log price goes until `one_jumper` is liquidated, up for a short and down for a long."""
    return abs(math.log((leverage - side) / (leverage * (1.0 - 0.01 * side))))


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])
@pytest.mark.parametrize("hours", [1, 48])
def test_simulate_paths__first_passage_with_double_exponential_jumps(hours: int, side: float) -> None:
    """Continuous monitoring against Kou and Wang's transform; at the end alone against Gil-Pelaez."""
    up, up_mean, down_mean = 0.6, 0.03, 0.05
    process = Process(0.0, 0.9, 500.0, up, up_mean, down_mean)
    process = process.mirrored if side > 0.0 else process
    problem = one_jumper(hours, side, np.array([[up, up_mean, down_mean]]))
    n = PATHS // 2
    years = 48 * HOUR
    for watched in [True, False] if hours == 48 else [True]:
        found = run_problem(replace(problem, bridge=watched), 90 + hours, 0, n).hits[LIQUIDATION, 0, 0, 1:, 0]
        for leverage, count in zip(problem.leverages[1:], found, strict=True):
            law = above_by if watched else above_at
            p = law(process, level_of(leverage, side), years)
            assert 0.02 < p < 0.9
            assert abs(score(count, p, n)) < 4.2


def test_above_by__figures_worked_out_elsewhere() -> None:
    """The parameters of Kou and Wang's numerical section, and a short at ten times."""
    paper = Process(0.1, 0.2, 3.0, 0.5, 0.02, 0.03)
    assert above_by(paper, 0.3, 1.0) == pytest.approx(0.2558430400814394, abs=1e-10)
    short = Process(0.0, 0.5, 60.0, 0.4, 0.05, 0.05)
    assert above_by(short, math.log(1.1 / 1.01), 1.0 / 365.0) == pytest.approx(0.017946407872359734, abs=1e-9)
    assert above_at(paper, 0.3, 1.0) < above_by(paper, 0.3, 1.0)
