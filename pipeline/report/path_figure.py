"""One path as a picture: marks, equity beside margin, sizes, and what happened, over the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.path_events import Event
from pipeline.path_replay import PathReplay
from pipeline.path_table import moment
from pipeline.report.figures import FAINT, INK, LINES, STYLE
from pipeline.wording import book, money

WIDTH, HEIGHT = 8.4, 6.6  # inches, of the panels
LINE = 0.17  # inches, of words under them
MOST_LINES = 8  # markets, the largest
MOST_NUMBERS = 10  # steps told in words; all have a line
LONGEST = 118  # letters of a line under the picture
# regimes, in the model's order: light, so that lines stand out on them
SHADES = ("#ffffff", "#f4f1e6", "#ebe1c9", "#dfcda6", "#d2b884")
HARM, CARE, WARNING = LINES[1], LINES[0], LINES[4]
COLOURS = {
    **dict.fromkeys(("liquidated", "deleveraged", "bankrupt", "fund"), HARM),
    **dict.fromkeys(("policy", "sent", "top_up", "trade", "gas"), CARE),
    "untouched_liquidation": WARNING,
}
SHORT = {
    "trade": "the desk trades",
    "liquidated": "the venue liquidates",
    "deleveraged": "closed against the other side (ADL)",
    "untouched_liquidation": "the untouched book is liquidatable",
}
# a step is worth a number by the first of these that it has
WORTH = ("bankrupt", "deleveraged", "fund", "untouched_liquidation", "liquidated", "policy", "sent", "top_up")


def draw_path(replay: PathReplay, file: Path) -> None:
    """Draw a replayed path into a file, SVG or PNG by its name."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    notes = _note(replay)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        words = LINE * (len(notes) + 0.5)
        height = HEIGHT + words
        layout = ConstrainedLayoutEngine(rect=(0.0, words / height, 1.0, HEIGHT / height))
        figure = Figure(figsize=(WIDTH, height), layout=layout)
        panels = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
        at = "" if replay.leverage == 1 else f" at {book(replay.leverage)}"
        panels[0].set_title(
            f"{replay.account}{at} on path {replay.path:,} of {replay.plan.name}, scenario {replay.scenario}"
        )
        hours = (replay.times - replay.times[0]) / np.timedelta64(1, "h")
        unit, scale = ("days", 24.0) if hours[-1] > 72 else ("hours", 1.0)
        _draw_marks(panels[0], replay, hours / scale)
        _draw_equity(panels[1], replay, hours / scale)
        _draw_sizes(panels[2], replay, hours / scale)
        _draw_events(panels, replay, hours / scale, list(notes))
        panels[2].set_xlabel(f"{unit} since {moment(replay.times[0])} UTC")
        panels[2].set_xlim(0, hours[-1] / scale)
        for axes in panels:
            axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.5)
        for line, text in enumerate(notes.values()):
            y = (words - LINE * (line + 0.8)) / height
            figure.text(0.012, y, f"{line + 1:>2}  {text}", fontsize=7.5)
        metadata: dict[str, Any] = {"Date": None} if file.suffix == ".svg" else {}
        figure.savefig(file, dpi=150, metadata=metadata)


def _largest(replay: PathReplay) -> list[int]:
    """The legs that are drawn, in the book's order."""
    gross = np.abs(replay.sizes[0] * replay.marks[0])
    return sorted(np.argsort(-gross, kind="stable")[:MOST_LINES].tolist())


def _draw_marks(axes: Any, replay: PathReplay, at: NDArray[np.float64]) -> None:
    from matplotlib.patches import Patch

    regimes = list(replay.plan.model.regimes)
    shades = {name: SHADES[min(number, len(SHADES) - 1)] for number, name in enumerate(regimes)}
    start = 0
    for regime, stretch in groupby(replay.regimes):
        length = len(list(stretch))
        axes.axvspan(at[start], at[start + length], color=shades[regime], linewidth=0, zorder=0)
        start += length
    drawn: dict[str, int] = {}
    for number in sorted(_largest(replay), key=lambda number: not replay.legs[number].is_position):
        known = (replay.marks[:, other] for other in drawn.values())  # a coin may have its perpetual's mark
        if not any(np.array_equal(replay.marks[:, number], marks) for marks in known):
            drawn[replay.legs[number].market] = number
    lines = []
    for market, number in drawn.items():
        moved = 100.0 * (replay.marks[:, number] / replay.marks[0, number] - 1.0)
        lines += axes.plot(at, moved, color=LINES[number % len(LINES)], label=market)
    axes.axhline(0.0, color=FAINT, linewidth=0.6)
    axes.set_ylabel("mark since as_of, %")
    seen = [name for name in regimes if name in replay.regimes]
    patches = [Patch(facecolor=shades[name], edgecolor=FAINT, linewidth=0.4, label=name) for name in seen]
    _legend(axes, [*lines, *patches])


