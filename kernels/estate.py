"""Estates: what they are, what they are worth, and how they begin.

An estate is one account at one leverage on one path, from its first event on. Estates of a tile of paths lie
in slots, given out as events come; nothing is allocated while paths are walked.
"""

from __future__ import annotations

from typing import NamedTuple

from kernels.desks import Desks, Holdings, Timeline
from kernels.jit import hot, inlined
from kernels.journal import Journal
from kernels.kinks import lift_at
from kernels.structs import LIQUIDATION, PAID, Floats, Integers, Standing

# Rows of Estate.money, in quote currency.
FEES, SLIPPAGE, LIQUIDATION_FEES, GAS = 0, 1, 2, 3
COSTS = 4  # rows before are what a cube calls costs
FORCED = 4  # notional closed by the venue
OTHERS = 5  # what the fund and the other side paid
FUND = 6  # what is left of the insurance fund
PUT_IN = 7  # top-ups that have arrived
FUNDING_PAID = 8
MONEY = 9

# Rows of Estate.state.
IS_OPEN = 0  # 1 once it has a state of its own
HAS_ACTED = 1  # 1 once a policy has acted
WAS_FORCED = 2  # 1 once the venue has closed something
WAS_BANKRUPT = 3
IS_STILL = 4  # 1 where nothing is held, ordered or under way
DRAWS = 5  # positions that the venue has drawn in this step
STATES = 6
NEVER = -1  # of Estate.told and Estate.due
UNARMED, BENT = -1, -2  # of Estate.lines: not known yet; not straight lines


class Watches(NamedTuple):
    """What policies wait for in books that nobody touches, see `kernels.watches`. G lines A + l B; their E
    terms, an even number each, add up to B."""

    first: Integers  # (P + 1,) first line of each account
    term: Integers  # (G + 1,) first term of each line
    asset: Integers  # (E,)
    coefficient: Floats  # (E,) money by one unit of price
    source: Integers  # (G + 1,) first funding of each line
    paid: Integers  # (X,) row of Book; or their number plus that of a position, below
    share: Floats  # (X,) how much of it
    rest: Floats  # (G,) what else B has
    kinked: Integers  # (G,) row whose requirement bends, or -1
    ratio: Floats  # (G,) how much of that
    threshold: Floats  # (G, L) of B by rank, descending
    leverage: Integers  # (G, L) which one has it
    tolled: Integers  # (K,) positions whose funding is summed up one by one
    toll_of: Integers  # (N,) which of them, or -1


class Pits(NamedTuple):
    """Where the accounts of a path, scenario and leverage trade with one another: X pits, of scenarios,
    leverages and lanes in that order; none where accounts don't touch one another."""

    busy: Integers  # (X,) NOBODY, SOMEBODY or EVERYBODY there has an estate
    factor: Floats  # (X, A) what has been left of earlier steps' moves, times the path's price
    closing: Floats  # (X, A) the last close's marks over the path's prices
    lowest: Floats  # (X,) the lowest factor that any price has been pushed to, moves within steps included
    fund: Floats  # (X, V)
    paid: Floats  # (X, V) what the fund has paid
    given: Floats  # (X, V) what those closed against gave up against the mark
    exhausted: Integers  # (X, V) 1 once the fund has been asked for more than it had
    cascade: Integers  # (X, V) 1 once pools were closed that stood when the venue began to look
    # of the pit that is being moved, in its step
    here: Integers  # (1,) which one
    draws: Integers  # (1,) counterparties drawn
    taken: Floats  # (2, M) notional sold, and bought
    depth: Floats  # (M,) notional that a market takes
    start: Floats  # (A,) prices before any fill
    shown: Floats  # (A,) what the venue has had of them
    ratio: Floats  # (A,) what fills have made of both
    met: Integers  # (Y,) 1 where a pool was liquidatable when the venue began to look


NOBODY, SOMEBODY, EVERYBODY = 0, 1, 2  # of Pits.busy
SOLD, BOUGHT = 0, 1  # rows of Pits.taken


