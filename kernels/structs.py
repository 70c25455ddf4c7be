"""What crosses into the kernels: named tuples of C-contiguous arrays, one for each noun.

Letters in shapes: S scenarios, T steps, A assets simulated, F factors (padded to a multiple of four with
zero loadings), K regimes, M levels, Q parameter sets, D loadings, I funding intervals, P accounts, R pools,
V accounts of several pools, G groups of accounts, N positions, L leverages, H horizons, J most jumps in one
step, U bursts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LANES = 64  # paths advanced side by side: their state stays in the first two levels of cache
MARKS = 3  # thresholds watched: margin call, liquidation, bankruptcy, in the order an account meets them
MARGIN_CALL, LIQUIDATION, BANKRUPTCY = 0, 1, 2
WAYS = 2  # in which prices leave their path
DOWN, UP = 0, 1
NORMAL, DOUBLE_EXPONENTIAL = 0, 1  # laws of one jump
UNSEEN, AT_CLOSE, THROUGHOUT = 0, 1, 2  # how accounts are watched in a step; the last as the clock says
# The mixing table has one row of cells for u below one half and one for 1 - u, so that both tails are fine;
# each octave of the smaller of the two, from 2**-54 to 2**-1, has 64 cells of equal width.
CELL_BITS = 6
LOWEST_OCTAVE = -54
CELLS = (-1 - LOWEST_OCTAVE) * 2**CELL_BITS + 2


class Reverting(NamedTuple):
    """A state beside prices that reverts to a level, for B of the assets; for none where nobody has it."""

    asset: Integers  # (B,) whose returns it goes with
    column: Integers  # (B,) the asset's number in the model, which names its random numbers; ascending
    start: Floats  # (B,) at `as_of`; NaN: drawn from the law that the first regime has in the long run
    level: Floats  # (K, B)
    deviation: Floats  # (K, B) standard deviation in the long run
    kept: Floats  # (K, B) of the distance from the level, over one step
    tied: Floats  # (D, K, B) times the noise of the asset's return
    apart: Floats  # (D, K, B) times a normal of its own
    common: Floats  # (K,) correlation of those normals between any two assets


class Market(NamedTuple):
    """The market model under every scenario, per simulation step.

    Of the A assets the last B may be perpetuals: the price of an asset before them times exp(basis).
    """

    spot: Floats  # (A,) price at `as_of`
    spot_of: (
        Integers  # (A,) which asset's price it follows: its own, or that of the asset it is a perpetual of
    )
    basis_law: Reverting  # of the perpetuals' basis; its shocks are in the loadings
    additive: int  # 1: prices move by spot times return; 0: by the return's exponential
    substeps: int  # simulation steps in one model step: they share regime and t-mixing
    initial: Floats  # (M, K) cumulative laws of the first regime, by the first level
    transitions: Floats  # (K, K) cumulative rows
    level_initial: Floats  # (M,) cumulative law of the first level
    level_transitions: Floats  # (M, M) cumulative rows
    level_scale: Floats  # (M,) what a level multiplies volatilities by
    leader: Integers  # (S,) the scenario whose regimes this one shares: itself, or the first one unforced
    forced: Integers  # (S, T) regime forced in that step, or -1
    parameters: Integers  # (S, T) which parameter set holds in that step
    shock: Integers  # (S, T) which shock falls at the start of that step, or -1
    shocks: Floats  # (shocks, A) factor on the price
    event: Integers  # (S, T) which event falls at the start of that step, or -1; none in step 0
    events: Floats  # (events, 2, A) log move up, log move down
    event_law: Floats  # (events, 2) probability of up, spread of the size
    replay: Integers  # (S, T) which returns are laid on top of that step's, or -1
    replays: Floats  # (replays, A) log returns
    drift: Floats  # (Q, K, A) log drift of one step
    loading_of_set: Integers  # (Q,)
    loading: Floats  # (D, K, A, F) factor loadings of one step's return, standard deviation included
    volatility: Floats  # (D, K, A) standard deviation of one step's return: the norms of the loadings
    covariance: Floats  # (D, K, A, A) of one step's return
    depth: Integers  # (A,) leading factors that matter to the asset, rounded up to a multiple of four
    in_use: Integers  # (T, D) 1 where some scenario needs that loading in that step
    mixing: Integers  # (Q, K) which t-mixing table, or -1 for Gaussian
    mixing_tables: Floats  # (tables, 2, cells)
    jump_law: Floats  # (Q, K, J + 1) P(at most n jumps in one step)
    jump_mean: Floats  # (Q, K, A)
    jump_loading: Floats  # (Q, K, A, F) double exponential: of the normals behind the jumps
    jump_sizes: Integers  # (Q, K) NORMAL or DOUBLE_EXPONENTIAL
    jump_sides: Floats  # (Q, K, A, 3) double exponential: probability of up, mean up, mean down
    has_jumps: int
    burst_law: Floats  # (U,) P(one of the bursts up to this one comes in a model step), at most one does
    burst_move: Floats  # (Q, U, A) log return over the whole model step
    burst_spread: Floats  # (K, U) of the size, times the burst's own t-mixing number and a normal
    burst_mixing: Integers  # (K,) as `mixing`, of the model's own tails whatever a scenario makes of them
    funding: Floats  # (Q, K, A) annualised rate
    due: Floats  # (I, T) years of funding paid at the end of that step
    has_funding: int
    funding_law: Reverting  # of the annualised rate, where it is not one number for each regime
    funding_factor: Floats  # (Q, A) what scenarios make of that rate
    funding_added: Floats  # (Q, A)
    clamps: int  # 1: venues' clamps may bind, so that positions of one asset may pay different rates
    number: Integers  # (A,) of each column's asset in the model: its wicks' random numbers go by that
    wick: Floats  # (K, WAYS, A, 4) probability, scale, tail and lean of the excess, in standard deviations
    wick_cut: Floats  # (K, WAYS, A) normal score above which there is a wick
    wick_common: Floats  # (K, WAYS) correlation of the normals of any two assets


class Kinks(NamedTuple):
    """Where requirements leave their line: above a floor by jump + rise x + curve x^2, x = price - floor.

    Those of position n at a mark are numbered from start[mark, n] up to start[mark, n + 1], lowest floor
    first. Summed up to and including one of them they are a + b price + c price^2.
    """

    start: Integers  # (MARKS - 1, N + 1)
    floor: Floats  # (kinks,)
    lift: Floats  # (kinks, 3) a, b, c
    present: Integers  # (R,) 1 where some position of the pool has any
    leaps: Integers  # (R,) 1 where some initial margin of the pool jumps, and no requirement curves


class Book(NamedTuple):
    """Pools of margin, and the accounts they are of. Requirements are per unit of price: fraction x |size|.

    An account is liquidated when any of its pools is. A pool's equity and requirement are proportional to the
    book's leverage, less what it starts with; where they are not (brackets of notional, collateral in coins)
    each leverage is a pool here of its own, its sizes at that leverage. Collateral in coins is a position
    whose requirement is its haircut.

    Every pool has an even number of positions, the last one of size zero where need be: the kernel takes
    them two at a time.
    """

    start: Integers  # (R + 1,) first position of each pool
    asset: Integers  # (N,)
    interval: Integers  # (N,) which funding interval
    funding_cap: Floats  # (N,) the largest annualised rate, either way; infinite without a clamp
    size: Floats  # (N,)
    requirement: Floats  # (MARKS, N) initial, maintenance, zero
    kinks: Kinks
    spread: Floats  # (R, D, K) standard deviation of the positions' value over one step at `as_of` prices
    initial: Floats  # (R,) initial requirement at `as_of`
    base: Floats  # (R,) value of the positions at `as_of`
    equity: Floats  # (R,) at `as_of`, without haircuts
    only_asset: Integers  # (R,) the one asset the pool depends on, or -1
    threshold: Floats  # (MARKS, R, L) level of X below which a leverage has hit the mark, descending
    leverage: Integers  # (R, L) which leverage each threshold belongs to
    alone: Integers  # (R,) the one leverage the pool stands for, or -1 for all of them
    multiple: Floats  # (L,) the leverages
    unit: int  # which of them is 1
    account: Integers  # (R,) whose pool it is
    several: Integers  # (P,) number among the accounts of several pools, or -1
    pools: Integers  # (P,) pools that can be liquidated
    group: Integers  # (P,) group of the account, or -1
    members: Integers  # (G,) accounts that can be liquidated
    quantum: Floats  # (G,) money is added up in whole multiples of this
    cash: Integers  # (S, T) which change of cash falls at the start of that step, or -1
    cashes: Floats  # (changes, R) of pools that stand for one leverage each; 0 for others


class Key(NamedTuple):
    """What a random number depends on besides its slot."""

    seed: np.uint64
    path: np.uint64
    step: np.uint64


class Law(NamedTuple):
    """What governs one path in one step: parameter set, regime, t-mixing number times the level's scale."""

    parameters: int
    regime: int
    weight: float