def _draw_equity(axes: Any, replay: PathReplay, at: NDArray[np.float64]) -> None:
    maintenance, initial = replay.maintenance.sum(axis=1), replay.initial.sum(axis=1)
    lines = axes.plot(at, replay.equity.sum(axis=1), color=INK, label="equity")
    if replay.haircuts.any():
        after = (replay.equity - replay.haircuts).sum(axis=1)
        lines += axes.plot(at, after, color=INK, linewidth=0.8, linestyle="dotted", label="after haircuts")
    lines += axes.plot(at, initial, color=WARNING, linewidth=1, linestyle="dashed", label="initial margin")
    lines += axes.plot(at, maintenance, color=HARM, linewidth=1.1, label="maintenance")
    axes.fill_between(at, maintenance, color=HARM, alpha=0.10, linewidth=0)
    axes.axhline(0.0, color=FAINT, linewidth=0.6)
    axes.set_ylabel("quote currency")
    axes.yaxis.set_major_formatter(lambda value, _: money(value))
    _legend(axes, lines)


def _draw_sizes(axes: Any, replay: PathReplay, at: NDArray[np.float64]) -> None:
    """Of positions, in percent of what they were: those of several assets have no unit in common."""
    lines = []
    for number in (n for n in _largest(replay) if replay.legs[n].is_position):
        share = 100.0 * replay.sizes[:, number] / replay.sizes[0, number]
        colour = LINES[number % len(LINES)]
        style = "solid" if replay.sizes[0, number] > 0 else "dashed"
        side = "long" if replay.sizes[0, number] > 0 else "short"
        name = replay.legs[number].name
        label = name if name.endswith(side) else f"{name} {side}"
        lines += axes.step(at, share, where="post", color=colour, linestyle=style, label=label)
    axes.axhline(0.0, color=FAINT, linewidth=0.6)
    axes.set_ylim(bottom=-4)
    axes.set_ylabel("size, % of as_of's")
    _legend(axes, lines)


def _legend(axes: Any, lines: Sequence[Any]) -> None:
    axes.legend(handles=lines, loc="upper left", bbox_to_anchor=(1.0, 1.02), frameon=False)


def _draw_events(panels: Any, replay: PathReplay, at: NDArray[np.float64], told: Sequence[int]) -> None:
    """A line at each step with events; numbers over the equity at those that are told in words."""
    equity = replay.equity.sum(axis=1)
    for step, events in _steps(replay).items():
        colour = _colour(events)
        for axes in panels:
            axes.axvline(at[step + 1], color=colour, linewidth=0.7, alpha=0.55, zorder=1)
    room: list[float] = []  # where the numbers stand, so that neighbours go one above the other
    width = 0.022 * at[-1]
    for number, step in enumerate(told, start=1):
        above = sum(abs(at[step + 1] - other) < width for other in room)
        room.append(float(at[step + 1]))
        panels[1].annotate(
            str(number),
            (at[step + 1], equity[step + 1]),
            xytext=(0, 9 + 12 * above),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7,
            color="white",
            bbox={
                "boxstyle": "circle,pad=0.25",
                "facecolor": _colour(_steps(replay)[step]),
                "edgecolor": "none",
            },
            zorder=5,
        )


def _steps(replay: PathReplay) -> dict[int, list[Event]]:
    return {step: list(events) for step, events in groupby(replay.events, lambda event: event.step)}


def _colour(events: Sequence[Event]) -> str:
    """Of a step: harm before warning, warning before what the desk does."""
    found = [COLOURS.get(event.kind, FAINT) for event in events]
    return next(colour for colour in (HARM, WARNING, CARE, FAINT) if colour in found)


def _note(replay: PathReplay) -> dict[int, str]:
    """The steps that are told in words, and the words: firsts of their kind before what goes on."""
    met: Counter[str] = Counter()
    ranks = {}
    for step, events in _steps(replay).items():
        kinds = {event.kind for event in events}
        ranks[step] = min((met[kind], _worth(kind)) for kind in kinds)
        met.update(kinds)
    told = sorted(sorted(ranks, key=lambda step: (ranks[step], step))[:MOST_NUMBERS])
    steps = _steps(replay)
    return {step: f"{moment(replay.times[step + 1])}  {_words(steps[step])}" for step in told}


def _worth(kind: str) -> int:
    return WORTH.index(kind) if kind in WORTH else len(WORTH)


def _words(events: Sequence[Event]) -> str:
    """A step's events on one line, what is worth most first: each kind once, counted where it comes again."""
    said = []
    counts = Counter(event.kind for event in events)
    for kind, count in sorted(counts.items(), key=lambda item: _worth(item[0])):
        first = next(event.words for event in events if event.kind == kind)
        short = SHORT.get(kind, first) if count > 1 or kind in SHORT else first
        said.append(short if count == 1 else f"{short}, {count} times")
    text = "; ".join(said)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
