"""The back-test as tables of text: cells, scores beside the rivals', the Brier score's parts, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.bars import instant_of
from pipeline.backtest.cells import Cell, judged_cells
from pipeline.backtest.expectation import LEAST_EXPECTED
from pipeline.backtest.judge import FORECASTERS, Judgement
from pipeline.backtest.scores import block_interval, brier_parts, log_scores, reliability_table
from pipeline.units import format_duration

Floats = NDArray[np.float64]

SCALE = 1e4  # scores are small: they are shown in ten thousandths
BLOCK_OF_HORIZON = 2  # the blocks of score differences are this often the longest horizon


class Listing(NamedTuple):
    """A table: title, columns (the first `words` of them are text), rows, and a note below."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int
    note: str | None = None


def backtest_tables(judgement: Judgement) -> list[Listing]:
    """All tables, in the order in which they are read."""
    return [
        score_table(judgement),
        brier_table(judgement),
        bins_table(judgement),
        cell_table(judged_cells(judgement)),
    ]


def cell_table(cells: list[Cell]) -> Listing:
    """Realised and forecast shares in percent, and whether the realised one lies where it should."""
    rows = []
    for cell in cells:
        if cell.judged:
            verdict = "inside" if cell.low <= cell.realised <= cell.high else "OUTSIDE"
        else:
            verdict = "not judged"
        rows.append(
            (
                cell.book,
                format_duration(cell.horizon),
                f"{cell.leverage:g}x",
                f"{cell.n}",
                _percent(cell.realised),
                _percent(cell.forecast),
                f"{_percent(cell.low)} to {_percent(cell.high)}",
                _percent(cell.gaussian),
                _percent(cell.bootstrap),
                verdict,
            )
        )
    judged = [cell for cell in cells if cell.judged]
    inside = sum(cell.low <= cell.realised <= cell.high for cell in judged)
    note = (
        f"percent of windows liquidated; range: 95 % of what a right model would see. {inside} of "
        f"{len(judged)} judged cells inside; judged from {LEAST_EXPECTED:g} independent events expected"
    )
    columns = ("book", "horizon", "lev", "n", "real", "model", "range", "gauss", "boot", "")
    return Listing("Cells", columns, rows, 2, note)


def score_table(judgement: Judgement) -> Listing:
    """Mean log score of each forecaster, and the model's lead over the rivals with its interval."""
    scores = {
        name: log_scores(values, judgement.hits) * SCALE for name, values in judgement.forecasts.items()
    }
    settings = judgement.settings
    groups: list[tuple[str, tuple[slice | int, ...]]] = [("all", (slice(None),))]
    groups += [(book.name, (slice(None), b)) for b, book in enumerate(settings.books)]
    groups += [
        (format_duration(horizon), (slice(None), slice(None), slice(None), h))
        for h, horizon in enumerate(settings.horizons)
    ]
    rows = []
    for name, part in groups:
        own = {forecaster: values[part] for forecaster, values in scores.items()}
        if not np.isfinite(own["model"]).any():
            continue
        row = [name, *(_score(own[forecaster]) for forecaster in FORECASTERS)]
        rows.append((*row, *(_lead(judgement, own, rival) for rival in FORECASTERS[1:])))
    start, end = (instant_of(judgement.times[i]) for i in (0, -1))
    note = f"x {SCALE:g}; nearer to 0 is better. Leads with 95 % intervals from blocks in time"
    title = f"Log score of windows that start from {start:%Y-%m-%d} to {end:%Y-%m-%d}"
    return Listing(title, ("", *FORECASTERS, "lead on gaussian", "lead on bootstrap"), rows, 1, note)


def lead(judgement: Judgement, rival: str) -> tuple[float, float, float]:
    """The model's lead in mean log score over a rival, and its 95 % interval by moving blocks in time."""
    scores = {name: log_scores(values, judgement.hits) for name, values in judgement.forecasts.items()}
    return _blocks(judgement, scores["model"] - scores[rival])


def brier_table(judgement: Judgement) -> Listing:
    """The Brier score of each forecaster with Murphy's parts."""
    rows = []
    for name, values in judgement.forecasts.items():
        if np.isfinite(values).any():
            parts = brier_parts(values, np.where(np.isnan(values), np.nan, judgement.hits))
            rows.append((name, *(f"{SCALE * part:.1f}" for part in parts)))
    columns = ("", "Brier", "reliability", "resolution", "uncertainty", "within bins")
    note = f"x {SCALE:g}; Brier = reliability - resolution + uncertainty + within bins"
    return Listing("Brier score", columns, rows, 1, note)


def bins_table(judgement: Judgement) -> Listing:
    """Reliability of the model's forecasts, all cells together."""
    rows = [
        (
            f"{_percent(each.low)} to {_percent(each.high)}",
            f"{each.n}",
            _percent(each.forecast),
            _percent(each.realised),
        )
        for each in reliability_table(judgement.forecasts["model"], judgement.hits)
    ]
    note = "windows of all cells, which share their hours: read the counts as such"
    return Listing("Reliability of the model", ("forecast", "n", "mean", "realised"), rows, 1, note)


def _lead(judgement: Judgement, scores: dict[str, Floats], rival: str) -> str:
    if not np.isfinite(scores[rival]).any():
        return "-"
    mean, low, high = _blocks(judgement, scores["model"] - scores[rival])
    return f"{mean:+.0f} ({low:+.0f} to {high:+.0f})"


def _blocks(judgement: Judgement, differences: Floats) -> tuple[float, float, float]:
    """Mean over everything and its interval, by blocks of starts."""
    flat = differences.reshape(len(differences), -1)
    there = np.isfinite(flat)
    share = there.sum(axis=1) / max(there.any(axis=0).sum(), 1)
    with np.errstate(invalid="ignore"):
        by_start = np.where(there, flat, 0.0).sum(axis=1) / np.where(share > 0, there.sum(axis=1), np.nan)
    longest = max(judgement.settings.horizons)
    block = BLOCK_OF_HORIZON * int(longest / judgement.settings.spacing)
    return block_interval(by_start, block)


def _score(values: Floats) -> str:
    return f"{np.nanmean(values):.0f}" if np.isfinite(values).any() else "-"


def _percent(p: float) -> str:
    if not np.isfinite(p):
        return "-"
    percent = 100.0 * p
    if percent == 0.0:
        return "0"
    return f"{percent:.0f}" if percent >= 99.5 else f"{percent:.1f}" if percent >= 10 else f"{percent:.2f}"
