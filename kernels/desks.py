"""What follows a breach, as arrays: who holds what, how orders fill, what the desk and the venue do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.structs import Floats, Integers, Kinks

# Policies.kind
TOP_UP, CLOSE, STOP_PRICE, STOP_DRAWDOWN, STRATEGY_CAP, REBALANCE, ISOLATE = range(7)
# Rules.family
DYDX, FULL, PARTIAL = 0, 1, 2
HALTED = -2  # of Timeline.sees


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