class Estate(NamedTuple):
    """The estates of a tile, a slot each: C slots; W positions, Y' pools, Q' policy rows an account."""

    slot: Integers  # (S, P, L, LANES) slot, or -1: untouched so far
    many: Integers  # (S,) estates of each scenario: their slots are listed[s, :many[s]]
    listed: Integers  # (S, C / S) in the order in which they came
    owner: Integers  # (C, 3) account, leverage, lane
    used: Integers  # (1,) slots given out
    size: Floats  # (C, W)
    order: Floats  # (C, W) still to be filled, signed
    gain: Floats  # (C, W) cash that each position has brought since `as_of`, funding and costs included
    traded: Floats  # (C, W) notional traded in this step, by the first position in the same market
    cash: Floats  # (C, Y')
    told: Integers  # (C, Y') step in which the untouched pool met the liquidation condition, or NEVER
    touched: Integers  # (C, Y') 1 once the pool is not what the screen walks
    money: Floats  # (C, MONEY)
    state: Integers  # (C, STATES)
    due: Integers  # (C, Q') step in which a policy acts, or NEVER
    done: Integers  # (C, Q') 1 where a policy that acts once has
    left: Floats  # (C, Q') reserves
    sent: Floats  # (C, Q') money under way
    pool_of: Integers  # (R,) the row's pool, by number in its account
    # who still sleeps
    watches: Watches
    rank: Integers  # (S, G, LANES) leverages that a line has woken
    next: Floats  # (S, G, LANES) the threshold next in line, or minus infinity
    toll: Floats  # (S, K, LANES) funding paid since `as_of`, at leverage 1
    # and who rests: nothing happens to them while all of their lines are above zero, see `kernels.rest`
    lines: Integers  # (C,) how many; UNARMED, or BENT
    line: Floats  # (C, lines, 1 + Y' + 2 W) of 1, cash, prices, and gains
    until: Integers  # (C,) step in which something happens anyway
    heeds: Integers  # (C, Y') 1 a pool that is looked for between the ends of a step
    net: Floats  # (C, W) what a pool has above its requirement, by one unit of price
    # room to compute in
    at: Floats  # (A,) prices of the market at an instant
    seen: Floats  # (A,) and those that the venue has
    low: Floats  # (A,) prices where a pool is lowest within a step
    first: Floats  # (A,) and where it first meets its requirement
    middle: Floats  # (A,) in the middle of the step
    risk: Floats  # (A,) money a pool makes by one asset's return
    way: Floats  # (A,) how prices go together with what the pool makes
    paid: Floats  # (W,) funding of a step
    kept: Floats  # (Y',) cash after it
    mark: Floats  # (W,) closing prices
    level: Floats  # (LANES,) B of a line
    past: Floats  # (S, D, A, LANES) closes that the venue may still judge by
    pits: Pits


@inlined
def is_read_about(journal: Journal, estate: Estate, c: int, scenario: int) -> bool:
    """Whether an estate is the one that is written down."""
    if journal.price.shape[0] == 0 or journal.of[0] != scenario:
        return False
    same = journal.of[1] == estate.owner[c, 0] and journal.of[2] == estate.owner[c, 1]
    return bool(same and journal.of[3] == estate.owner[c, 2])


@inlined
def take_outlier_off(timeline: Timeline, scenario: int, step: int, prices: Floats) -> None:
    """Turn prices (A,) of the walk, which are the oracle's, into those of the market."""
    outlier = timeline.outlier[scenario, step]
    if outlier >= 0:
        for a in range(prices.shape[0]):
            prices[a] /= timeline.outliers[outlier, a]


@inlined
def multiple_of(holdings: Holdings, row: int, leverage: int) -> float:
    """What sizes and funding of a row count at a leverage: a row of one leverage alone has its sizes."""
    return float(holdings.multiple[leverage]) if holdings.alone[row] < 0 else 1.0


@inlined
def require(holdings: Holdings, row: int, n: int, size: float, price: float) -> float:
    """Maintenance margin, or what the haircut takes off a coin, of a position at any size and price.

    Brackets are of notional, so a size c times the book's at price p needs what the book's needs at c p.
    """
    if size == 0.0 or holdings.size[n] == 0.0:
        return 0.0
    at = abs(size / holdings.size[n]) * price
    required = holdings.required[n] * at
    if holdings.kinks.present[row]:
        required += lift_at(holdings.kinks, LIQUIDATION, n, at)
    return float(required)


@inlined
def value_estate(
    holdings: Holdings, estate: Estate, c: int, pool: int, at: Floats
) -> tuple[float, float, float]:
    """Equity without haircuts, maintenance margin, and haircuts of one pool at prices (A,)."""
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    row = holdings.row[pool, leverage]
    place = holdings.place[pool] - holdings.start[row]
    equity = estate.cash[c, pool - holdings.first[account]]
    maintenance, haircuts = 0.0, 0.0
    for n in range(holdings.start[row], holdings.start[row + 1]):
        size, price = estate.size[c, place + n], at[holdings.asset[n]]
        equity += size * price
        required = require(holdings, row, n, size, price)
        if holdings.closes[n]:
            maintenance += required
        else:
            haircuts += required
    return equity, maintenance, haircuts


@inlined
def count_open(holdings: Holdings, estate: Estate, c: int, pool: int) -> int:
    """How many positions of a pool are open that a venue can close."""
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    found = 0
    for n in range(holdings.start[row], holdings.start[row + 1]):
        found += int(holdings.closes[n] and estate.size[c, place + n] != 0.0)
    return found


