"""What the kernels compute, written again from the formulae: plain loops, nothing shared but the normals.

Every function bears the name of the kernel it doubles. Each leverage is valued by itself: no thresholds, no
ranks, no lanes, no tables. Where a decision (equity below the requirement) is closer to its edge than
rounding can tell, the oracle says so instead of taking sides.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from scipy.stats import chi2, expon, genpareto, norm, poisson

from kernels.random import draw_normal_vector as draw_normal_vector_of_kernels
from kernels.structs import Key
from tests.kernels.problems import Excess, Pool, Problem, Rates, Regime, Scenario
from tests.margin_oracle import (
    BANKRUPTCY,
    LIQUIDATION,
    MARGIN_CALL,
    MARKS,
    can_be_liquidated,
    edges,
    excess,
    hold,
    leaps,
    near_edge,
    sensitivity,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Horizons = NDArray[np.int64]
Words = tuple[int, int, int, int]

# Which slot of a (path, step) each number has: the contract that keeps results comparable between versions.
STEP, FACTORS, JUMP_SIZE = 0, 1 << 8, 1 << 16
REGIME, MIXING, LEVEL, JUMPS = 0, 1, 2, 3  # which of the four uniforms of a step
JUMP_TIME, JUMP_SPLIT, JUMP_PATH, BRIDGE = 1 << 20, 1 << 21, 1 << 22, 1 << 23
WICK = 1 << 24
BURST = 1 << 31
FUNDING, FUNDING_START, BASIS_START = 1 << 27, (1 << 27) + (1 << 20), (1 << 28) + (1 << 20)


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
    """What one path met. A horizon stands for when; the number of horizons for never."""

    first: Horizons  # (mark, scenario, account, leverage) of any of its pools
    last: Horizons  # (scenario, account, leverage) all of its pools that can be liquidated were
    doubtful: Flags  # (mark, scenario, account, leverage) a decision on the way was within rounding
    equity: Floats  # (scenario, group, leverage, horizon)
    shortfall: Floats  # (scenario, group, leverage, horizon)


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


def philox_at(place: Place, slot: int) -> Words:
    """The words of a slot: the key is the seed, the counter (path low, path high, step, slot)."""
    counter = (place.path % 2**32, place.path >> 32, place.step, slot)
    return philox(counter, (place.seed % 2**32, place.seed >> 32))


def uniform_of_words(low: int, high: int) -> float:
    """The middle of one of 2**52 equal cells of (0, 1), by the upper 52 of 64 bits."""
    return (((high << 32 | low) >> 12) + 0.5) / 2.0**52


@lru_cache(maxsize=1 << 15)
def draw_uniforms(place: Place, slot: int) -> tuple[float, float]:
    """Two uniforms of 52 bits."""
    words = philox_at(place, slot)
    return uniform_of_words(*words[:2]), uniform_of_words(*words[2:])


def fine_uniform(word: int, other: int) -> float:
    """The middle of one of 2**42 equal cells of (0, 1): ten bits of the other word split those of one."""
    return ((word << 10 | other % 1024) + 0.5) / 2.0**42


@lru_cache(maxsize=1 << 15)
def draw_step_uniforms(place: Place) -> tuple[float, float, float, float]:
    """For the next regime, t-mixing, the next level, the number of jumps."""
    w0, w1, w2, w3 = philox_at(place, STEP)
    regime, level, jumps = (((word >> 1) + 0.5) / 2.0**31 for word in (w0, w2, w3))
    return regime, fine_uniform(w1, w0), level, jumps


def normals_of_words(radius: int, turn: int) -> tuple[float, float]:
    """Box and Muller (1958): the turn's upper two bits are signs and order, the others an angle."""
    r = math.sqrt(-2.0 * math.log(fine_uniform(radius, turn)))
    within = turn % 2**30
    angle = (within - 2**30 if within >= 2**29 else within) / 2**30 * math.pi / 2.0
    first, second = r * math.cos(angle), r * math.sin(angle)
    if turn >> 30 & 1:
        first, second = second, first
    return (-first, -second) if turn >> 31 else (first, second)


def draw_exact_normals(place: Place, slot: int) -> tuple[float, float, float, float]:
    """The four normals of a slot, before they are rounded to float32."""
    w0, w1, w2, w3 = philox_at(place, slot)
    return (*normals_of_words(w0, w1), *normals_of_words(w2, w3))


