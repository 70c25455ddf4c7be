"""Forecasts of P(liquidation) held against what then happened: reliability, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictures.canvas import MODEL, grid, open_sheet, svg_text
from pipeline.backtest.judge import Judgement
from pipeline.backtest.scores import EDGES
from pipeline.report.figures import FAINT

Floats = NDArray[np.float64]

FLOOR = 1e-4  # where the logarithmic axes begin: rarer is drawn there, open
RIVALS = {"gaussian": ("Gaussian law", "#D55E00", "s"), "bootstrap": ("shuffled history", "#009E73", "^")}
BLOCKS_OF_HORIZON = 2  # blocks of starts are this often the longest horizon, as those of the scores
DRAWS, SEED = 2000, 5


class Grade(NamedTuple):
    """Forecasts of about one size: how many, on how many starts, their mean, the share that came true, and
    its 95 % interval by blocks of starts."""

    n: int
    starts: int
    forecast: float
    realised: float
    low: float
    high: float


def grade_forecasts(judgement: Judgement, forecaster: str = "model", seed: int = SEED) -> list[Grade]:
    """Bins of `pipeline.backtest.scores.reliability_table`, each with the interval of its realised share.

    Windows share their hours and cells their market, so whole blocks of consecutive starts are drawn, with
    everything that was forecast in them (circular moving blocks, Kuensch 1989).
    """
    p, y = judgement.forecasts[forecaster], judgement.hits
    p, y = p.reshape(len(p), -1), y.reshape(len(y), -1)
    there = ~(np.isnan(p) | np.isnan(y))
    number = np.minimum(np.searchsorted(EDGES, p, side="right") - 1, len(EDGES) - 2)
    longest = max(judgement.settings.horizons)
    block = min(BLOCKS_OF_HORIZON * int(longest / judgement.settings.spacing), len(p))
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(p), (DRAWS, -(-len(p) // block)))
    grades = []
    for b in range(len(EDGES) - 1):
        mine = there & (number == b)
        if not mine.any():
            continue
        count = mine.sum(axis=1).astype(np.float64)
        events = np.where(mine, y, 0.0).sum(axis=1)
        drawn = [_block_sums(series, block)[chosen].sum(axis=1) for series in (events, count)]
        with np.errstate(invalid="ignore"):
            low, high = np.nanquantile(drawn[0] / drawn[1], [0.025, 0.975])
        grades.append(
            Grade(
                int(count.sum()),
                int((count > 0).sum()),
                float(p[mine].mean()),
                float(events.sum() / count.sum()),
                float(low),
                float(high),
            )
        )
    return grades


def _block_sums(series: Floats, block: int) -> Floats:
    """Sum of each circular block of a series (T,), (T,)."""
    return np.convolve(np.r_[series, series[: block - 1]], np.ones(block), mode="valid")


def draw_reliability(grades: Mapping[str, Sequence[Grade]]) -> str:
    """Realised share against mean forecast, by forecaster: on logarithmic axes left, where rare ones show, on
    plain ones right; below, how many forecasts lie where. Intervals are the model's alone.
    """
    with open_sheet(5.0) as sheet:
        panels = sheet.subplots(2, 2, height_ratios=(3.4, 1.0), sharex="col")
        for column, rare in enumerate((True, False)):
            top, below = panels[:, column]
            floor = FLOOR if rare else 0.0
            top.plot([floor, 1.0], [floor, 1.0], color=FAINT, linewidth=0.9, label="as often as forecast")
            for name, (label, colour, marker) in RIVALS.items():
                if name in grades:
                    _draw_grades(
                        top, grades[name], floor, label=label, color=colour, marker=marker, lw=0.7, ms=3.6
                    )
            own = grades["model"]
            at = [max(grade.forecast, floor) for grade in own]
            ends = [[max(grade.low, floor) for grade in own], [max(grade.high, floor) for grade in own]]
            top.vlines(at, *ends, color=MODEL, linewidth=1.8)
            _draw_grades(
                top, own, floor, label="the model, 95 % interval", color=MODEL, marker="o", lw=1.2, ms=5.0
            )
            below.vlines(at, 1.0, [grade.n for grade in own], color=MODEL, linewidth=5.0)
            below.set_yscale("log")
            below.set_yticks([1e2, 1e3, 1e4, 1e5], ["100", "1,000", "10,000", "100,000"])
            below.set_ylim(100, 3e5)
            below.set_xlabel("forecast chance of liquidation")
            for axes in (top, below):
                grid(axes)
                axes.tick_params(which="minor", length=0)
            ticks = [1e-4, 1e-3, 1e-2, 0.1, 1.0] if rare else [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
            words = [f"{100 * tick:g} %" for tick in ticks]
            if rare:
                top.set_xscale("log")
                top.set_yscale("log")
            top.set_yticks(ticks, words)
            below.set_xticks(ticks, words)
            top.set_ylim(*((0.7 * FLOOR, 1.3) if rare else (0.0, 1.0)))
            below.set_xlim(*((0.7 * FLOOR, 1.3) if rare else (0.0, 1.0)))
        panels[0, 0].set_title("rare and likely (logarithmic axes)")
        panels[0, 1].set_title("the same on plain axes")
        panels[0, 0].set_ylabel("what share came true")
        panels[1, 0].set_ylabel("forecasts")
        panels[0, 1].legend(frameon=False, loc="upper left")
        return svg_text(
            sheet,
            "Forecast chance of liquidation against what share came true",
            "; ".join(f"{100 * g.forecast:.3g} % forecast, {100 * g.realised:.3g} % came true" for g in own),
        )


def _draw_grades(axes: Any, grades: Sequence[Grade], floor: float, **style: Any) -> None:
    at = np.array([max(grade.forecast, floor) for grade in grades])
    realised = np.array([grade.realised for grade in grades])
    seen = realised >= floor
    axes.plot(at[seen], realised[seen], **style)
    bare = style | {"label": "_never", "lw": 0, "markerfacecolor": "white"}
    axes.plot(at[~seen], np.full(int((~seen).sum()), floor), **bare)