class Pieces(NamedTuple):
    """One step of one path, cut at its jumps; with room to compute in. M is J + 1."""

    starts: Floats  # (A, M) prices at the start of each piece
    ends: Floats  # (A, M)
    lengths: Floats  # (M,) shares of the step
    normal: Floats  # (F,)
    noise: Floats  # (A, M) the common normals of each piece times the loading
    room: Floats  # (ROOM, N) to compute one pool in, a column a position
    rest: Floats  # (3, A) diffusion and jumps still to come, and the next jump


# Rows of Pieces.room.
WEIGHT = 0  # sensitivity to the position's asset
LOW, HIGH = 1, 2  # the range its price went through
PLACE = 3  # its price at some moment
ROOM = 4


class Clock(NamedTuple):
    """Steps and horizons."""

    steps: int
    horizon: Integers  # (T,) first horizon at or after the end of each step
    ends: Integers  # (T,) 1 where the step's end is that horizon
    bridge: int  # 1: watched between step ends as well
    wick: int  # 1: and at wicks, which takes the bridge too
    watch: Integers  # (S, T) UNSEEN, AT_CLOSE, or THROUGHOUT
    seen: Integers  # (S, T) horizon by which what happens in that step is seen


class Tally(NamedTuple):
    """Integer counts, filled by the kernel; adding two tallies of different paths is exact."""

    hits: Integers  # (MARKS, S, P, L, H) first passages in (previous horizon, horizon]
    joint: Integers  # (S, H, P, P), or (S, H, 0, 0): both liquidated at leverage 1, the later one here
    last_pool: Integers  # (S, V, L, H) the last of an account's pools liquidated then
    groups: Integers  # (MOMENTS, S, G, L, H) sums over paths at each horizon
    aftermath: Integers  # (AFTERMATHS, S, P, L, H) likewise, of what follows a breach
    breach: Integers  # (S, P, L, W) which position's price had cost most at the first forced close
    venue: Integers  # (VENUE_ROWS, S, V, L, H) as `groups`, of venues whose accounts share a market
    histogram: Integers  # (SPREADS, S, P, L, H, BINS) paths by where they are, and have been, at each horizon
    results: Integers  # (S, P, L, H, BINS) what those of RESULT have made, in quanta
    passages: Integers  # (S, P, L, TIMES) liquidations by time, of a book that nobody touches
    discordant: Integers  # (2, S, P, L, H) likewise: only here, only in the baseline, by each horizon


