"""What the kernels compute, written again from the formulae: plain loops, no compiled code, nothing shared.

Every function bears the name of the kernel it doubles. Each leverage is valued by itself: no thresholds, no
ranks, no lanes, no tables. Where a decision (equity below the requirement) is closer to its edge than
rounding can tell, the oracle says so instead of taking sides.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from scipy.stats import chi2, poisson

from tests.kernels.problems import Account, Problem, Regime, Scenario

Floats = NDArray[np.float64]
Words = tuple[int, int, int, int]

# Which slot of a (path, step) each number has: the contract that keeps results comparable between versions.
REGIME, JUMPS, FACTORS, JUMP_SIZE = 0, 1, 1 << 8, 1 << 16
JUMP_TIME, JUMP_SPLIT, JUMP_PATH, BRIDGE = 1 << 20, 1 << 21, 1 << 22, 1 << 23
MARKS = 3


class Place(NamedTuple):
    """Where in the stream a number lies."""

    seed: int
    path: int
    step: int


class Piece(NamedTuple):
    """Part of a step without a jump: prices at its ends, share of the step, first slot of its dip."""

    start: Floats
    end: Floats
    length: float
    slot: int


class Passage(NamedTuple):
    """First passages of one path, each (mark, scenario, account, leverage)."""

    first: NDArray[np.int64]  # horizon, or the number of horizons where there is none
    doubtful: NDArray[np.bool_]  # a decision on the way was within rounding


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Philox 4x32-10: Salmon, Moraes, Dror, Shaw (2011), section 3.3 and table 2."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for i in range(10):
        high0, low0 = divmod(0xD2511F53 * x0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * x2, 2**32)
        r0, r1 = (k0 + i * 0x9E3779B9) % 2**32, (k1 + i * 0xBB67AE85) % 2**32
        x0, x1, x2, x3 = high1 ^ x1 ^ r0, low1, high0 ^ x3 ^ r1, low0
    return x0, x1, x2, x3


def invert_philox(words: Words, key: tuple[int, int]) -> Words:
    """The counter whose block is these words: each round is a bijection, its multipliers being odd."""
    inverse0, inverse1 = pow(0xD2511F53, -1, 2**32), pow(0xCD9E8D57, -1, 2**32)
    k0, k1 = key
    x0, x1, x2, x3 = words
    for i in reversed(range(10)):
        r0, r1 = (k0 + i * 0x9E3779B9) % 2**32, (k1 + i * 0xBB67AE85) % 2**32
        before0, before2 = x3 * inverse0 % 2**32, x1 * inverse1 % 2**32
        high0, high1 = 0xD2511F53 * before0 >> 32, 0xCD9E8D57 * before2 >> 32
        x0, x1, x2, x3 = before0, x0 ^ high1 ^ r0, before2, x2 ^ high0 ^ r1
    return x0, x1, x2, x3


def uniform_of_words(low: int, high: int) -> float:
    """The middle of one of 2**52 equal cells of (0, 1), by the upper 52 of 64 bits."""
    return (((high << 32 | low) >> 12) + 0.5) / 2.0**52


def draw_uniforms(place: Place, slot: int) -> tuple[float, float]:
    """Two uniforms: the key is the seed, the counter (path low, path high, step, slot)."""
    counter = (place.path % 2**32, place.path >> 32, place.step, slot)
    words = philox(counter, (place.seed % 2**32, place.seed >> 32))
    return uniform_of_words(*words[:2]), uniform_of_words(*words[2:])


def draw_normals(place: Place, slot: int) -> tuple[float, float]:
    """Box and Muller (1958)."""
    u, turn = draw_uniforms(place, slot)
    radius = np.sqrt(-2.0 * np.log(u))
    return float(radius * np.cos(2.0 * np.pi * turn)), float(radius * np.sin(2.0 * np.pi * turn))


def draw_normal_vector(place: Place, slot: int, length: int) -> Floats:
    """Normals one after another, two to a slot."""
    return np.array([draw_normals(place, slot + j // 2)[j % 2] for j in range(length)])


def switch_regimes(problem: Problem, scenario: Scenario, seed: int, path: int) -> list[int]:
    """The regime in force in every step; a follower has its leader's."""
    forced = problem.scenarios[scenario.leader].forced
    regimes: list[int] = []
    for step in range(problem.steps):
        u = draw_uniforms(Place(seed, path, step), REGIME)[0]
        if forced[step] >= 0:
            regimes.append(forced[step])
        elif step == 0:
            regimes.append(_invert(problem.initial, u))
        elif step % problem.substeps == 0:
            regimes.append(_invert(problem.transitions[regimes[-1]], u))
        else:
            regimes.append(regimes[-1])
    return regimes


