"""What follows a breach, as arrays: who holds what, how orders fill, what the desk and the venue do.

An estate is one account at one leverage on one path, from its first event on. Estates of a tile of paths lie
in slots, given out as events come; nothing is allocated while paths are walked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.structs import Book, Floats, Integers

# Policies.kind
TOP_UP, CLOSE, STOP_PRICE, STOP_DRAWDOWN, STRATEGY_CAP, REBALANCE = 0, 1, 2, 3, 4, 5
# Rules.family
DYDX, FULL, PARTIAL = 0, 1, 2
HALTED = -2  # of Timeline.sees

# Rows of Estate.money, in quote currency.
FEES, SLIPPAGE, LIQUIDATION_FEES, GAS = 0, 1, 2, 3
FORCED = 4  # notional closed by the venue
OTHERS = 5  # what the fund and the other side paid
FUND = 6  # what is left of the insurance fund
PUT_IN = 7  # top-ups that have arrived
FUNDING_PAID = 8
MONEY = 9

# Rows of Estate.state.
FIRED = 0  # 1 once a policy has acted
WAS_FORCED = 1  # 1 once the venue has closed something
WAS_BANKRUPT = 2
TOUCHED = 3  # 1 once it is no longer what the screen walks
HIT_STEP = 4  # step in which the untouched book met the liquidation condition, or -1
STATES = 5


class Holdings(NamedTuple):
    """What the estates of a book are made of. Letters as in `kernels.structs.Book`; W positions at most an
    account, over its pools."""

    first: Integers  # (P + 1,) first pool of each account; the last number is Y, that of all pools
    row: Integers  # (Y, L) row of Book that the pool is at each leverage
    place: Integers  # (Y,) where its positions begin among the account's
    width: int  # W
    closes: Integers  # (N,) 1 what a venue or a desk can close; 0 collateral in coins, and fillers
    market: Integers  # (N,) which market of Execution, 0 where it can't be traded
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


class Policies(NamedTuple):
    """What desks do. Q rows: a ladder has one for each rung."""

    first: Integers  # (P + 1,) first row of each account
    kind: Integers  # (Q,)
    number: Integers  # (Q,) which of its account's policies, in the plan's order
    below: Floats  # (Q,) margin ratio; STOP_PRICE price; STOP_DRAWDOWN share; STRATEGY_CAP loss; REBALANCE high
    low: Floats  # (Q,) REBALANCE: the lower end of the band
    amount: Floats  # (Q,) TOP_UP money; REBALANCE target leverage; else the share to close
    reserve: Floats  # (Q,) TOP_UP: all that may be put in
    delay: Integers  # (Q,) steps from seeing to acting
    probability: Floats  # (Q,) that somebody is there
    touches: Integers  # (Q, W) 1 the positions of the account that it is about
    most: int  # rows of any one account


class Desks(NamedTuple):
    """All that is known of what follows a breach before a path is walked."""

    holdings: Holdings
    execution: Execution
    timeline: Timeline
    rules: Rules
    policies: Policies


class Estate(NamedTuple):
    """The estates of a tile, a slot each."""

    slot: Integers  # (S, P, L, LANES) slot, or -1: untouched so far
    count: Integers  # (S,) estates of each scenario; they are slots[s, :count[s]]
    slots: Integers  # (S, E) in the order in which they were opened
    owner: Integers  # (C, 3) account, leverage, lane
    used: Integers  # (1,) slots given out
    size: Floats  # (C, W)
    order: Floats  # (C, W) still to be filled, signed
    gain: Floats  # (C, W) profit since `as_of` of each position, costs and funding included, marks not
    cash: Floats  # (C, Y')
    traded: Floats  # (C, W) notional traded in this step, at the first position in that market
    money: Floats  # (C, MONEY)
    state: Integers  # (C, STATES)
    due: Integers  # (C, Q') step in which a policy acts, or -1: nothing under way
    done: Integers  # (C, Q') 1 where a policy that acts once has
    left: Floats  # (C, Q') reserves
    sent: Floats  # (C, Q') money under way