class Draws(NamedTuple):
    """What all scenarios share in a step."""

    uniform: Floats  # (4, LANES) for the next regime, t-mixing, the next level, the number of jumps
    factor: Floats  # (F, LANES) standard normals
    noise: Floats  # (D, K, A, LANES) loading times factors
    dip_factor: Floats  # (F, LANES) standard normals for what happens between the ends of a step
    dip_noise: Floats  # (D, K, A, LANES) loading times those
    wick_common: Floats  # (WAYS, LANES) standard normals shared by all assets' wicks
    wick_own: Floats  # (WAYS, A, LANES) standard normals of each asset's own
    excess: Floats  # (S, WAYS, A, LANES) of wicks, for the scenarios that others share their regimes with
    funding_normal: Floats  # (2, rows, LANES) of the step, of the start: see `kernels.reverting`
    basis_normal: Floats  # (rows, LANES) of the start
    event_normal: Floats  # (2, LANES) the size of an event, and a spare one
    burst: Integers  # (LANES,) which burst the model step has, or -1
    burst_normal: Floats  # (2, LANES) its size, and a spare one


class Step(NamedTuple):
    """One step of one scenario, one path a lane."""

    weight: Floats  # (LANES,) t-mixing number
    jumps: Integers  # (LANES,)
    before: Floats  # (A, LANES) price at the start
    move: Floats  # (A, LANES) return
    spread: Floats  # (A, LANES) standard deviation of the return, jumps apart
    carry: Floats  # (A, LANES) annualised funding rate x price at the end
    dip: Floats  # (A, LANES) common normals x loading x price, for what happens inside the step
    rate: Floats  # (A, LANES) annualised funding rate at the end, where clamps may bind
    wick: Floats  # (WAYS, A, LANES) what a wick moves the price by, as a share of it (additive: of spot)
    reach: Floats  # (LANES,) the largest of those, without its sign


