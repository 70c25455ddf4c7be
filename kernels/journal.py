"""The story of one estate, as arrays, for people to read."""

from __future__ import annotations

from typing import NamedTuple

from kernels.jit import inlined
from kernels.structs import Floats, Integers

# Instants of a step, in Journal: its start, POINTS within it, its close.
POINTS = 8
AT_START, AT_END = 0, 1 + POINTS
# Events, in Journal.
BREACHED, FILLED, TOPPED_UP, SENT, ACTED, LIQUIDATED, DELEVERAGED, PAID_BY_FUND, WENT_BANKRUPT = range(9)
COUNTERED = 9  # closed against another account's bankruptcy; money as of DELEVERAGED: below zero, it has cost
MOVED = 10
EVENT_FIELDS = 7  # step, instant, event, position or policy row, quantity, price, money


class Journal(NamedTuple):
    """What happened to one estate, for people to read. Without room it keeps nothing."""

    of: Integers  # (4,) scenario, account, leverage, lane
    open: Integers  # (1,) 1 while that one is being moved
    written: Integers  # (1,) events so far
    events: Floats  # (E, EVENT_FIELDS)
    size: Floats  # (T, W) after each step
    order: Floats  # (T, W)
    cash: Floats  # (T, Y')
    margin: Floats  # (T, Y', 3) equity, maintenance margin, haircuts
    money: Floats  # (T, MONEY)
    state: Integers  # (T, STATES)
    price: Floats  # (T, A)
    regime: Integers  # (T,)


@inlined
def note(
    journal: Journal,
    when: tuple[int, int],
    event: int,
    which: int,
    quantity: float,
    price: float,
    money: float,
) -> None:
    """Write an event down, if it is of the estate that somebody wants to read about."""
    k = journal.written[0]
    if journal.open[0] and k < journal.events.shape[0]:
        journal.written[0] += 1
        fields = journal.events[k]
        fields[0], fields[1], fields[2], fields[3] = when[0], when[1], event, which
        fields[4], fields[5], fields[6] = quantity, price, money
