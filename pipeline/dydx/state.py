"""Everything that a block changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.dydx.account import Account
from pipeline.dydx.book import Book
from pipeline.dydx.errors import DydxError, UpdateRefused
from pipeline.dydx.funding import settle
from pipeline.dydx.insurance import InsuranceFund
from pipeline.dydx.isolated import PoolTransfer, pool_of, pool_transfer
from pipeline.dydx.limits import BlockRecord, LiquidationConfig
from pipeline.dydx.market import Market, Pair, market_of
from pipeline.dydx.risk import UpdateResult
from pipeline.dydx.update import (
    Update,
    apply_update,
    is_success,
    open_interest_deltas,
    update_results,
    with_open_interest,
)


@dataclass
class State:
    """Markets, pairs, books by perpetual; accounts by name; funds by pool; records of this block."""

    markets: dict[int, Market]
    accounts: dict[str, Account]
    pairs: dict[int, Pair] = field(default_factory=dict)
    config: LiquidationConfig | None = None
    maker_fee_ppm: int = 0
    funds: dict[str, InsuranceFund] = field(default_factory=dict)
    books: dict[int, Book] = field(default_factory=dict)
    records: dict[str, BlockRecord] = field(default_factory=dict)

    def account(self, name: str) -> Account:
        """An account; one never seen is empty."""
        return self.accounts.get(name, Account())

    def pair(self, perpetual_id: int) -> Pair:
        """The grid that orders of a perpetual lie on; DydxError where it has none."""
        if perpetual_id not in self.pairs:
            raise DydxError(f"perpetual {perpetual_id} has no order book")
        return self.pairs[perpetual_id]

    def book(self, perpetual_id: int) -> Book:
        """The resting orders of a perpetual."""
        return self.books.setdefault(perpetual_id, Book())

    def record(self, name: str) -> BlockRecord:
        """What has been liquidated of an account in this block."""
        return self.records.setdefault(name, BlockRecord())

    def fund(self, perpetual_id: int) -> InsuranceFund:
        """The insurance fund that a market draws on."""
        pool = pool_of(market_of(self.markets, perpetual_id))
        return self.funds.setdefault(pool, InsuranceFund())

    def limits(self) -> LiquidationConfig:
        """The liquidation parameters; DydxError where the state has none."""
        if self.config is None:
            raise DydxError("a liquidation needs its parameters")
        return self.config


class Outcome(NamedTuple):
    """What became of updates: a result each, funding paid per account and perpetual, collateral moved."""

    results: tuple[UpdateResult, ...]
    payments: dict[str, dict[int, int]]
    transfers: tuple[PoolTransfer, ...]


def update_accounts(state: State, updates: Sequence[tuple[str, Update]], *, is_match: bool) -> Outcome:
    """Settles funding, then makes all the updates or, where one is refused, none.

    `x/subaccounts/keeper/subaccount.go UpdateSubaccounts`.

    Errors: DydxError where two updates are of one account, and where an update is not merely refused.
    """
    names = [name for name, _ in updates]
    if len(set(names)) < len(names):
        raise DydxError(f"more than one update of an account: {', '.join(names)}")
    settled = {name: settle(state.account(name), state.markets) for name in names}
    changes = [(settled[name][0], update) for name, update in updates]
    results = update_results(changes, state.markets, is_match=is_match)
    if not is_success(results):
        return Outcome(results, {}, ())
    markets = with_open_interest(state.markets, open_interest_deltas(changes) if is_match else {})
    after = [apply_update(account, update, markets) for account, update in changes]
    transfers = [
        pool_transfer(before, account, update.perpetuals, markets)
        for (before, update), account in zip(changes, after, strict=True)
    ]
    state.accounts.update(zip(names, after, strict=True))
    state.markets = markets
    payments = {name: paid for name, (_, paid) in settled.items()}
    return Outcome(results, payments, tuple(transfer for transfer in transfers if transfer))


def trade(state: State, perpetual_id: int, sides: Sequence[tuple[str, int, int]]) -> None:
    """A match: per side the account, its change in base quantums, and its change in USDC quantums.

    Errors: UpdateRefused where a side may not be updated so; neither is, then.
    """
    updates = [(name, Update({0: quote}, {perpetual_id: delta})) for name, delta, quote in sides]
    results = update_accounts(state, updates, is_match=True).results
    if not is_success(results):
        raise UpdateRefused(results)
