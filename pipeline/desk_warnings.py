"""What a reader should know about a plan that resolves what follows a breach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.effects import Gas
from pipeline.policies import Isolate, Ladder, Override, Policy, Rebalance, TopUp
from pipeline.units import format_duration
from pipeline.wording import some

if TYPE_CHECKING:
    from pipeline.margin_now import Margin
    from pipeline.plan import Account, Market, Plan

LIQUIDATED = 1.0  # the margin ratio below which the venue closes


def find_desk_warnings(plan: Plan) -> Iterator[str]:
    """A sentence for each; none where nothing is resolved."""
    if not plan.simulation.resolve:
        return
    unknown = [name for (_, name), market in _markets_held(plan).items() if market.execution is None]
    if unknown:
        names = some(list(dict.fromkeys(unknown)))
        yield f"depth of {names} is not stated: orders there fill at their mark, without slippage"
        if plan.simulation.contagion is not None and len(unknown) == len(_markets_held(plan)):
            yield "contagion moves no price: no market held has `execution`"
    venues = {plan.venue_of(account).name: plan.venue_of(account) for account in plan.accounts}
    deep = [name for name, venue in venues.items() if venue.insurance_fund is None]
    if deep and plan.simulation.contagion is not None:
        yield f"the insurance fund of {some(deep)} is not stated: it has all that is ever asked"
    free = [
        name
        for name, venue in venues.items()
        if venue.rules == "tiered" and getattr(venue.liquidation, "fee", None) == 0
    ]
    if free:
        yield f"liquidations by {some(free)} are free: `liquidation` has no fee there"
    for account in plan.accounts:
        if account.policies:
            yield from (f"account {account.name}: {text}" for text in _policy_warnings(plan, account))


def depth_warning(plan: Plan) -> str | None:
    """Why a scenario's depth changes nothing, or no chance; None where it does."""
    if not plan.simulation.resolve:
        return f"depth changes what a liquidation costs, not its chance: {_UNRESOLVED}"
    stated = any(market.execution for market in _markets_held(plan).values())
    return None if stated else "depth changes nothing: no market held has `execution`"


def gas_warning(plan: Plan, effect: Gas) -> str | None:
    """Why gas changes nothing; None where it does."""
    if not plan.simulation.resolve:
        return f"gas changes nothing: nobody acts on chain; {_UNRESOLVED}"
    desks = [account for account in plan.accounts if account.policies]
    if not desks:
        return "gas changes nothing: no account has policies, so that nobody acts on chain"
    if not effect.delay and not any(plan.venue_of(account).gas_cost for account in desks):
        return "gas changes nothing: no venue of an account with policies has a `gas_cost`"
    return None


def _markets_held(plan: Plan) -> dict[tuple[str, str], Market]:
    """The markets that positions are in, by the names of venue and market."""
    return {
        (plan.venue_of(account).name, position.market): plan.venue_of(account).markets[position.market]
        for account in plan.accounts
        for position in account.positions
        if position.size
    }


_UNRESOLVED = "`simulation: {resolve: true}` follows what comes after"


def _policy_warnings(plan: Plan, account: Account) -> Iterator[str]:
    from pipeline.margin_now import margin_of  # which needs plans
    from pipeline.pools import pools_of

    if not any(position.size for position in account.positions):
        yield "its policies have no positions to act on"
        return
    pools = pools_of(plan, account)
    margin = margin_of(pools, plan.prices)
    last = plan.simulation.horizons[-1]
    for number, policy in enumerate(account.policies, start=1):
        name = f"policy {number} ({policy.kind})"
        levels = list(_levels(policy))
        late = [f"{level:g}" for level in levels if level <= LIQUIDATED]
        if late:
            yield f"{name} waits for a margin ratio of {', '.join(late)}: the venue liquidates below 1"
        if policy.delay >= last:
            yield f"{name} never acts: its delay of {format_duration(policy.delay)} reaches the last horizon"
        yield from (f"{name} {text}" for text in _acts_at_once(policy, levels, margin))
        if isinstance(policy, Isolate):
            shared = [h for h in pools[0].holdings if h.position.market == policy.market]
            own = sum(h.maintenance.at(plan.prices[h.asset]) for h in shared)
            yield from (f"{name} {text}" for text in _isolates_at_once(policy, own, margin))


def _isolates_at_once(policy: Isolate, own: float, margin: Margin) -> Iterator[str]:
    """own: maintenance margin at `as_of` of what it is about."""
    share = own / margin.maintenance_margin if margin.maintenance_margin > 0 else 0.0
    if share > policy.above:
        stands = f"{policy.market} has {share:.2f} of maintenance margin at as_of, above {policy.above:g}"
        yield f"acts at the first close: {stands}"
    if policy.collateral < own:
        has = f"{policy.market} requires {own:,.0f} at as_of, more than its collateral"
        yield f"moves nothing until it requires less: {has}, {policy.collateral:,.0f}"


def _levels(policy: Policy) -> Iterable[float]:
    """The margin ratios below which a policy acts."""
    if isinstance(policy, Ladder):
        return (rung.below for rung in policy.rungs)
    return (policy.below,) if isinstance(policy, TopUp | Override) else ()


def _acts_at_once(policy: Policy, levels: list[float], margin: Margin) -> Iterator[str]:
    """What is out of bounds at `as_of` already."""
    passed = [f"{level:g}" for level in levels if margin.margin_ratio < level]
    if passed:
        stands = f"the margin ratio is {margin.margin_ratio:.2f} at as_of, below {', '.join(passed)}"
        yield f"acts at the first close: {stands}"
    if isinstance(policy, Rebalance) and not policy.low <= margin.leverage <= policy.high:
        band = f"outside {policy.low:g} to {policy.high:g}"
        yield f"acts at the first close: leverage is {margin.leverage:.2f} at as_of, {band}"
