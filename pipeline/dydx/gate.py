"""The gate: when withdrawals and transfers are blocked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.dydx.account import Account
from pipeline.dydx.isolated import pool_of_account
from pipeline.dydx.market import Market
from pipeline.dydx.risk import UpdateResult, account_risk
from pipeline.dydx.update import Update, update_results

BLOCKED_FOR = 50  # blocks, that of the sighting included
LONG_OUTAGE_S = 300


@dataclass(frozen=True)
class Gate:
    """The block at which a pool was last seen with an account in debt, and that of the last long outage.

    `x/subaccounts/types/update.go`.
    """

    debt_seen: Mapping[str, int] = field(default_factory=dict)
    outage_seen: int | None = None

    def with_debt(self, pools: Iterable[str], block: int) -> Gate:
        """The gate after accounts in debt were seen in these pools."""
        return dataclasses.replace(self, debt_seen={**self.debt_seen, **dict.fromkeys(pools, block)})

    def after_pause(self, seconds: int, block: int) -> Gate:
        """The gate after so long without a block: only five minutes or more are an outage."""
        return dataclasses.replace(self, outage_seen=block) if seconds >= LONG_OUTAGE_S else self

    def is_closed(self, pools: Iterable[str], block: int) -> bool:
        """Whether what moves in or out of one of these pools is blocked at a block."""
        seen = [self.debt_seen.get(pool) for pool in pools] + [self.outage_seen]
        return any(at is not None and block - at < BLOCKED_FOR for at in seen)


def pools_in_debt(accounts: Iterable[Account], markets: Mapping[int, Market]) -> set[str]:
    """The collateral pools of the accounts with positions and a negative equity.

    Once a block's deleveraging is done, they close the gate. `x/clob/keeper/deleveraging.go
    GateWithdrawalsIfNegativeTncSubaccountSeen`.
    """
    return {
        pool_of_account(account, markets)
        for account in accounts
        if account.positions and account_risk(account, markets).equity < 0
    }


def transfer_results(
    changes: Sequence[tuple[Account, Update]], markets: Mapping[int, Market], gate: Gate, block: int
) -> tuple[UpdateResult, ...]:
    """Whether a withdrawal, or a transfer between settled accounts, is allowed: deposits need not ask.

    Nothing of it is where the gate is closed to the pool of any of its accounts; else margin decides.
    `x/subaccounts/keeper/subaccount.go`.
    """
    if gate.is_closed({pool_of_account(account, markets) for account, _ in changes}, block):
        return (UpdateResult.WITHDRAWALS_AND_TRANSFERS_BLOCKED,) * len(changes)
    return update_results(changes, markets, is_match=False)
