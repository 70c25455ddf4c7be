"""An account's legs, numbered as the kernel has them: what is in which place of `kernels.desks.Holdings`."""

from __future__ import annotations

from pipeline.plan import Account, Plan, Position
from pipeline.policies import Isolate

Legs = tuple[Position | None, ...]
"""What can be closed, by place. None: collateral in coins, or a filler, as pools have an even number."""


def number_legs(plan: Plan, account: Account) -> Legs:
    """The legs of an account, over its pools: first those that share one, then each isolated position, then
    those that a policy may isolate, once more."""
    held = [position for position in account.positions if position.size != 0]
    coins = sum(asset != plan.venue_of(account).quote for asset in account.collateral)
    legs: list[Position | None] = [position for position in held if not account.isolates(position)]
    legs += [None] * coins
    legs += [None] * (len(legs) % 2)
    for position in held:
        if account.isolates(position):
            legs += [position, None]
    for policy in account.policies:
        if isinstance(policy, Isolate):
            legs += [p for p in held if not account.isolates(p) and p.market == policy.market]
    return tuple(legs)


def most_legs(plan: Plan) -> int:
    """Legs of the account that has most; 0 where a plan does not resolve what follows a breach."""
    if not plan.simulation.resolve:
        return 0
    return max(len(number_legs(plan, account)) for account in plan.accounts)