@lru_cache(maxsize=1 << 15)
def draw_normals(place: Place, slot: int) -> tuple[float, ...]:
    """The same as the kernels have them, which `tests/kernels/test_random.py` holds against the exact ones.

    Path by path two programs can only be compared on the same numbers: this is all they share.
    """
    normal = np.empty(4)
    draw_normal_vector_of_kernels(Key(*(np.uint64(part) for part in place)), slot, normal)
    return tuple(normal.tolist())


def draw_normal_vector(place: Place, slot: int, length: int) -> Floats:
    """Normals one after another, four to a slot."""
    return np.array([draw_normals(place, slot + j // 4)[j % 4] for j in range(length)])


def switch_levels(problem: Problem, seed: int, path: int) -> list[int]:
    """The level in force in every step, whatever the scenario."""
    levels: list[int] = []
    for step in range(problem.steps):
        u = draw_step_uniforms(Place(seed, path, step))[LEVEL]
        if step == 0:
            levels.append(_invert(problem.levels.initial, u))
        elif step % problem.substeps == 0:
            levels.append(_invert(problem.levels.transitions[levels[-1]], u))
        else:
            levels.append(levels[-1])
    return levels


def switch_regimes(problem: Problem, scenario: Scenario, seed: int, path: int) -> list[int]:
    """The regime in force in every step; a follower has its leader's."""
    forced = problem.scenarios[scenario.leader].forced
    regimes: list[int] = []
    for step in range(problem.steps):
        u = draw_step_uniforms(Place(seed, path, step))[REGIME]
        if forced[step] >= 0:
            regimes.append(forced[step])
        elif step == 0:
            regimes.append(_invert(problem.first_laws[switch_levels(problem, seed, path)[0]], u))
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


def find_burst(problem: Problem, place: Place, regime: int, level: int, parameters: int) -> Floats:
    """The part of its model step's burst that falls in one simulation step, by asset."""
    model_step = place._replace(step=place.step - place.step % problem.substeps)
    u, df = draw_uniforms(model_step, BURST)[1], problem.sets[0][regime].df
    rates = [burst.per_year for burst in problem.bursts]
    comes = 1.0 - math.exp(-sum(rates) * problem.substeps * problem.step_years)
    below = 0.0
    for burst in problem.bursts:
        below += comes * burst.per_year / sum(rates)
        if u < below:
            # heavy as sqrt(df / chi2): the model's own tails, whatever the parameter set makes of returns
            chi = 1.0 if df is None else math.sqrt(df / chi2.ppf(draw_step_uniforms(model_step)[MIXING], df))
            size = 1.0 + burst.spread * chi * draw_normals(model_step, BURST)[0]
            factor = problem.burst_factors[parameters] if problem.burst_factors else 1.0
            whole = problem.levels.scale[level] * size * factor * burst.move
            return np.asarray(whole / problem.substeps)
    return np.zeros(problem.assets)


def load_factors(volatility: Floats, correlation: Floats) -> Floats:
    """D L with L L' = R."""
    return np.asarray(np.diag(volatility) @ np.linalg.cholesky(correlation))


def load_step(problem: Problem, regime: Regime) -> Floats:
    """(asset, factor) of one step's returns. A perpetual's are its asset's, and the shock of its basis: that
    has a factor common to all after those of the assets, then one for each asset."""
    root = math.sqrt(problem.step_years) * load_factors(regime.volatility, regime.correlation)
    if not problem.marks:
        return root
    law, n = regime.basis, problem.assets
    assert law is not None
    wide = np.zeros((problem.spot.size, 2 * n + 1))
    wide[:, :n] = root[problem.spot_of]
    for i, a in enumerate(problem.marks, start=n):
        kept = 0.5 ** (problem.step_years / law.half_life[a])
        shock = law.deviation[a] * math.sqrt(1.0 - kept**2)
        unit = root[a] / math.sqrt(float(root[a] @ root[a]))
        wide[i, :n] += law.correlation[a] * shock * unit
        apart = math.sqrt(1.0 - law.correlation[a] ** 2) * shock
        wide[i, n] = math.sqrt(law.common) * apart
        wide[i, n + 1 + a] = math.sqrt(1.0 - law.common) * apart
    return wide


def find_stride(problem: Problem) -> int:
    """Slots from one vector of normals to the next, among several of a kind in one step."""
    return 4 * -(-(2 * problem.assets + 1 if problem.marks else problem.assets) // 4)


def at_level(regime: Regime, scale: float) -> Regime:
    """The regime where the whole market is so loud: in its returns, and in the states that go with them."""

    def loud(law: Rates | None) -> Rates | None:
        return None if law is None else replace(law, deviation=law.deviation * scale)

    return replace(
        regime, volatility=regime.volatility * scale, rates=loud(regime.rates), basis=loud(regime.basis)
    )


def load_jump(problem: Problem, regime: Regime) -> Floats:
    """(asset, factor) of one jump: a perpetual jumps with its asset."""
    root = load_factors(regime.jump_volatility, regime.jump_correlation)[problem.spot_of]
    return np.pad(root, ((0, 0), (0, problem.assets + 1))) if problem.marks else root


def move_prices(problem: Problem, price: Floats, move: Floats) -> Floats:
    """Prices after returns."""
    return price + problem.spot * move if problem.additive else price * np.exp(move)


def draw_reverting(place: Place, slot: int, assets: int, common: float) -> Floats:
    """A standard normal for each asset, any two of them correlated by `common`."""
    shared = draw_normals(place, slot)[0]
    own = draw_normal_vector(place, slot + 1, assets)
    return math.sqrt(common) * shared + math.sqrt(1.0 - common) * own


def start_reverting(problem: Problem, law: Rates, place: Place) -> Floats:
    """Funding rates at `as_of`: as known, or from the long run's law."""
    drawn = draw_reverting(place, FUNDING_START, problem.assets, law.common)
    rates = law.level + law.deviation * drawn
    if problem.known_rates is None:
        return rates
    return np.where(np.isnan(problem.known_rates), rates, problem.known_rates)


def move_reverting(problem: Problem, regime: Regime, place: Place, rates: Floats) -> Floats:
    """Funding rates a step later: an Ornstein-Uhlenbeck process, its shocks as heavy as the returns'."""
    law = regime.rates
    assert law is not None
    model_step = place._replace(step=place.step - place.step % problem.substeps)
    weight = mix_tails(regime.df, draw_step_uniforms(model_step)[MIXING])
    of_returns = np.linalg.cholesky(regime.correlation) @ draw_normal_vector(place, FACTORS, problem.assets)
    own = draw_reverting(place, FUNDING, problem.assets, law.common)
    shock = law.correlation * of_returns + np.sqrt(1.0 - law.correlation**2) * own
    kept = 0.5 ** (problem.step_years / law.half_life)
    spread = law.deviation * np.sqrt(1.0 - kept**2)
    return law.level + kept * (rates - law.level) + weight * spread * shock


def find_jump(problem: Problem, regime: Regime, place: Place, number: int) -> Floats:
    """One double-exponential jump: its quantile at the normals' own. A perpetual jumps with its asset."""
    z = draw_normal_vector(place, JUMP_SIZE + number * find_stride(problem), problem.assets)
    score = np.linalg.cholesky(regime.jump_correlation) @ z
    up, up_mean, down_mean = np.array(regime.jump_sides).T
    # kept to the way that the score goes: the other one's quantile may be infinite
    rises = expon.isf(np.minimum(norm.sf(score) / np.where(up > 0.0, up, 1.0), 1.0), scale=up_mean)
    falls = expon.isf(np.minimum(norm.cdf(score) / np.where(up < 1.0, 1.0 - up, 1.0), 1.0), scale=down_mean)
    return np.where(norm.sf(score) < up, rises, -falls)[problem.spot_of]


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
    root, stride = load_step(problem, regime), find_stride(problem)
    factors = root.shape[1]
    times = sorted(draw_uniforms(place, JUMP_TIME + i)[0] for i in range(jumps))
    diffusion, to_jump = move - jump_sum, jump_sum
    pieces, start, now = [], before, 0.0
    for i, time in enumerate(times):
        z = draw_normal_vector(place, JUMP_PATH + i * stride, factors)
        share = (time - now) / (1.0 - now)
        sd = weight * math.sqrt((time - now) * (1.0 - time) / (1.0 - now))
        gain = share * diffusion + sd * root @ z
        end = move_prices(problem, start, gain)
        pieces.append(Piece(start, end, time - now, BRIDGE + i * stride))
        if regime.jump_sides is None:
            left = jumps - i
            z = draw_normal_vector(place, JUMP_SPLIT + i * stride, factors)
            jump = to_jump / left + math.sqrt((left - 1) / left) * load_jump(problem, regime) @ z
        else:
            jump = find_jump(problem, regime, place, i)
        start = move_prices(problem, end, jump)
        diffusion, to_jump, now = diffusion - gain, to_jump - jump, time
    return [*pieces, Piece(start, after, 1.0 - now, BRIDGE + jumps * stride)]


def dip_between(
    problem: Problem,
    pool: Pool,
    mark: int,
    regime: Regime,
    weight: float,
    place: Place,
    piece: Piece,
    paid: float,
    leverages: Floats,
) -> Floats:
    """The least excess within a piece at each leverage: the exact law of a bridge's minimum.

    The excess is a straight line in the prices over the piece, with each requirement's slope taken at the
    middle price of the piece, kinked or not. Where the pool depends on one asset, and no requirement has
    another slope at the other end, the law is that of the log price, and the excess a line in the price.
    Where initial margin jumps it is `least_in_range`, or `least_at_moments` if a price gets to an edge.
    """
    held = {p.asset for p in pool.positions} | {coin.asset for coin in pool.coins}
    if leaps(pool) and len(held) == 1 and mark != BANKRUPTCY:
        return least_in_range(problem, pool, mark, regime, weight, place, piece, paid, leverages)
    at_start = excess(problem, pool, mark, piece.start, paid, leverages)
    at_end = excess(problem, pool, mark, piece.end, paid, leverages)
    lowest = np.minimum(at_start, at_end)
    moments = np.full(leverages.size, np.inf)
    if leaps(pool) and mark == MARGIN_CALL:
        moments = least_at_moments(problem, pool, regime, weight, place, piece, paid, leverages)
    middle = 0.5 * (piece.start + piece.end)
    direction = sensitivity(problem, pool, mark, middle, leverages)
    root = load_step(problem, regime)
    risk = (direction * (problem.spot if problem.additive else middle)) @ root
    variance = (risk**2).sum(axis=1)
    moves = variance > 0.0
    sd = np.sqrt(np.where(moves, variance, 1.0))
    depth = -log_ndtr(risk @ draw_normal_vector(place, piece.slot, root.shape[1]) / sd)
    swing = np.sqrt((at_start - at_end) ** 2 + 2.0 * variance * weight**2 * piece.length * depth)
    dip = 0.5 * (at_start + at_end - swing)
    if len(held) == 1 and not problem.additive:
        a = held.pop()
        start, move = piece.start[a], math.log(piece.end[a] / piece.start[a])
        swing = np.sqrt(move**2 + 2.0 * float(root[a] @ root[a]) * weight**2 * piece.length * depth)
        worst = start * np.exp(0.5 * (move - np.copysign(swing, direction[:, a])))
        of_log = at_start + direction[:, a] * (worst - start)
        bent = (
            sensitivity(problem, pool, mark, piece.start, leverages)
            != sensitivity(problem, pool, mark, piece.end, leverages)
        ).any(axis=1)
        dip = np.where(bent, dip, of_log)
    dip = np.where(moves, dip, lowest)
    lowest = np.minimum(lowest, np.where(moments < np.inf, moments, dip))
    if leaps(pool) and mark == MARGIN_CALL and can_be_liquidated(pool):
        # another line may say that the pool is liquidated: then it has been called
        liquidation = dip_between(problem, pool, LIQUIDATION, regime, weight, place, piece, paid, leverages)
        lowest = np.minimum(lowest, liquidation)
    return lowest


def find_ranges(
    problem: Problem, regime: Regime, weight: float, place: Place, piece: Piece
) -> tuple[Floats, Floats]:
    """The least and greatest price of each asset within a piece: the exact law of a bridge's extremes."""
    root = load_step(problem, regime)
    noise = root @ draw_normal_vector(place, piece.slot, root.shape[1])
    sd = np.sqrt((root**2).sum(axis=1))
    zeta = noise / np.where(sd > 0.0, sd, 1.0)
    move = (piece.end - piece.start) / problem.spot if problem.additive else np.log(piece.end / piece.start)
    low, high = (
        0.5
        * (move + side * np.sqrt(move**2 - 2.0 * (sd * weight) ** 2 * piece.length * log_ndtr(-side * zeta)))
        for side in (-1.0, 1.0)
    )
    return move_prices(problem, piece.start, low), move_prices(problem, piece.start, high)


def least_in_range(
    problem: Problem,
    pool: Pool,
    mark: int,
    regime: Regime,
    weight: float,
    place: Place,
    piece: Piece,
    paid: float,
    leverages: Floats,
) -> Floats:
    """The least excess over all prices that a pool's one asset had: at an end, or a hair beyond an edge."""
    (a,) = {p.asset for p in pool.positions} | {coin.asset for coin in pool.coins}
    low, high = (prices[a] for prices in find_ranges(problem, regime, weight, place, piece))
    lowest = np.full(leverages.size, np.inf)
    for j, leverage in enumerate(leverages):
        inside = [edge[0] for p in pool.positions for edge in edges(p, mark, np.array([leverage]))]
        for at in [low, high, *(edge * (1.0 + 1e-14) for edge in inside if low < edge < high)]:
            price = piece.start.copy()
            price[a] = at
            value = excess(problem, pool, mark, price, paid, np.array([leverage]))[0]
            lowest[j] = min(lowest[j], value)
    return lowest


def least_at_moments(
    problem: Problem,
    pool: Pool,
    regime: Regime,
    weight: float,
    place: Place,
    piece: Piece,
    paid: float,
    leverages: Floats,
) -> Floats:
    """The least excess over initial margin as a price passes an edge, or at the dip; infinite if none does.

    Prices as they are then: the mean of their bridges at that time given the price, or given the weighted sum
    of returns at the dip, and a normal for the rest, within the range that each price has.
    """
    lows, highs = find_ranges(problem, regime, weight, place, piece)
    root = load_step(problem, regime)
    normals = draw_normal_vector(place, piece.slot, root.shape[1])
    start, end, low, high = (_position(problem, p) for p in (piece.start, piece.end, lows, highs))
    middle = 0.5 * (piece.start + piece.end)

    def value_at(
        direction: Floats, level: float, time: float, leverage: Floats, fixed: dict[int, float]
    ) -> float:
        line = start + time * (end - start)
        across = root  # what the normals say of each price that they do not say of the sum
        if (sd := float(np.linalg.norm(direction @ root))) > 0.0:
            slopes = root @ (direction @ root) / sd**2
            line = line + slopes * (level - float(direction @ line))
            across = root - np.outer(slopes, direction @ root)
        line = line + weight * math.sqrt(piece.length * time * (1.0 - time)) * across @ normals
        line = np.clip(line, low, high)
        price = problem.spot * line if problem.additive else np.exp(line)
        for a, exactly in fixed.items():
            price[a] = exactly
        return float(excess(problem, pool, MARGIN_CALL, price, paid, leverage)[0])

    lowest = np.full(leverages.size, np.inf)
    for j in range(leverages.size):
        leverage = leverages[[j]]
        for p in pool.positions:
            a = p.asset
            for edge in (found[0] for found in edges(p, MARGIN_CALL, leverage)):
                if not lows[a] < edge < highs[a]:
                    continue
                at = float(_position(problem, np.full(problem.spot.size, edge))[a])
                out, back = abs(at - start[a]), abs(at - end[a])
                way = out + back
                if (at - start[a]) * (at - end[a]) > 0.0:
                    extreme = high[a] if at > start[a] else low[a]
                    way = abs(extreme - start[a]) + abs(extreme - end[a])
                unit = np.eye(problem.spot.size)[a]
                for time in (out / way, 1.0 - back / way):
                    value = value_at(unit, at, time, leverage, {a: edge * (1.0 + 1e-14)})
                    lowest[j] = min(lowest[j], value)
        if lowest[j] < np.inf:
            direction = sensitivity(problem, pool, MARGIN_CALL, middle, leverage)[0]
            direction = direction * (problem.spot if problem.additive else middle)
            sd, move = float(np.linalg.norm(direction @ root)), float(direction @ (end - start))
            if sd > 0.0:
                depth = -float(log_ndtr(direction @ root @ normals / sd))
                fall = 0.5 * (move - math.sqrt(move**2 + 2.0 * (sd * weight) ** 2 * piece.length * depth))
                time = abs(fall) / (abs(fall) + abs(fall - move))
                value = value_at(direction, float(direction @ start) + fall, time, leverage, {})
                lowest[j] = min(lowest[j], value)
    return lowest


def _position(problem: Problem, price: Floats) -> Floats:
    """Where prices are on the scale on which they are Brownian."""
    return price / problem.spot if problem.additive else np.log(price)


def find_excess(normal: float, probability: float, scale: float, tail: float) -> float:
    """Zero with probability 1 - p, else generalised Pareto: the quantile at the normal's own."""
    upper = norm.sf(normal)
    return float(genpareto.isf(upper / probability, tail, scale=scale)) if upper < probability else 0.0


def find_wick(
    problem: Problem, regime: Regime, weight: float, place: Place, way: int, ends: tuple[Floats, Floats]
) -> Floats:
    """How far each log price (additive: price, in units of spot) leaves its path: down is way 0, up is 1.

    A perpetual's leaves it as its asset's does.
    """
    assets = problem.assets
    law = (regime.wicks or (Excess(*np.zeros((3, assets)), 0.0),) * 2)[way]
    common = draw_normals(place, WICK)[way]
    own = np.array([draw_normals(place, WICK + 1 + a)[way] for a in range(assets)])
    normal = math.sqrt(law.common) * common + math.sqrt(1.0 - law.common) * own
    excesses = map(find_excess, normal, law.probability, law.scale, law.tail)
    spread = regime.volatility * math.sqrt(problem.step_years)
    rise = (_position(problem, ends[1]) - _position(problem, ends[0]))[:assets]
    along = np.divide(rise if way == 1 else -rise, spread, out=np.zeros(assets), where=spread > 0.0)
    lean = np.zeros(assets) if law.lean is None else law.lean
    deep = np.array(list(excesses)) * weight * spread * np.exp(lean * np.clip(along, -6.0, 6.0))
    return np.asarray(deep if way == 1 else -deep)[problem.spot_of]


def least_on_way(
    problem: Problem, pool: Pool, start: Floats, end: Floats, paid: float, leverages: Floats
) -> Floats:
    """The least excess over initial margin a hair beyond the edges that prices pass on a straight line."""
    lowest = np.full(leverages.size, np.inf)
    for j in range(leverages.size):
        for p in pool.positions:
            low, high = sorted((start[p.asset], end[p.asset]))
            for edge in (found[j] for found in edges(p, MARGIN_CALL, leverages)):
                if low < edge < high:
                    share = (edge - start[p.asset]) / (end[p.asset] - start[p.asset])
                    price = start + share * (end - start)
                    price[p.asset] = edge * (1.0 + 1e-14)
                    value = excess(problem, pool, MARGIN_CALL, price, paid, leverages[[j]])[0]
                    lowest[j] = min(lowest[j], value)
    return lowest


def simulate_path(problem: Problem, seed: int, path: int, tolerance: float) -> Passage:
    """What one path met; decisions within tolerance x what is held at that leverage are doubtful."""
    accounts, none = problem.accounts, len(problem.horizons)
    shape = (MARKS, len(problem.scenarios), len(accounts), len(problem.leverages))
    groups = 1 + max((account.group for account in accounts), default=-1)
    money = (shape[1], groups, shape[3], none)
    passage = Passage(
        np.full(shape, none),
        np.full(shape[1:], none),
        np.zeros(shape, np.bool_),
        np.zeros(money),
        np.zeros(money),
    )
    for s, scenario in enumerate(problem.scenarios):
        walk = _Walk(problem, scenario, seed, path, tolerance)
        walk.go()
        for i, account in enumerate(accounts):
            mine = [r for r, (owner, _) in enumerate(walk.pools) if owner == i]
            passage.first[:, s, i] = walk.first[:, mine].min(axis=1)
            passage.doubtful[:, s, i] = walk.doubtful[:, mine].any(axis=1)
            exposed = [r for r in mine if can_be_liquidated(walk.pools[r][1])]
            if exposed:
                passage.last[s, i] = walk.first[LIQUIDATION, exposed].max(axis=0)
            if account.group >= 0:
                passage.equity[s, account.group] += walk.equity[mine].sum(axis=0)
                passage.shortfall[s, account.group] += np.maximum(-walk.equity[mine], 0.0).sum(axis=0)
    return passage


class _Walk:
    """One path through one scenario: every pool by itself, whoever owns it."""

    def __init__(self, problem: Problem, scenario: Scenario, seed: int, path: int, tolerance: float) -> None:
        self.problem, self.scenario, self.seed, self.path = problem, scenario, seed, path
        self.tolerance = tolerance
        self.leverages = np.array(problem.leverages)
        self.pools = [(i, pool) for i, account in enumerate(problem.accounts) for pool in account.pools]
        self.horizon = 0
        self.paid = [0.0] * len(self.pools)
        self.rates = np.zeros(problem.assets)
        self.basis = np.zeros(problem.assets)
        shape = (MARKS, len(self.pools), self.leverages.size)
        self.first = np.full(shape, len(problem.horizons))
        self.doubtful = np.zeros(shape, np.bool_)
        self.equity = np.zeros((*shape[1:], len(problem.horizons)))

    def go(self) -> None:
        """From `as_of` to the last step."""
        problem, scenario = self.problem, self.scenario
        regimes = switch_regimes(problem, scenario, self.seed, self.path)
        levels = switch_levels(problem, self.seed, self.path)
        price = problem.spot * scenario.shocks.get(0, 1.0)
        self._judge_all(price)
        first = at_level(problem.sets[scenario.sets[0]][regimes[0]], problem.levels.scale[levels[0]])
        if first.rates is not None:
            self.rates = start_reverting(problem, first.rates, Place(self.seed, self.path, 0))
        if (law := first.basis) is not None:
            drawn = draw_reverting(Place(self.seed, self.path, 0), BASIS_START, problem.assets, law.common)
            self.basis = law.level + law.deviation * drawn
        for step in range(problem.steps):
            self.horizon = next(h for h, end in enumerate(problem.horizons) if end >= step + 1)
            if step > 0 and step in scenario.shocks:
                price = price * scenario.shocks[step]
                if problem.bridge:
                    self._judge_all(price)
            regime = problem.sets[scenario.sets[step]][regimes[step]]
            place = Place(self.seed, self.path, step)
            burst = find_burst(problem, place, regimes[step], levels[step], scenario.sets[step])
            regime = at_level(regime, problem.levels.scale[levels[step]])
            price = self._take_step(step, regime, price, burst[problem.spot_of])
            if step + 1 in problem.horizons:
                for r, (_, pool) in enumerate(self.pools):
                    equity = hold(problem, pool, price, self.paid[r], self.leverages)
                    self.equity[r, :, self.horizon] = equity

    def _take_step(self, step: int, regime: Regime, before: Floats, burst: Floats) -> Floats:
        problem, place = self.problem, Place(self.seed, self.path, step)
        weight, jumps, jump_sum, move = _draw_return(problem, regime, place)
        move = move + burst
        if problem.marks:
            move = self._move_basis(regime, place, weight, move)
        price = move_prices(problem, before, move)
        pieces = (
            split_step(problem, regime, place, weight, jumps, move, jump_sum, before, price)
            if problem.bridge
            else []
        )
        rates = self._find_rates(regime, place)
        for r, (_, pool) in enumerate(self.pools):
            for piece in pieces:
                ends = [piece.start, piece.end, 0.5 * (piece.start + piece.end)]
                if leaps(pool):
                    ends += find_ranges(problem, regime, weight, place, piece)
                near = np.any([near_edge(pool, end, self.leverages, self.tolerance) for end in ends], axis=0)
                for mark in range(MARKS):
                    dip = dip_between(
                        problem, pool, mark, regime, weight, place, piece, self.paid[r], self.leverages
                    )
                    self._judge(r, mark, dip, near)
            if problem.wick:
                self._judge_wicks(r, pool, regime, weight, place, (before, price))
            for p in pool.positions:
                years = problem.due[p.interval, step]
                rate = min(max(rates[p.asset], -p.cap), p.cap)
                self.paid[r] += p.size * price[p.asset] * rate * years
        self._judge_all(price)
        return price

    def _judge_wicks(
        self, r: int, pool: Pool, regime: Regime, weight: float, place: Place, ends: tuple[Floats, Floats]
    ) -> None:
        """All prices at their wicks together, down and up, off either end of the step, or on the way."""
        held = [p.asset for p in pool.positions] + [coin.asset for coin in pool.coins]
        for way in (0, 1):
            wick = find_wick(self.problem, regime, weight, place, way, ends)
            for end in ends if wick[held].any() else ():
                price = move_prices(self.problem, end, wick)
                near = near_edge(pool, price, self.leverages, self.tolerance)
                for mark in range(MARKS):
                    value = excess(self.problem, pool, mark, price, self.paid[r], self.leverages)
                    if mark == MARGIN_CALL and leaps(pool):
                        on_way = least_on_way(self.problem, pool, end, price, self.paid[r], self.leverages)
                        value = np.minimum(value, on_way)
                    self._judge(r, mark, value, near)

    def _move_basis(self, regime: Regime, place: Place, weight: float, move: Floats) -> Floats:
        """The step's returns with what takes each basis back to its level; the basis moved."""
        law, problem, n = regime.basis, self.problem, self.problem.assets
        assert law is not None
        root = load_step(problem, regime)
        noise = weight * root @ draw_normal_vector(place, FACTORS, root.shape[1])
        back = (1.0 - 0.5 ** (problem.step_years / law.half_life)) * (law.level - self.basis)
        for i, a in enumerate(problem.marks, start=n):
            self.basis[a] += back[a] + noise[i] - noise[a]
        return move + np.append(np.zeros(n), back[list(problem.marks)])

    def _find_rates(self, regime: Regime, place: Place) -> Floats:
        """Annualised funding rates at the end of the step, moved there if they move, before any clamp."""
        if regime.rates is None:
            return regime.funding[self.problem.spot_of]
        self.rates = move_reverting(self.problem, regime, place, self.rates)
        overlay = self.problem.overlay
        factor, added = overlay[self.scenario.sets[place.step]] if overlay else (1.0, 0.0)
        return (factor * self.rates + added)[self.problem.spot_of]

    def _judge_all(self, price: Floats) -> None:
        for r, (_, pool) in enumerate(self.pools):
            near = near_edge(pool, price, self.leverages, self.tolerance)
            for mark in range(MARKS):
                value = excess(self.problem, pool, mark, price, self.paid[r], self.leverages)
                self._judge(r, mark, value, near)

    def _judge(self, r: int, mark: int, value: Floats, near: Flags) -> None:
        pool, spot = self.pools[r][1], self.problem.spot
        if mark == LIQUIDATION and not can_be_liquidated(pool):
            return
        gross = sum(abs(p.size) * spot[p.asset] for p in pool.positions)
        coins = sum(abs(coin.amount) * spot[coin.asset] for coin in pool.coins)
        scale = self.leverages * max(gross, 1.0) + coins
        still = self.first[mark, r] == len(self.problem.horizons)
        self.doubtful[mark, r] |= still & (near | (np.abs(value) < self.tolerance * scale))
        self.first[mark, r][still & (value < 0.0)] = self.horizon


def _draw_return(problem: Problem, regime: Regime, place: Place) -> tuple[float, int, Floats, Floats]:
    """Mixing number, number of jumps, their sum, and the whole return of one step."""
    model_step = place._replace(step=place.step - place.step % problem.substeps)
    weight = mix_tails(regime.df, draw_step_uniforms(model_step)[MIXING])
    root = load_step(problem, regime)
    z = draw_normal_vector(place, FACTORS, root.shape[1])
    move = regime.drift[problem.spot_of] * problem.step_years + weight * root @ z
    jumps = count_jumps(problem, regime, draw_step_uniforms(place)[JUMPS])
    jump_sum = np.zeros(problem.spot.size)
    if regime.jump_sides is not None:
        jump_sum = sum((find_jump(problem, regime, place, i) for i in range(jumps)), jump_sum)
    elif jumps > 0:
        z = draw_normal_vector(place, JUMP_SIZE, root.shape[1])
        jump_root = load_jump(problem, regime)
        jump_sum = jumps * regime.jump_mean[problem.spot_of] + math.sqrt(jumps) * jump_root @ z
    return weight, jumps, jump_sum, move + jump_sum


def _invert(law: Floats, u: float) -> int:
    return min(int(np.sum(u > np.cumsum(law))), law.size - 1)