class Standing(NamedTuple):
    """Where every pool and account stands, one path a lane: the state of a walk."""

    price: Floats  # (S, A, LANES)
    regime: Integers  # (S, LANES)
    level: Integers  # (LANES,) the same in all scenarios
    funding: Floats  # (S, B, LANES) annualised rate, before what scenarios and clamps make of it
    basis: Floats  # (S, B, LANES) log of the perpetual's price over the asset's
    pool: Floats  # (S, R, 1 + 2 MARKS, LANES) rows: PAID, then X by mark, then the threshold next in line
    rank: Integers  # (S, R, MARKS, LANES) thresholds passed
    unit: Integers  # (S, P, LANES) horizon at which leverage 1 was liquidated, or H
    pools_hit: Integers  # (S, V, MARKS, L, LANES) pools of the account that have hit the mark
    # accounts of the group liquidated in (previous horizon, horizon]; by the horizon, once it is reached
    liquidated: Integers  # (S, G, H, L, LANES)
    # pools found liquidatable for the first time, for those who follow them: row, leverage, lane
    news: Integers  # (S, R L LANES, 3), or nothing where nobody does
    fresh: Integers  # (S,) how many of them are not read yet
    # (R, LANES) at the end of the step: maintenance margin and haircuts, where they bend or bins are counted;
    held: Floats
    worth: Floats  # and the positions' value, where bins are


# Rows of Standing.pool. One array holds them so that a loop over lanes has few pointers to tell apart.
PAID = 0  # funding paid since `as_of`, at leverage 1
STANDING = 1  # + mark: X
NEXT = 1 + MARKS  # + mark: the threshold next in line, or minus infinity


class Desk(NamedTuple):
    """Room to compute one pool, and one group, in."""

    table: Floats  # (ROWS, LANES)
    flag: Integers  # (LANES,)
    money: Floats  # (2, L, LANES) a group's equity and shortfall
    turn: Floats  # (LANES,) what kinks add to a slope
    extent: Floats  # (2, 2, A) least and greatest price over the lanes: at the step's end, in its middle
    reach: Floats  # (2, A) the lowest and highest price that any lane may get to within the step


LOWEST, HIGHEST = 0, 1  # of Desk.reach

# Rows of Desk.table.
REQUIRED = 0  # + mark: margin required; nothing for bankruptcy
VALUE = 3  # of the positions
FUNDING = 4  # paid in the step
DIP = 5  # + mark: Step.dip summed over the pool's sensitivities; at BANKRUPTCY over sizes alone
SPREAD = 8  # bound on the standard deviation of X over the step
RATIO = 9  # how the book's prices have moved together
BEND = 10  # how much nearer a short's barrier is in logs than in prices
TURN = 11  # + mark: as REQUIRED, but each position's slope times price; kept for pools with kinks alone
GROSS = 14  # positions and margin required without their signs, at the higher end of the step
ROWS = 15

