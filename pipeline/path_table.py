"""One path as a person reads it in the terminal: at most 100 columns wide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.path_events import Event, tell_costs
from pipeline.path_replay import PathReplay
from pipeline.units import format_duration
from pipeline.wording import book, cents, duration, money, price, ratio, size

WIDTH, GAP = 100, 2
MOST_LEGS = 2  # whose mark and size have columns, where they find room
MOST_PIECES = 3  # of what the venue closes in a step, told one by one
LEAST_FOLDED = 3  # quiet steps
HALF_A_CENT = 5e-3
INDENT = 4  # of what happened, under its step
COLOURS = {
    "policy": "cyan",
    "sent": "cyan",
    "top_up": "cyan",
    "trade": "cyan",
    "untouched_liquidation": "yellow",
    "pushed": "yellow",
    "liquidated": "red",
    "deleveraged": "bold red",
    "countered": "bold red",
    "fund": "bold red",
    "bankrupt": "bold red",
}
MOMENTS = {"start": "at the start: ", "within": "within: ", "close": ""}
DIVERGES = (
    "The run did not follow what comes after a breach. This is the same path, by the same random numbers; "
    "where the run took the fast walk, its prices differ from these by the rounding of float32."
)
ABOUT = (
    "Times are UTC, the close of each step, and figures are as the step leaves them. Ratio: equity after "
    "haircuts over maintenance margin, of the pool where that is lowest; below 1 the venue liquidates."
)


def path_table(replay: PathReplay, whole: bool = False) -> RenderableType:
    """For rich: what was replayed, its steps with what happened in each, and what became of the equity.

    Quiet stretches are folded unless the whole is asked for.
    """
    return Group(
        *_header(replay),
        *_steps(replay, whole),
        Text(ABOUT, "dim"),
        Text("\nThe book that nobody touches", "bold"),
        Text(tell_untouched(replay)),
        Text("\nWhat became of the equity", "bold"),
        _bridge(replay),
        Text(_sum(replay), "dim"),
    )


def _header(replay: PathReplay) -> Iterator[Text]:
    at = "" if replay.leverage == 1 else f" at {book(replay.leverage)}"
    draw = "" if replay.draw is None else f", draw {replay.draw} of the model"
    simulation = replay.plan.simulation
    step = format_duration(simulation.step)
    yield Text(f"Path {replay.path:,} of {replay.plan.name}: {replay.account}{at}", "bold")
    yield Text(f"scenario {replay.scenario}, seed {simulation.seed}{draw}, steps of {step}")
    if simulation.contagion is not None:
        others = len(replay.plan.accounts) - 1
        said = f"in one market with the {others:,} other accounts: marks are as their orders have moved them"
        yield Text(said, "dim")
    if not replay.resolved:
        yield Text(DIVERGES, "dim")
    yield Text()


def _steps(replay: PathReplay, whole: bool) -> Iterator[RenderableType]:
    """A line a step; under it, what happened in it. Tables have no cells that span columns: lines do."""
    kept = np.ones(len(replay.times), np.bool_) if whole else find_kept(replay)
    for most in range(MOST_LEGS, -1, -1):
        shown = _shown_legs(replay, most)
        head = _headings(replay, shown)
        rows = [_figures(replay, row, shown) for row in range(len(replay.times))]
        seen = [*head, *(row for row, keep in zip(rows, kept, strict=True) if keep)]
        widths = [max(len(row[column]) for row in seen) for column in range(len(head[0]))]
        if sum(widths) + GAP * (len(widths) - 1) <= WIDTH:
            break
    for titles in head:
        yield Text(_line(titles, widths), "bold")
    yield Text("─" * (sum(widths) + GAP * (len(widths) - 1)), "dim")
    happened = {step: list(events) for step, events in groupby(replay.events, lambda event: event.step)}
    for keep, stretch in groupby(range(len(rows)), lambda row: bool(kept[row])):
        numbers = list(stretch)
        if not keep:
            yield Text(f"{'':{INDENT}}… {_quiet(replay, len(numbers))} …", "dim")
            continue
        for row in numbers:
            yield Text(_line(rows[row], widths))
            events = happened.get(row - 1, [])
            for event in events if whole else gather_pieces(events):
                yield Padding(_said(event), (0, 0, 0, INDENT), expand=False)
    yield Text()


def _shown_legs(replay: PathReplay, most: int) -> list[int]:
    """The positions that have columns: the largest, in the book's order."""
    gross = np.abs(replay.sizes[0] * replay.marks[0])
    largest = [n for n in np.argsort(-gross, kind="stable").tolist() if replay.legs[n].is_position]
    return sorted(largest[:most])


def _headings(replay: PathReplay, shown: Sequence[int]) -> list[list[str]]:
    top, low = ["", ""], ["time", "regime"]
    for number in shown:
        top += [replay.legs[number].name, ""]
        low += ["mark", "size"]
    if len(shown) < _positions(replay):
        top.append("gross")
        low.append("notional")
    top += ["", "maint.", "free", "margin"]
    low += ["equity", "margin", "collateral", "ratio"]
    return [top, low]