def mix_tails(df: float | None, u: float) -> float:
    """sqrt((nu - 2) / nu) sqrt(nu / chi2_nu) at the quantile u of chi2."""
    return 1.0 if df is None else math.sqrt((df - 2.0) / df) * math.sqrt(df / chi2.ppf(u, df))


def count_jumps(problem: Problem, regime: Regime, u: float) -> int:
    """The Poisson quantile at u."""
    mean = regime.intensity * problem.step_years
    return next((n for n in range(problem.most_jumps) if u <= poisson.cdf(n, mean)), problem.most_jumps)


def load_factors(volatility: Floats, correlation: Floats) -> Floats:
    """D L with L L' = R."""
    return np.asarray(np.diag(volatility) @ np.linalg.cholesky(correlation))


def move_prices(problem: Problem, price: Floats, move: Floats) -> Floats:
    """Prices after returns."""
    return price + problem.spot * move if problem.additive else price * np.exp(move)


def split_step(
    problem: Problem,
    regime: Regime,
    place: Place,
    weight: float,
    jumps: int,
    move: Floats,
    jump_sum: Floats,
    before: Floats,
    after: Floats,
) -> list[Piece]:
    """The step cut at its jumps: times uniform, a Brownian path between, each jump given the rest's sum."""
    assets = problem.spot.size
    stride = 4 * -(-assets // 4)  # normals a vector takes
    root = math.sqrt(problem.step_years) * load_factors(regime.volatility, regime.correlation)
    jump_root = load_factors(regime.jump_volatility, regime.jump_correlation)
    times = sorted(draw_uniforms(place, JUMP_TIME + i)[0] for i in range(jumps))
    diffusion, to_jump = move - jump_sum, jump_sum
    pieces, start, now = [], before, 0.0
    for i, time in enumerate(times):
        z = draw_normal_vector(place, JUMP_PATH + i * stride, assets)
        share = (time - now) / (1.0 - now)
        sd = weight * math.sqrt((time - now) * (1.0 - time) / (1.0 - now))
        gain = share * diffusion + sd * root @ z
        end = move_prices(problem, start, gain)
        pieces.append(Piece(start, end, time - now, BRIDGE + i * stride))
        left = jumps - i
        z = draw_normal_vector(place, JUMP_SPLIT + i * stride, assets)
        jump = to_jump / left + math.sqrt((left - 1) / left) * jump_root @ z
        start = move_prices(problem, end, jump)
        diffusion, to_jump, now = diffusion - gain, to_jump - jump, time
    return [*pieces, Piece(start, after, 1.0 - now, BRIDGE + jumps * stride)]


def excess(
    problem: Problem, account: Account, mark: int, price: Floats, paid: float, leverages: Floats
) -> Floats:
    """Equity less requirement at each leverage: positive or zero is safe."""
    profit = -paid
    needed = 0.0
    for p in account.positions:
        profit += p.size * (price[p.asset] - problem.spot[p.asset])
        needed += _fraction(p, mark) * abs(p.size) * price[p.asset]
    return account.collateral + leverages * profit - leverages * needed


def dip_between(
    problem: Problem,
    account: Account,
    mark: int,
    regime: Regime,
    weight: float,
    place: Place,
    piece: Piece,
    paid: float,
    leverages: Floats,
) -> Floats:
    """The least excess within a piece at each leverage: the exact law of a bridge's minimum."""
    assets = problem.spot.size
    at_start = excess(problem, account, mark, piece.start, paid, leverages)
    at_end = excess(problem, account, mark, piece.end, paid, leverages)
    lowest = np.minimum(at_start, at_end)
    scale = problem.spot if problem.additive else 0.5 * (piece.start + piece.end)
    direction = np.zeros(assets)
    for p in account.positions:
        direction[p.asset] += p.size - _fraction(p, mark) * abs(p.size)
    root = math.sqrt(problem.step_years) * load_factors(regime.volatility, regime.correlation)
    risk = (direction * scale) @ root
    variance = float(risk @ risk)
    if variance == 0.0:
        return lowest
    zeta = float(risk @ draw_normal_vector(place, piece.slot, assets)) / math.sqrt(variance)
    depth = -float(log_ndtr(zeta))
    held = {p.asset for p in account.positions}
    if len(held) == 1 and not problem.additive:
        a = held.pop()
        start, move = piece.start[a], math.log(piece.end[a] / piece.start[a])
        swing = math.sqrt(move**2 + 2.0 * float(root[a] @ root[a]) * weight**2 * piece.length * depth)
        worst = start * math.exp(0.5 * (move - math.copysign(swing, direction[a])))
        extreme = piece.start.copy()
        extreme[a] = worst
        return np.minimum(lowest, excess(problem, account, mark, extreme, paid, leverages))
    swing_of = np.sqrt(
        (at_start - at_end) ** 2 + 2.0 * leverages**2 * variance * weight**2 * piece.length * depth
    )
    return np.minimum(lowest, 0.5 * (at_start + at_end - swing_of))


def simulate_path(problem: Problem, seed: int, path: int, tolerance: float) -> Passage:
    """First passages of one path; decisions within tolerance x notional at that leverage are doubtful."""
    shape = (MARKS, len(problem.scenarios), len(problem.accounts), len(problem.leverages))
    first = np.full(shape, len(problem.horizons), np.int64)
    doubtful = np.zeros(shape, np.bool_)
    for s, scenario in enumerate(problem.scenarios):
        _walk(problem, scenario, seed, path, tolerance, first[:, s], doubtful[:, s])
    return Passage(first, doubtful)


def _walk(
    problem: Problem,
    scenario: Scenario,
    seed: int,
    path: int,
    tolerance: float,
    first: NDArray[np.int64],
    doubtful: NDArray[np.bool_],
) -> None:
    leverages = np.array(problem.leverages)
    accounts = problem.accounts
    regimes = switch_regimes(problem, scenario, seed, path)
    paid = [0.0] * len(accounts)
    horizon = 0

    def judge(i: int, mark: int, value: Floats) -> None:
        gross = sum(abs(p.size) * problem.spot[p.asset] for p in accounts[i].positions)
        needs = sum(p.maintenance for p in accounts[i].positions)
        if mark == 1 and needs == 0.0:
            return  # liquidatable needs a maintenance requirement above zero
        open_ = first[mark, i] == len(problem.horizons)
        doubtful[mark, i] |= open_ & (np.abs(value) < tolerance * leverages * max(gross, 1.0))
        first[mark, i][open_ & (value < 0.0)] = horizon

    def judge_all(price: Floats) -> None:
        for i, account in enumerate(accounts):
            for mark in range(MARKS):
                judge(i, mark, excess(problem, account, mark, price, paid[i], leverages))

    price = problem.spot * scenario.shocks.get(0, 1.0)
    judge_all(price)
    for step in range(problem.steps):
        horizon = next(h for h, end in enumerate(problem.horizons) if end >= step + 1)
        if step > 0 and step in scenario.shocks:
            price = price * scenario.shocks[step]
            if problem.bridge:
                judge_all(price)
        place = Place(seed, path, step)
        regime = problem.sets[scenario.sets[step]][regimes[step]]
        weight, jumps, jump_sum, move = _draw_return(problem, regime, place)
        before, price = price, move_prices(problem, price, move)
        pieces = (
            split_step(problem, regime, place, weight, jumps, move, jump_sum, before, price)
            if problem.bridge
            else []
        )
        for i, account in enumerate(accounts):
            for mark in range(MARKS):
                for piece in pieces:
                    judge(
                        i,
                        mark,
                        dip_between(problem, account, mark, regime, weight, place, piece, paid[i], leverages),
                    )
            for p in account.positions:
                years = problem.due[p.interval, step]
                paid[i] += p.size * price[p.asset] * regime.funding[p.asset] * years
            for mark in range(MARKS):
                judge(i, mark, excess(problem, account, mark, price, paid[i], leverages))


def _draw_return(problem: Problem, regime: Regime, place: Place) -> tuple[float, int, Floats, Floats]:
    """Mixing number, number of jumps, their sum, and the whole return of one step."""
    assets = problem.spot.size
    model_step = place._replace(step=place.step - place.step % problem.substeps)
    weight = mix_tails(regime.df, draw_uniforms(model_step, REGIME)[1])
    z = draw_normal_vector(place, FACTORS, assets)
    root = load_factors(regime.volatility, regime.correlation)
    move = regime.drift * problem.step_years + math.sqrt(problem.step_years) * weight * root @ z
    jumps = count_jumps(problem, regime, draw_uniforms(place, JUMPS)[0])
    jump_sum = np.zeros(assets)
    if jumps > 0:
        z = draw_normal_vector(place, JUMP_SIZE, assets)
        jump_root = load_factors(regime.jump_volatility, regime.jump_correlation)
        jump_sum = jumps * regime.jump_mean + math.sqrt(jumps) * jump_root @ z
    return weight, jumps, jump_sum, move + jump_sum


def _invert(law: Floats, u: float) -> int:
    return min(int(np.sum(u > np.cumsum(law))), law.size - 1)


def _fraction(position: object, mark: int) -> float:
    return float((position.initial, position.maintenance, 0.0)[mark])  # type: ignore[attr-defined]