# First axis of Tally.groups. Squares are too large for one integer: their sum is HIGH x 2^32 + LOW.
ANY, ALL = 0, 1  # paths on which some, every account of the group has been liquidated
LIQUIDATED, LIQUIDATED_SQUARE = 2, 3  # how many of its accounts have been
EQUITY, EQUITY_HIGH, EQUITY_LOW = 4, 5, 6  # in quanta, and its square
SHORTFALL, SHORTFALL_HIGH, SHORTFALL_LOW = 7, 8, 9  # likewise
MOMENTS = 10


# First axis of Tally.aftermath: paths, by each horizon; then money in quanta as above, sum, HIGH, LOW.
FORCED_PATHS, PARTIAL_PATHS, CLOSED_PATHS, BANKRUPT_PATHS, ACTED_PATHS, NEEDLESS_PATHS = 0, 1, 2, 3, 4, 5
SHORTFALLS, SHARES, PAID_FEES, PAID_SLIPPAGE, PAID_TO_FUND, PAID_GAS = 6, 9, 12, 15, 18, 21
PAID_FUNDING = 24  # may be negative
AFTERMATHS = 27
# First axis of Tally.venue, likewise. The fund has been asked for more than it had; something was closed of a
# pool that stood when the venues began to look.
EXHAUSTED_PATHS, CASCADE_PATHS = 0, 1
FORCED_ACCOUNTS, SOCIALISED, CLOSED_NOTIONAL, DRAWN, FALL = 2, 5, 8, 11, 14
VENUE_ROWS = 17
SHARE_QUANTUM = 2.0**-24
COST_SHARE = 2.0**-8  # of the quantum of other money: costs are small, and gas is smaller

# First axis of Tally.histogram. Equity is an account's; RESULT what it has made, top-ups taken off.
AT_HORIZON, LOWEST_EQUITY, RESULT, SHORT_OF, DRAWDOWN, LOWEST_RATIO = 0, 1, 2, 3, 4, 5
SPREADS = 6
SIDE = 128  # bins on each side of the middle
BINS = 2 * SIDE
TIMES = 128


def checked(values: Any, dtype: type, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return values as a C-contiguous array of that dtype, refusing another shape or a non-finite number."""
    array: NDArray[Any] = np.ascontiguousarray(values, dtype=dtype)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: not finite")
    return array


def checked_index(values: Any, shape: tuple[int, ...], low: int, high: int, name: str) -> Integers:
    """Return indices as int64, refusing any outside [low, high): numba does not check bounds."""
    array = checked(values, np.int64, shape, name)
    if array.size and (array.min() < low or array.max() >= high):
        raise ValueError(f"{name}: index outside [{low}, {high})")
    return array


def create_tally(
    scenarios: int,
    accounts: int,
    leverages: int,
    horizons: int,
    joint: bool,
    several: int = 0,
    groups: int = 0,
    width: int = 0,
    venues: int = 0,
    quantiles: bool = False,
) -> Tally:
    """Return a tally of zeros. width: of `Holdings`, where what follows a breach is counted; else 0.

    venues: whose accounts share a market, see `kernels.desks.Contagion`. quantiles: whether paths are
    counted by where they have been, too.
    """
    pairs = accounts if joint else 0
    followed = accounts if width else 0
    spread = followed if quantiles else 0
    return Tally(
        np.zeros((MARKS, scenarios, accounts, leverages, horizons), np.int64),
        np.zeros((scenarios, horizons, pairs, pairs), np.int64),
        np.zeros((scenarios, several, leverages, horizons), np.int64),
        np.zeros((MOMENTS, scenarios, groups, leverages, horizons), np.int64),
        np.zeros((AFTERMATHS, scenarios, followed, leverages, horizons), np.int64),
        np.zeros((scenarios, followed, leverages, width), np.int64),
        np.zeros((VENUE_ROWS, scenarios, venues, leverages, horizons), np.int64),
        np.zeros((SPREADS, scenarios, spread, leverages, horizons, BINS), np.int64),
        np.zeros((scenarios, spread, leverages, horizons, BINS), np.int64),
        np.zeros((scenarios, spread, leverages, TIMES), np.int64),
        np.zeros((2, scenarios, spread, leverages, horizons), np.int64),
    )
