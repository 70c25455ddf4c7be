"""From the policies of a plan's accounts to the arrays of `kernels.desks.Policies`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from kernels.desks import CLOSE, ISOLATE, REBALANCE, STOP_DRAWDOWN, STOP_PRICE, STRATEGY_CAP, TOP_UP, Policies
from kernels.structs import checked, checked_index
from pipeline.holders import Holder
from pipeline.plan import Plan, Position, Venue
from pipeline.policies import Isolate, Ladder, Override, Policy, Rebalance, Stop, StrategyCap, TopUp

ALL = 1.0  # the share that a stop closes


class Action(NamedTuple):
    """A row of `kernels.desks.Policies`, but for its account."""

    kind: int
    number: int
    below: float
    low: float
    amount: float
    reserve: float
    delay: int
    probability: float
    touches: list[int]
    pool: int = 0


def lower_policies(plan: Plan, holders: list[Holder]) -> Policies:
    """The rows of all policies of these accounts, a ladder's rungs one each."""
    desks = [list(_actions_of(plan, holder)) for holder in holders]
    rows = [action for desk in desks for action in desk]
    count, width = len(rows), max(h.width for h in holders)
    touches = np.zeros((count, width), np.int64)
    for q, action in enumerate(rows):
        touches[q, action.touches] = 1
    return Policies(
        first=checked(list(accumulate(map(len, desks), initial=0)), np.int64, (len(holders) + 1,), "first"),
        kind=checked_index([a.kind for a in rows], (count,), TOP_UP, ISOLATE + 1, "kind"),
        number=checked([a.number for a in rows], np.int64, (count,), "number"),
        below=checked([a.below for a in rows], np.float64, (count,), "below"),
        low=checked([a.low for a in rows], np.float64, (count,), "low"),
        amount=checked([a.amount for a in rows], np.float64, (count,), "amount"),
        reserve=checked([a.reserve for a in rows], np.float64, (count,), "reserve"),
        delay=checked([a.delay for a in rows], np.int64, (count,), "delay"),
        probability=checked([a.probability for a in rows], np.float64, (count,), "probability"),
        touches=touches,
        pool=checked([a.pool for a in rows], np.int64, (count,), "pool"),
        most=max(map(len, desks)),
    )


def _actions_of(plan: Plan, holder: Holder) -> Iterator[Action]:
    """The rows of an account's policies, in their order."""
    for number, policy in enumerate(holder.account.policies):
        blank = Action(
            kind=CLOSE,
            number=number,
            below=0.0,
            low=0.0,
            amount=ALL,
            reserve=0.0,
            delay=count_whole_steps(policy.delay, plan.simulation.step),
            probability=policy.probability,
            touches=_touched(plan, holder, policy),
        )
        match policy:
            case TopUp():
                yield blank._replace(
                    kind=TOP_UP, below=policy.below, amount=policy.amount, reserve=policy.reserve
                )
            case Ladder():
                for rung in policy.rungs:
                    yield blank._replace(below=rung.below, amount=rung.close)
            case Stop() if policy.drawdown is not None:
                yield blank._replace(kind=STOP_DRAWDOWN, below=policy.drawdown)
            case Stop():
                assert policy.price is not None
                yield blank._replace(kind=STOP_PRICE, below=policy.price)
            case StrategyCap():
                yield blank._replace(kind=STRATEGY_CAP, below=policy.loss)
            case Rebalance():
                yield blank._replace(kind=REBALANCE, below=policy.high, low=policy.low, amount=policy.target)
            case Override():
                yield blank._replace(below=policy.below, amount=policy.close)
            case Isolate():
                (spare,) = (spare for spare in holder.spares if spare.policy == number)
                yield blank._replace(
                    kind=ISOLATE,
                    below=policy.above,
                    amount=policy.collateral,
                    pool=spare.pool,
                    touches=spare.copies,
                )


def _touched(plan: Plan, holder: Holder, policy: Policy) -> list[int]:
    """The positions that a policy is about, by their number among the account's legs."""
    if isinstance(policy, TopUp):
        return []
    held = [number for number, position in holder.closable if _touches(plan, holder.venue, policy, position)]
    moved = [
        spare.place + i for spare in holder.spares for i, number in enumerate(spare.copies) if number in held
    ]
    return held + moved


def _touches(plan: Plan, venue: Venue, policy: Policy, position: Position) -> bool:
    match policy:
        case Ladder():
            return policy.markets is None or position.market in policy.markets
        case Stop() if policy.price is not None:
            # a price below the mark is a long's: of a market held both ways it stops that side alone
            away = plan.prices[venue.markets[position.market].asset] - policy.price
            return position.market == policy.market and position.size * away > 0
        case StrategyCap():
            return position.strategy == policy.strategy
        case _:
            return True


def count_whole_steps(delay: timedelta, step: timedelta) -> int:
    """A delay in steps, rounded up."""
    return -(-delay // step)
