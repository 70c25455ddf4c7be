"""The book as it stands, as a person reads it in the terminal: at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import inf, isnan

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.margin_now import Margin, PoolMargin
from pipeline.margin_snapshot import AccountMargin, PositionMargin
from pipeline.pools import CROSS
from pipeline.wording import money, multiple, price, ratio

MOST_ROWS = 100
UNDEFINED = "undefined"
STYLE = {"stands": "green", "MARGIN CALL": "yellow", "LIQUIDATABLE": "bold red", "BANKRUPT": "bold red"}
STATES = (
    "LIQUIDATABLE: equity below maintenance margin. MARGIN CALL: below initial margin. BANKRUPT: below zero "
    "even without haircuts."
)
POOLS = (
    "Pool: collateral and the positions that share it; an isolated position is a pool of its own. An account "
    "is in the worst state of its pools and has their lowest margin ratio; its other figures are sums."
)
CAPS = (
    "Concentration: a position's initial margin over the account's equity, haircuts taken off. Leverage: "
    "gross notional over that equity. Shares of a bucket: of gross notional, or of initial margin."
)
PRICES = (
    "Liquidation price: the asset's price nearest to the mark at which the equity of the pool equals its "
    "maintenance margin, what the other positions need included. All that the pool has on the asset moves, "
    "coins held as collateral too; other assets stand still. Distance: the move to it, up or down, in "
    "percent of the mark, negative where the pool is liquidatable until there; and in daily standard "
    "deviations, sqrt(sum of P(regime) x volatility^2 / 365) under the model's initial law, without jumps or "
    "bursts.",
    "Bankruptcy price: under dydx_v4, where closing the position uses up its share of the pool's equity, by "
    "maintenance margin; elsewhere, where the pool's equity without haircuts is zero, other assets standing "
    "still. Fillable price, dydx_v4 only, where a pool is liquidatable: the worst a liquidation accepts.",
)


def margin_table(accounts: Sequence[AccountMargin]) -> RenderableType:
    """For rich: the accounts, the pools of those that are not one cross pool, the positions, and what the
    columns mean; in quote currency.

    Of many accounts or pools those with the lowest margin ratio, of many positions those nearest to
    liquidation.
    """
    shown = _first([_margin_rank(account.margin) for account in accounts])
    parts: list[RenderableType] = [
        _title("Accounts", "with the lowest margin ratio", len(shown), len(accounts)),
        _account_table([accounts[index] for index in shown]),
    ]
    pools = [(account, pool) for account in accounts if _has_pools(account) for pool in account.margin.pools]
    if pools:
        parts += _pool_parts(pools)
    held = [(account, position) for account in accounts for position in account.positions]
    nearest = _first([_position_rank(position) for _, position in held])
    parts.append(_title("\nPositions", "nearest to liquidation", len(nearest), len(held)))
    for _, group in groupby((held[index] for index in nearest), key=lambda pair: pair[0].name):
        rows = list(group)
        account = rows[0][0]
        parts += [_heading(account), _position_table(account, [position for _, position in rows])]
    capped = [account for account in accounts if account.caps]
    if capped:
        parts += _cap_parts(capped)
    definitions = (STATES, POOLS, *PRICES) if pools else (STATES, *PRICES)
    return Group(*parts, *(Text(sentence, "dim") for sentence in definitions))


def _first(ranks: Sequence[float]) -> list[int]:
    """Indices of the lowest ranks, as many as are shown, in their own order."""
    return sorted(sorted(range(len(ranks)), key=ranks.__getitem__)[:MOST_ROWS])


def _margin_rank(margin: Margin | PoolMargin) -> float:
    """The margin ratio; without one, first if bankrupt and last otherwise."""
    if isnan(margin.margin_ratio):
        return -inf if margin.bankrupt else inf
    return margin.margin_ratio


def _position_rank(position: PositionMargin) -> float:
    """The distance; without one, first if its pool is liquidatable and last otherwise."""
    if position.distance_percent is None:
        return -inf if position.liquidatable else inf
    return position.distance_percent


def _has_pools(account: AccountMargin) -> bool:
    return any(pool.name != CROSS for pool in account.margin.pools)


def _title(noun: str, which: str, shown: int, count: int) -> Text:
    rest = "" if shown == count else f": the {shown} of {count:,} {which}; all of them with --json"
    return Text(noun + rest, "bold")


def _heading(account: AccountMargin) -> Text:
    """Over the rows of an account: its name, its kind and its venue."""
    document = account.account
    return Text.assemble(account.name, (f"  {document.kind} margin, {account.venue.name}", "dim"))


def _account_table(accounts: Sequence[AccountMargin]) -> Table:
    table = _margin_columns("account", "leverage")
    for account in accounts:
        leverage = multiple(account.margin.leverage)
        table.add_row(Text(account.name), *_figures(account.margin), leverage, _state(account.margin))
    return table


def _pool_parts(pools: Sequence[tuple[AccountMargin, PoolMargin]]) -> list[RenderableType]:
    lowest = _first([_margin_rank(pool) for _, pool in pools])
    parts: list[RenderableType] = [_title("\nPools", "with the lowest margin ratio", len(lowest), len(pools))]
    for _, group in groupby((pools[index] for index in lowest), key=lambda pair: pair[0].name):
        rows = list(group)
        table = _margin_columns("pool")
        for _, pool in rows:
            table.add_row(Text(pool.name), *_figures(pool), _state(pool))
        parts += [_heading(rows[0][0]), table]
    return parts


def _cap_parts(accounts: Sequence[AccountMargin]) -> list[RenderableType]:
    """Every cap; of many those that are broken by most, or nearest to it."""
    caps = [(account, cap) for account in accounts for cap in account.caps]
    worst = _first([-cap.over for _, cap in caps])
    table = _table("account", "cap", "at most", "is", "above by")
    table.add_column("state")
    for index in worst:
        account, cap = caps[index]
        figures = [cap.figure(value) for value in (cap.cap, cap.value)]
        above = cap.figure(cap.over) if cap.is_broken else ""
        state = Text("BROKEN", "yellow") if cap.is_broken else Text("kept", "green")
        table.add_row(Text(account.name), Text(cap.what), *figures, above, state)
    return [
        _title("\nCaps", "nearest to their cap or beyond", len(worst), len(caps)),
        table,
        Text(CAPS, "dim"),
    ]


def _margin_columns(first: str, *more: str) -> Table:
    table = _table(
        first, "equity", "initial\nmargin", "maintenance\nmargin", "free\ncollateral", "margin\nratio", *more
    )
    table.add_column("state")
    return table


def _figures(margin: Margin | PoolMargin) -> list[str]:
    return [
        money(margin.equity),
        money(margin.initial_margin),
        money(margin.maintenance_margin),
        money(margin.free_collateral),
        UNDEFINED if isnan(margin.margin_ratio) else ratio(margin.margin_ratio),
    ]


def _state(margin: Margin | PoolMargin) -> Text:
    """The worst that is true of it."""
    if margin.bankrupt:
        state = "BANKRUPT"
    elif margin.liquidatable:
        state = "LIQUIDATABLE"
    else:
        state = "MARGIN CALL" if margin.called else "stands"
    return Text(state, STYLE[state])


def _position_table(account: AccountMargin, positions: Sequence[PositionMargin]) -> Table:
    """Pools are named where there are several, fillable prices shown where there are any."""
    pools = _has_pools(account)
    fillable = any(position.fillable_price is not None for position in positions)
    table = _table(
        "market",
        *(["pool"] if pools else []),
        "size",
        "mark",
        "notional",
        "maint.\nmargin",
        "liquidation\nprice",
        "distance\n%",
        "daily\nsd",
        "bankruptcy\nprice",
        *(["fillable\nprice"] if fillable else []),
    )
    for position in positions:
        table.add_row(
            Text(position.market),
            *([CROSS if position.pool == CROSS else "isolated"] if pools else []),
            f"{position.size:,.10g}".replace("-", "−"),
            _price(position.mark),
            money(position.notional),
            money(position.maintenance_margin),
            _price(position.liquidation_price),
            _decimals(position.distance_percent, 2),
            _decimals(position.distance_daily_sd, 1),
            _price(position.bankruptcy_price),
            *([_price(position.fillable_price)] if fillable else []),
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _price(value: float | None) -> str:
    return UNDEFINED if value is None else price(value)


def _decimals(value: float | None, digits: int) -> str:
    return UNDEFINED if value is None else f"{value:,.{digits}f}".replace("-", "−")