@inlined
def is_closed_out(holdings: Holdings, estate: Estate, c: int, pool: int) -> bool:
    """Whether nothing is open any more in a pool that had something to close."""
    row = holdings.row[pool, estate.owner[c, 1]]
    had = 0
    for n in range(holdings.start[row], holdings.start[row + 1]):
        had += holdings.closes[n]
    return had > 0 and count_open(holdings, estate, c, pool) == 0


@inlined
def is_liquidatable(holdings: Holdings, estate: Estate, c: int, pool: int, seen: Floats) -> bool:
    """Whether a pool meets the venue's liquidation condition at the prices that the venue has."""
    equity, maintenance, haircuts = value_estate(holdings, estate, c, pool, seen)
    short_by = maintenance - (equity - haircuts)
    return maintenance > 0.0 and short_by > holdings.tie[pool, estate.owner[c, 1]]


@hot
def find_loss(holdings: Holdings, estate: Estate, c: int, row: int, i: int, n: int, at: Floats) -> float:
    """What one position has lost since `as_of` at prices (A,), funding and costs included."""
    asset = holdings.asset[n]
    began = multiple_of(holdings, row, estate.owner[c, 1]) * holdings.size[n] * holdings.spot[asset]
    return float(began - estate.size[c, i] * at[asset] - estate.gain[c, i])


@inlined
def find_pit(estate: Estate, scenario: int, leverage: int, lane: int) -> int:
    """The number of the pit of a path, scenario and leverage; -1 where accounts don't touch one another."""
    if estate.pits.busy.shape[0] == 0:
        return -1
    return int((scenario * estate.slot.shape[2] + leverage) * estate.slot.shape[3] + lane)


@hot
def claim(estate: Estate, scenario: int, account: int, leverage: int, lane: int) -> int:
    """The slot of an account at a leverage on a path: a new one, where it has none yet."""
    c = estate.slot[scenario, account, leverage, lane]
    if c >= 0:
        return int(c)
    c = estate.used[0]
    estate.used[0] += 1
    estate.slot[scenario, account, leverage, lane] = c
    estate.listed[scenario, estate.many[scenario]] = c
    estate.many[scenario] += 1
    estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2] = account, leverage, lane
    pit = find_pit(estate, scenario, leverage, lane)
    if pit >= 0:
        estate.pits.busy[pit] = max(estate.pits.busy[pit], SOMEBODY)
    for k in range(estate.told.shape[1]):
        estate.told[c, k], estate.touched[c, k] = NEVER, 0
    for k in range(STATES):
        estate.state[c, k] = 0
    estate.lines[c] = UNARMED
    return int(c)


@inlined
def open_estate(desks: Desks, scenario: int, c: int, standing: Standing, estate: Estate) -> None:
    """Give an estate the state that the screen has it in: sizes, and cash after what it has paid so far."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage, lane = estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2]
    for i in range(holdings.width):
        estate.size[c, i], estate.order[c, i] = 0.0, 0.0
        estate.gain[c, i], estate.traded[c, i] = 0.0, 0.0
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        if holdings.spare[pool]:
            estate.cash[c, pool - holdings.first[account]] = 0.0
            continue
        row = holdings.row[pool, leverage]
        multiple = multiple_of(holdings, row, leverage)
        paid = standing.pool[scenario, row, PAID, lane]
        estate.cash[c, pool - holdings.first[account]] = holdings.began[row] - multiple * (
            holdings.base[row] + paid
        )
        for n in range(holdings.start[row], holdings.start[row + 1]):
            estate.size[c, holdings.place[pool] + n - holdings.start[row]] = multiple * holdings.size[n]
    for k in range(MONEY):
        estate.money[c, k] = 0.0
    estate.money[c, FUND] = desks.rules.fund[account]
    for q in range(policies.first[account], policies.first[account + 1]):
        k = q - policies.first[account]
        estate.due[c, k], estate.done[c, k] = NEVER, 0
        estate.left[c, k], estate.sent[c, k] = policies.reserve[q], 0.0
    estate.state[c, IS_OPEN] = 1


@inlined
def begin_gains(desks: Desks, scenario: int, lane: int, estate: Estate, c: int) -> None:
    """Give a new estate's positions what they have brought so far: funding, where somebody asks for it.

    What they pay at the end of the step is taken later. What is not there yet is as if sold at `as_of`.
    """
    holdings, watches = desks.holdings, estate.watches
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        multiple = multiple_of(holdings, row, leverage)
        for n in range(holdings.start[row], holdings.start[row + 1]):
            i, k = holdings.place[pool] + n - holdings.start[row], watches.toll_of[n]
            if holdings.spare[pool]:
                estate.gain[c, i] = multiple * holdings.size[n] * holdings.spot[holdings.asset[n]]
            elif k < 0:
                estate.gain[c, i] = 0.0
            else:
                estate.gain[c, i] -= multiple * estate.toll[scenario, k, lane]
