"""What follows a breach, as arrays: who holds what, how orders fill, what the desk and the venue do.

An estate is one account at one leverage on one path, from its first event on. Estates of a tile of paths lie
in slots, given out as events come; nothing is allocated while paths are walked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.jit import hot, inlined
from kernels.kinks import lift_at
from kernels.structs import LIQUIDATION, PAID, Floats, Integers, Kinks, Standing

# Policies.kind
TOP_UP, CLOSE, STOP_PRICE, STOP_DRAWDOWN, STRATEGY_CAP, REBALANCE, ISOLATE = range(7)
# Rules.family
DYDX, FULL, PARTIAL = 0, 1, 2
HALTED = -2  # of Timeline.sees

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

# Instants of a step, in Journal: its start, POINTS within it, its close.
POINTS = 8
AT_START, AT_END = 0, 1 + POINTS
# Events, in Journal.
BREACHED, FILLED, TOPPED_UP, SENT, ACTED, LIQUIDATED, DELEVERAGED, PAID_BY_FUND, WENT_BANKRUPT = range(9)
COUNTERED = 9  # closed against another account's bankruptcy; money as of DELEVERAGED: below zero, it has cost
MOVED = 10
EVENT_FIELDS = 7  # step, instant, event, position or policy row, quantity, price, money


class Holdings(NamedTuple):
    """What the estates of a book are made of. Letters, and all that is said to be so, as in
    `kernels.structs.Book`; W positions at most an account, over its pools."""

    start: Integers  # so
    asset: Integers  # so
    interval: Integers  # so
    funding_cap: Floats  # so
    size: Floats  # so
    required: Floats  # (N,) as `requirement`, maintenance alone
    kinks: Kinks  # so
    account: Integers  # so
    alone: Integers  # so
    multiple: Floats  # so
    base: Floats  # so
    began: Floats  # (R,) as `equity`
    cash: Integers  # so
    cashes: Floats  # so
    spot: Floats  # (A,) price at `as_of`

    first: Integers  # (P + 1,) first pool of each account; the last number is Y, that of all pools
    row: Integers  # (Y, L) row of Book that the pool is at each leverage
    place: Integers  # (Y,) where its positions begin among the account's
    spare: Integers  # (Y,) 1 what is empty until a policy moves a position there: rows that Book has not
    width: int  # W
    closes: Integers  # (N,) 1 what a venue or a desk can close; 0 collateral in coins, and fillers
    market: Integers  # (N,) which market of Execution, 0 where it can't be traded
    lead: Integers  # (N,) place of the account's first position in the same market, which share its book
    entry: Floats  # (N,)
    gross: Floats  # (P, L) notional at `as_of`
    equity: Floats  # (P,) at `as_of`, without haircuts
    tie: Floats  # (Y, L) how near to its requirement a pool stands


class Execution(NamedTuple):
    """How orders fill. M markets, each of one venue."""

    fee: Floats  # (P,) taker fee, a fraction
    depth: Floats  # (M,) notional that a market takes in a step; infinite: all, at its mark
    impact: Floats  # (M,) slippage of taking all of it, a fraction
    power: Floats  # (M,) slippage grows with that power of the share taken: 1/2 or 1
    depth_factor: Floats  # (S, T, M) of the scenario
    regime_depth: Floats  # (K, M)


class Timeline(NamedTuple):
    """What chain and oracle let happen, by scenario and step."""

    sees: Integers  # (S, T) whose step's closing prices the venue judges by; -1: those of `as_of`; HALTED
    memory: int  # how many closes back that may be, this one included; 1 where the venue sees all at once
    gas: Floats  # (S, T) factor on the cost of an action
    gas_delay: Integers  # (S, T) steps
    outlier: Integers  # (S, T) which outlier the oracle has in that step, or -1
    outliers: Floats  # (outliers, A) prices that the venue has over those of the market
    baseline: int  # the scenario that others are held against


class Rules(NamedTuple):
    """How each account's venue liquidates. Fractions, and quote currency."""

    family: Integers  # (P,)
    fee: Floats  # (P,) liquidation fee, of what is filled
    adjustment: Floats  # (P,) bankruptcy adjustment
    spread: Floats  # (P,) spread to maintenance margin
    least: Floats  # (P,) notional that is liquidated at least
    portion: Floats  # (P,) of a position that is liquidated at once
    most: Floats  # (P,) notional an account and look
    most_lost: Floats  # (P,) of the fund, an account and look
    fund: Floats  # (P,) insurance fund at `as_of`; infinite
    gas_cost: Floats  # (P,) of an action of the desk
    looks: Integers  # (P,) at most, in one instant
    quantum: Floats  # (P,) money is added up in whole multiples of this


