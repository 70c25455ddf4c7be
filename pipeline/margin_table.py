"""The book as it stands, as a person reads it in the terminal: at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import inf, isnan

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.margin_snapshot import AccountMargin, PositionMargin
from pipeline.wording import money, multiple, ratio

MOST_ROWS = 100
UNDEFINED = "undefined"
STYLE = {"stands": "green", "MARGIN CALL": "yellow", "LIQUIDATABLE": "bold red", "BANKRUPT": "bold red"}
DEFINITIONS = (
    "LIQUIDATABLE: equity below maintenance margin. MARGIN CALL: below initial margin. BANKRUPT: below zero.",
    "Liquidation price: where equity equals maintenance margin if this mark alone moves, what the other "
    "positions need included. Distance: the adverse move to it in percent of the mark, negative where the "
    "mark is past it; and in daily standard deviations, sqrt(sum of P(regime) x volatility^2 / 365) under "
    "the model's initial law, without jumps.",
    "Bankruptcy price: where closing the position uses up its share of equity, by maintenance margin. "
    "Fillable price: the worst a liquidation accepts, undefined where the account is not liquidatable.",
)


def margin_table(accounts: Sequence[AccountMargin]) -> RenderableType:
    """For rich: the accounts, the positions of each, and what the columns mean; in quote currency.

    Of many accounts those with the lowest margin ratio, of many positions those nearest to liquidation.
    """
    shown = _first([_account_rank(account) for account in accounts])
    held = [(account, position) for account in accounts for position in account.positions]
    nearest = _first([_position_rank(account, position) for account, position in held])
    parts: list[RenderableType] = [
        Text(_title("Accounts", "with the lowest margin ratio", len(shown), len(accounts)), "bold"),
        _account_table([accounts[index] for index in shown]),
        Text("\n" + _title("Positions", "nearest to liquidation", len(nearest), len(held)), "bold"),
    ]
    for name, group in groupby((held[index] for index in nearest), key=lambda pair: pair[0].name):
        parts += [Text(name), _position_table([position for _, position in group])]
    return Group(*parts, *(Text(sentence, "dim") for sentence in DEFINITIONS))


def _first(ranks: Sequence[float]) -> list[int]:
    """Indices of the lowest ranks, as many as are shown, in their own order."""
    return sorted(sorted(range(len(ranks)), key=ranks.__getitem__)[:MOST_ROWS])


def _account_rank(account: AccountMargin) -> float:
    """The margin ratio; without one, first if bankrupt and last otherwise."""
    if isnan(account.margin.margin_ratio):
        return -inf if account.bankrupt else inf
    return account.margin.margin_ratio


def _position_rank(account: AccountMargin, position: PositionMargin) -> float:
    """The distance; without one, first if the account is liquidatable and last otherwise."""
    if position.distance_percent is None:
        return -inf if account.margin.liquidatable else inf
    return position.distance_percent


def _title(noun: str, which: str, shown: int, count: int) -> str:
    return noun if shown == count else f"{noun}: the {shown} of {count:,} {which}; all of them with --json"


def _account_table(accounts: Sequence[AccountMargin]) -> Table:
    table = _table(
        "account",
        "equity",
        "initial\nmargin",
        "maintenance\nmargin",
        "free\ncollateral",
        "margin\nratio",
        "leverage",
    )
    table.add_column("state")
    for account in accounts:
        margin, state = account.margin, _state(account)
        table.add_row(
            Text(account.name),
            money(margin.equity),
            money(margin.initial_margin),
            money(margin.maintenance_margin),
            money(margin.free_collateral),
            UNDEFINED if isnan(margin.margin_ratio) else ratio(margin.margin_ratio),
            multiple(margin.leverage),
            Text(state, STYLE[state]),
        )
    return table


def _state(account: AccountMargin) -> str:
    """The worst that is true of it."""
    if account.bankrupt:
        return "BANKRUPT"
    if account.margin.liquidatable:
        return "LIQUIDATABLE"
    return "stands" if account.margin.free_collateral >= 0 else "MARGIN CALL"


def _position_table(positions: Sequence[PositionMargin]) -> Table:
    table = _table(
        "market",
        "size",
        "mark",
        "notional",
        "maint.\nmargin",
        "liquidation\nprice",
        "distance\n%",
        "daily\nsd",
        "bankruptcy\nprice",
        "fillable\nprice",
    )
    for position in positions:
        table.add_row(
            Text(position.market),
            f"{position.size:,.6g}".replace("-", "−"),
            _price(position.mark),
            money(position.notional),
            money(position.maintenance_margin),
            _price(position.liquidation_price),
            _decimals(position.distance_percent, 2),
            _decimals(position.distance_daily_sd, 1),
            _price(position.bankruptcy_price),
            _price(position.fillable_price),
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _price(value: float | None) -> str:
    """Cents from a thousand up, six significant digits below."""
    if value is None:
        return UNDEFINED
    return f"{value:,.2f}" if value >= 1_000 else f"{value:.6g}"


def _decimals(value: float | None, digits: int) -> str:
    return UNDEFINED if value is None else f"{value:,.{digits}f}".replace("-", "−")
