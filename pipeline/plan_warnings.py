"""What a reader should know about a plan that can be run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import isinf
from typing import TYPE_CHECKING

from pipeline.account_faults import find_held
from pipeline.desk_warnings import depth_warning, find_desk_warnings, gas_warning
from pipeline.effects import (
    CLASSES,
    Basis,
    Correlation,
    Depeg,
    Depth,
    Effect,
    Gas,
    ImpliedVolatility,
    Oracle,
    Replay,
    Shock,
    classes_of,
)
from pipeline.funding_cap import annual_cap
from pipeline.outliers import find_median_share
from pipeline.wording import some

if TYPE_CHECKING:
    from pipeline.plan import Plan

DOUBLED = 1.0  # a share: who writes more than that may have meant percent


def find_warnings(plan: Plan) -> Iterator[str]:
    """A sentence for each."""
    model, last = plan.model, plan.simulation.horizons[-1]
    filtered = model.filtered
    if model.initial == "filtered" and filtered is not None:
        age = plan.as_of - filtered.as_of
        if age < timedelta(0):
            yield f"the model's filtered law looks ahead: it is of {filtered.as_of:%Y-%m-%d %H:%M}"
        elif age > timedelta(days=1):
            yield f"the model's filtered law is {age / timedelta(days=1):.1f} days older than as_of"
    if plan.market_state is not None and plan.market_state.as_of is not None:
        age = plan.as_of - plan.market_state.as_of
        if age < timedelta(0):
            yield f"market_state looks ahead: it is of {plan.market_state.as_of:%Y-%m-%d %H:%M}"
        elif age > timedelta(days=1):
            yield f"market_state is {age / timedelta(days=1):.1f} days older than as_of"
    for name, regime in model.regimes.items():
        if regime.repair_distance:
            moved = f"moved by {regime.repair_distance:.3g} (Frobenius)"
            yield f"regime {name}: correlation repaired to the nearest valid one, {moved}"
    silent = [name for name, regime in model.regimes.items() if regime.funding is None]
    if silent:
        yield f"funding is not modelled in regime {', '.join(silent)}"
    yield from _clamp_warnings(plan)
    for scenario in plan.scenarios:
        if any(effect.at >= last for effect in scenario.effects):
            yield f"scenario {scenario.name}: an effect begins after the last horizon and changes nothing"
        for effect in scenario.effects:
            yield from (f"scenario {scenario.name}: {text}" for text in _effect_warnings(plan, effect))
    yield from _quote_warnings(plan)
    yield from _size_warnings(plan)
    yield from _cap_warnings(plan)
    yield from find_desk_warnings(plan)


def _effect_warnings(plan: Plan, effect: Effect) -> Iterator[str]:
    """What an effect does not do here, or what stands in for figures that are missing."""
    assets = plan.model.assets
    if isinstance(effect, Shock):
        empty = [
            k for k in effect.moves if k in CLASSES and not any(k in classes_of(a, assets) for a in assets)
        ]
        if empty:
            yield f"the model has no asset among {', '.join(empty)}: a shock moves none"
        huge = {k: move for k, move in effect.moves.items() if effect.as_ == "percent" and move > DOUBLED}
        for name, move in huge.items():
            yield f"a shock moves {name} by +{move:.0%}: moves are shares, so that 0.12 is 12 %"
    if isinstance(effect, Correlation) and effect.repair_distance:
        moved = f"moved by {effect.repair_distance:.3g} (Frobenius)"
        yield f"target of the correlation repaired to the nearest valid one, {moved}"
    if isinstance(effect, Replay) and effect.missing == "beta":
        absent = [asset for asset in assets if asset in _held(plan) and asset not in effect.returns]
        if absent:
            yield f"no history of {some(absent)} in the window: moved by their beta to {effect.beta}"
    if isinstance(effect, Oracle) and effect.for_ is not None and effect.for_ <= effect.confirm:
        yield "an oracle's outlier is shorter than its confirmation, and changes nothing"
    if isinstance(effect, Oracle) and effect.sources is not None and not find_median_share(effect.sources):
        wrong = f"{effect.sources.wrong} of {effect.sources.of} sources"
        yield f"an oracle's outlier in {wrong} is not in their median, and changes nothing"
    if isinstance(effect, Depth):
        yield from filter(None, [depth_warning(plan)])
    if isinstance(effect, Gas):
        yield from filter(None, [gas_warning(plan, effect)])
    if isinstance(effect, ImpliedVolatility):
        yield "implied volatility changes nothing here: no options are held in this version"
    if isinstance(effect, Basis) and not any(
        plan.venue_of(a).is_marked and any(position.size for position in a.positions) for a in plan.accounts
    ):
        yield "every position is judged at its asset's price (dydx_v4's oracle): a basis changes nothing"
    if isinstance(effect, Depeg) and effect.asset in assets and effect.asset not in _held(plan):
        yield f"nobody holds {effect.asset}: its de-peg changes nothing"


def _clamp_warnings(plan: Plan) -> Iterator[str]:
    """Markets held whose funding moves without a clamp, as neither rule nor file has one."""
    if any(regime.funding_process is None for regime in plan.model.regimes.values()):
        return
    markets = [
        (plan.venue_of(account), position.market)
        for account in plan.accounts
        for position in account.positions
        if position.size
    ]
    free = dict.fromkeys(name for venue, name in markets if isinf(annual_cap(venue, venue.markets[name])))
    if free:
        yield f"funding of {some(list(free))} is not clamped: the venue's file has no `funding_cap`"


def _cap_warnings(plan: Plan) -> Iterator[str]:
    """Caps that the book as it stands breaks."""
    from pipeline.caps_now import caps_now  # which needs plans

    for account in plan.accounts:
        for cap in caps_now(plan, account):
            if cap.is_broken:
                above = "" if isinf(cap.over) else f" by {cap.figure(cap.over)}"
                stands = f"{cap.figure(cap.value)}, above its cap of {cap.figure(cap.cap)}{above}"
                yield f"account {account.name}, {cap.what}: {stands}"


def _held(plan: Plan) -> set[str]:
    return find_held([(a.document(), plan.venue_of(a).document()) for a in plan.accounts])


def _quote_warnings(plan: Plan) -> Iterator[str]:
    accounts: dict[str, list[str]] = {}
    for account in plan.accounts:
        accounts.setdefault(plan.venue_of(account).quote, []).append(account.name)
    if len(accounts) > 1:
        listed = "; ".join(f"{quote} ({some(names)})" for quote, names in accounts.items())
        yield f"accounts have different quote currencies, taken as equal in value: {listed}"


def _size_warnings(plan: Plan) -> Iterator[str]:
    """Positions larger than a tiered venue allows; their margin is that of its last bracket."""
    for account in plan.accounts:
        venue = plan.venue_of(account)
        for position in account.positions:
            market = venue.markets[position.market]
            largest = market.brackets[-1].up_to if market.brackets else None
            notional = abs(position.size) * plan.prices[market.asset]
            if largest is not None and notional > largest:
                above = f"{notional:,.0f} {venue.quote} is above the largest position, {largest:,.0f}"
                yield f"account {account.name}, {position.market}: {above}; margin by the last bracket"
