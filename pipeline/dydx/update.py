"""Changes to accounts, and whether they are allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.dydx.account import Account, Position
from pipeline.dydx.errors import DydxError
from pipeline.dydx.isolated import breaks_isolation
from pipeline.dydx.market import Market, market_of
from pipeline.dydx.risk import UpdateResult, settled_risk, under_margin_result


@dataclass(frozen=True)
class Update:
    """What is added to an account: quantums per asset, base quantums per perpetual."""

    assets: Mapping[int, int]
    perpetuals: Mapping[int, int]


def apply_update(account: Account, update: Update, markets: Mapping[int, Market]) -> Account:
    """The settled account with an update added; what becomes zero is gone.

    `x/subaccounts/lib/updates.go CalculateUpdatedSubaccount`.
    """
    assets = dict(account.assets)
    for asset, delta in update.assets.items():
        assets[asset] = assets.get(asset, 0) + delta
    positions = dict(account.positions)
    for perpetual_id, delta in update.perpetuals.items():
        new = Position(0, market_of(markets, perpetual_id).funding_index)
        old = positions.get(perpetual_id, new)
        positions[perpetual_id] = dataclasses.replace(old, quantums=old.quantums + delta)
    return dataclasses.replace(
        account,
        assets={asset: quantums for asset, quantums in sorted(assets.items()) if quantums},
        positions={i: p for i, p in sorted(positions.items()) if p.quantums or p.quote_balance},
    )


def open_interest_deltas(changes: Sequence[tuple[Account, Update]]) -> dict[int, int]:
    """Base quantums that a match adds to the open interest of its perpetual: the change of all that is long.

    Empty where there is no change. `x/subaccounts/lib/oimf.go`.

    Errors: DydxError unless the match is two opposite changes of one perpetual.
    """
    ids = [tuple(update.perpetuals) for _, update in changes]
    if len(ids) != 2 or ids[0] != ids[1] or len(ids[0]) != 1:
        raise DydxError("a match is two updates of one and the same perpetual")
    perpetual_id = ids[0][0]
    sizes = [account.size(perpetual_id) for account, _ in changes]
    deltas = [update.perpetuals[perpetual_id] for _, update in changes]
    if sum(deltas) != 0:
        raise DydxError(f"the two sides of a match are {deltas[0]} and {deltas[1]}: not opposite")
    total = sum(max(size + delta, 0) - max(size, 0) for size, delta in zip(sizes, deltas, strict=True))
    return {perpetual_id: total} if total else {}


def with_open_interest(markets: Mapping[int, Market], deltas: Mapping[int, int]) -> dict[int, Market]:
    """The markets after changes of open interest; DydxError where it would become negative."""
    changed = dict(markets)
    for perpetual_id, delta in deltas.items():
        market = market_of(markets, perpetual_id)
        if market.open_interest + delta < 0:
            raise DydxError(f"open interest of perpetual {perpetual_id} would become negative")
        changed[perpetual_id] = dataclasses.replace(market, open_interest=market.open_interest + delta)
    return changed


def update_results(
    changes: Sequence[tuple[Account, Update]], markets: Mapping[int, Market], *, is_match: bool
) -> tuple[UpdateResult, ...]:
    """Whether each update of a settled account is allowed, each judged alone.

    The rule of isolated markets comes first, and where it is broken nothing else is looked at; then margin,
    with initial margin at the open interest after a match. `x/subaccounts/keeper/subaccount.go`.
    """
    broken = tuple(
        UpdateResult.VIOLATES_ISOLATED_SUBACCOUNT_CONSTRAINTS
        if breaks_isolation(account, update.perpetuals, markets)
        else UpdateResult.SUCCESS
        for account, update in changes
    )
    if not is_success(broken):
        return broken
    after_markets = with_open_interest(markets, open_interest_deltas(changes)) if is_match else markets
    return tuple(_margin_result(account, update, markets, after_markets) for account, update in changes)


def is_success(results: Sequence[UpdateResult]) -> bool:
    """Whether every update is allowed; only then is any made."""
    return all(result is UpdateResult.SUCCESS for result in results)


def _margin_result(
    account: Account, update: Update, markets: Mapping[int, Market], after_markets: Mapping[int, Market]
) -> UpdateResult:
    after = settled_risk(apply_update(account, update, after_markets), after_markets)
    if after.is_initial_collateralized:
        return UpdateResult.SUCCESS
    return under_margin_result(settled_risk(account, markets), after)
