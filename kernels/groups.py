"""Groups of accounts that belong together: who is liquidated, and what they hold at a horizon."""

from __future__ import annotations

from kernels.jit import inlined
from kernels.quanta import add_money
from kernels.screen import value_pool
from kernels.structs import (
    ALL,
    ANY,
    EQUITY,
    EQUITY_HIGH,
    EQUITY_LOW,
    LANES,
    LIQUIDATED,
    LIQUIDATED_SQUARE,
    PAID,
    SHORTFALL,
    SHORTFALL_HIGH,
    SHORTFALL_LOW,
    VALUE,
    Book,
    Desk,
    Floats,
    Standing,
    Tally,
)


@inlined
def hold_group(book: Book, group: int, price: Floats, state: Floats, desk: Desk) -> None:
    """Fill the equity and the shortfall of a group, by leverage, at prices (A, LANES)."""
    table, money = desk.table, desk.money
    money[:] = 0.0
    for pool in range(book.base.shape[0]):
        if book.group[book.account[pool]] == group:
            value_pool(book, pool, price, desk.extent, table)
            alone = book.alone[pool]
            for leverage in range(book.multiple.shape[0]):
                if alone < 0 or alone == leverage:
                    multiple = book.multiple[leverage] if alone < 0 else 1.0
                    for v in range(LANES):
                        profit = table[VALUE, v] - book.base[pool] - state[pool, PAID, v]
                        equity = book.equity[pool] + multiple * profit
                        money[0, leverage, v] += equity
                        money[1, leverage, v] += max(-equity, 0.0)


@inlined
def count_groups(
    book: Book, scenario: int, horizon: int, paths: int, standing: Standing, desk: Desk, tally: Tally
) -> None:
    """Add up, at a horizon, what became of every group on every path."""
    for group in range(book.members.shape[0]):
        hold_group(book, group, standing.price[scenario], standing.pool[scenario], desk)
        for leverage in range(book.multiple.shape[0]):
            cell = tally.groups[:, scenario, group, leverage, horizon : horizon + 1]
            for v in range(paths):
                if horizon > 0:
                    before = standing.liquidated[scenario, group, horizon - 1, leverage, v]
                    standing.liquidated[scenario, group, horizon, leverage, v] += before
                liquidated = standing.liquidated[scenario, group, horizon, leverage, v]
                cell[ANY, 0] += int(liquidated > 0)
                cell[ALL, 0] += int(liquidated > 0 and liquidated == book.members[group])
                cell[LIQUIDATED, 0] += liquidated
                cell[LIQUIDATED_SQUARE, 0] += liquidated * liquidated
                quantum = book.quantum[group]
                equity, shortfall = desk.money[0, leverage, v], desk.money[1, leverage, v]
                add_money(equity, quantum, cell[EQUITY], cell[EQUITY_HIGH], cell[EQUITY_LOW])
                add_money(shortfall, quantum, cell[SHORTFALL], cell[SHORTFALL_HIGH], cell[SHORTFALL_LOW])