class Policies(NamedTuple):
    """What desks do. Q rows: a ladder has one for each rung."""

    first: Integers  # (P + 1,) first row of each account
    kind: Integers  # (Q,)
    number: Integers  # (Q,) which of its account's policies, in the plan's order
    below: (
        Floats  # (Q,) margin ratio; STOP_PRICE price; STOP_DRAWDOWN, ISOLATE share; STRATEGY_CAP loss;
        # REBALANCE high
    )
    low: Floats  # (Q,) REBALANCE: the lower end of the band
    amount: Floats  # (Q,) TOP_UP, ISOLATE money; REBALANCE target leverage; else the share to close
    reserve: Floats  # (Q,) TOP_UP: all that may be put in
    delay: Integers  # (Q,) steps from seeing to acting
    probability: Floats  # (Q,) that somebody is there
    touches: Integers  # (Q, W) 1 the positions of the account that it is about
    pool: Integers  # (Q,) ISOLATE: the spare pool that is kept for it, by number in its account
    most: int  # rows of any one account


class Contagion(NamedTuple):
    """Where all accounts of a path, scenario and leverage stand in one market. V venues."""

    lasting: Floats  # (1,) share of a step's impact that stays in prices; (0,) where they don't touch
    venue: Integers  # (P,) at which each account is
    fund: Floats  # (V,) insurance fund at `as_of`; infinite
    quantum: Floats  # (V,) money is added up in whole multiples of this
    column: Integers  # (M,) asset whose price a market moves


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


class Desks(NamedTuple):
    """All that is known of what follows a breach before a path is walked."""

    holdings: Holdings
    execution: Execution
    timeline: Timeline
    rules: Rules
    policies: Policies
    contagion: Contagion


def apart() -> Contagion:
    """Accounts that don't touch one another."""
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    return Contagion(nothing, none, nothing, nothing, none)


def nobody() -> Desks:
    """The desks of a plan that follows nobody."""
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    numbers, table = np.zeros((0, 0), np.int64), np.zeros((0, 0))
    ends = np.zeros(1, np.int64)
    return Desks(
        Holdings(
            start=ends,
            asset=none,
            interval=none,
            funding_cap=nothing,
            size=nothing,
            required=nothing,
            kinks=Kinks(numbers, nothing, table, none, none),
            account=none,
            alone=none,
            multiple=nothing,
            base=nothing,
            began=nothing,
            cash=numbers,
            cashes=table,
            spot=nothing,
            first=ends,
            row=numbers,
            place=none,
            spare=none,
            width=0,
            closes=none,
            market=none,
            lead=none,
            entry=nothing,
            gross=table,
            equity=nothing,
            tie=table,
        ),
        Execution(*(nothing,) * 4, np.zeros((0, 0, 0)), table),
        Timeline(numbers, 1, table, numbers, numbers, table, 0),
        Rules(none, *(nothing,) * 9, none, nothing),
        Policies(ends, none, none, *(nothing,) * 4, none, nothing, numbers, none, 0),
        apart(),
    )


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


class Journal(NamedTuple):
    """What happened to one estate, for people to read. Without room it keeps nothing."""

    of: Integers  # (4,) scenario, account, leverage, lane
    open: Integers  # (1,) 1 while that one is being moved
    written: Integers  # (1,) events so far
    events: Floats  # (E, EVENT_FIELDS)
    size: Floats  # (T, W) after each step
    order: Floats  # (T, W)
    cash: Floats  # (T, Y')
    margin: Floats  # (T, Y', 3) equity, maintenance margin, haircuts
    money: Floats  # (T, MONEY)
    state: Integers  # (T, STATES)
    price: Floats  # (T, A)
    regime: Integers  # (T,)


@inlined
def is_read_about(journal: Journal, estate: Estate, c: int, scenario: int) -> bool:
    """Whether an estate is the one that is written down."""
    if journal.price.shape[0] == 0 or journal.of[0] != scenario:
        return False
    same = journal.of[1] == estate.owner[c, 0] and journal.of[2] == estate.owner[c, 1]
    return bool(same and journal.of[3] == estate.owner[c, 2])


@inlined
def note(
    journal: Journal,
    when: tuple[int, int],
    event: int,
    which: int,
    quantity: float,
    price: float,
    money: float,
) -> None:
    """Write an event down, if it is of the estate that somebody wants to read about."""
    k = journal.written[0]
    if journal.open[0] and k < journal.events.shape[0]:
        journal.written[0] += 1
        fields = journal.events[k]
        fields[0], fields[1], fields[2], fields[3] = when[0], when[1], event, which
        fields[4], fields[5], fields[6] = quantity, price, money


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