def _figures(replay: PathReplay, row: int, shown: Sequence[int]) -> list[str]:
    regime = replay.regimes[row - 1] if row else "as_of"
    cells = [moment(replay.times[row]), regime]
    for number in shown:
        cells += [price(float(replay.marks[row, number])), size(float(replay.sizes[row, number]))]
    if len(shown) < _positions(replay):
        positions = [number for number, leg in enumerate(replay.legs) if leg.is_position]
        gross = np.abs(replay.sizes[row, positions] * replay.marks[row, positions]).sum()
        cells.append(money(float(gross)))
    cells += [
        money(float(replay.equity[row].sum())),
        money(float(replay.maintenance[row].sum())),
        money(float(replay.free_collateral[row])),
        "" if np.isinf(replay.margin_ratio[row]) else ratio(float(replay.margin_ratio[row])),
    ]
    return cells


def _positions(replay: PathReplay) -> int:
    return sum(leg.is_position for leg in replay.legs)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, figures to the right."""
    padded = [
        f"{cell:<{width}}" if column < 2 else f"{cell:>{width}}"
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return (" " * GAP).join(padded).rstrip()


def _said(event: Event) -> Text:
    return Text(MOMENTS[event.when] + event.words, COLOURS.get(event.kind, "magenta"))


def gather_pieces(events: Sequence[Event]) -> list[Event]:
    """A step's events, those with which the venue closes a position piece by piece made one a position."""
    pieces = [event for event in events if event.kind == "liquidated"]
    if len(pieces) <= MOST_PIECES:
        return list(events)
    gathered: list[Event] = []
    for event in events:
        same = [piece for piece in pieces if (piece.when, piece.subject) == (event.when, event.subject)]
        if event.kind != "liquidated":
            gathered.append(event)
        elif event is same[0]:
            gathered.append(event if len(same) == 1 else _sum_pieces(same))
    return gathered


def _sum_pieces(pieces: Sequence[Event]) -> Event:
    first, last = pieces[0], pieces[-1]
    assert first.price is not None
    assert last.price is not None
    quantity = sum(piece.quantity or 0.0 for piece in pieces)
    costs: Counter[str] = Counter()
    for piece in pieces:
        costs.update(piece.money)
    verb = "buys" if quantity > 0 else "sells"
    at = price(first.price) + ("" if first.price == last.price else f" to {price(last.price)}")
    words = f"the venue {verb} {size(abs(quantity))} {first.subject} in {len(pieces)} pieces at {at}"
    words += tell_costs(costs["slippage"], costs["liquidation_fee"], costs["others"])
    return replace(first, words=words, quantity=quantity, price=None, money=dict(costs))


def _quiet(replay: PathReplay, count: int) -> str:
    step = format_duration(replay.plan.simulation.step)
    return f"{count} quiet hours" if step == "1h" else f"{count} quiet steps of {step}"


def find_kept(replay: PathReplay) -> NDArray[np.bool_]:
    """(T + 1,) which rows are shown: the ends, those with events and the one before, the lowest margin ratio,
    and stretches too short to fold."""
    kept = np.zeros(len(replay.times), np.bool_)
    kept[[0, -1, int(np.argmin(replay.margin_ratio))]] = True
    for event in replay.events:
        kept[event.step : event.step + 2] = True
    start = 0
    for keep, stretch in groupby(kept.tolist()):
        length = len(list(stretch))
        if not keep and length < LEAST_FOLDED:
            kept[start : start + length] = True
        start += length
    return kept


def moment(time: np.datetime64) -> str:
    """A time to the minute: "2026-05-15 03:00"; with seconds where it has any."""
    text = str(time.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(":00")


def tell_untouched(replay: PathReplay) -> str:
    """What the screen says of this path, which is what a run counts as first passages."""
    horizons = [duration(np.timedelta64(h)) for h in replay.plan.simulation.horizons]
    names = {"margin_call": "margin call", "liquidation": "liquidation", "bankruptcy": "bankruptcy"}
    found = [
        f"{names[name]} within {horizons[number]}"
        for name, number in replay.untouched.items()
        if number is not None
    ]
    if not found:
        return f"meets none of margin call, liquidation and bankruptcy within {horizons[-1]}."
    text = ", ".join(found)
    if replay.breached is not None:
        text += f"; the liquidation condition in the step to {moment(replay.times[replay.breached + 1])}"
    return text + "."


def _bridge(replay: PathReplay) -> Table:
    bridge = replay.bridge
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_row(f"equity at {moment(replay.times[0])}", cents(bridge.began))
    parts = (
        ("profit and loss at marks", bridge.profit),
        ("top-ups", bridge.topped_up),
        ("what the scenario makes of cash", bridge.changed),
        ("paid by insurance fund and other side", bridge.others),
        ("fees", -bridge.fees),
        ("slippage", -bridge.slippage),
        ("funding", -bridge.funding),
        ("liquidation fees", -bridge.liquidation_fees),
        ("gas", -bridge.gas),
    )
    for name, value in parts:
        if value != 0:
            table.add_row(name, ("+" if value > 0 else "") + cents(value))
    table.add_row(Text(f"equity at {moment(replay.times[-1])}", "bold"), Text(cents(bridge.ended), "bold"))
    return table


def _sum(replay: PathReplay) -> str:
    difference = abs(replay.bridge.difference)
    if difference < HALF_A_CENT:
        return "The parts add up, to the cent."
    return f"The parts do NOT add up: {cents(difference)} are missing. Please report this."
