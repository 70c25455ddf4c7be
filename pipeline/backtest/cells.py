"""Cells of the back-test: a book at a leverage over a horizon, what was forecast and what happened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from pipeline.backtest.expectation import independent_windows, is_judged, share_interval
from pipeline.backtest.judge import Judgement
from pipeline.units import format_duration

DIGITS = 6  # decimals of a probability


class Cell(NamedTuple):
    """One cell: probabilities are means over its n windows; low and high bound the realised share if the
    model is right (see `expectation`). `independent` counts windows that don't overlap."""

    book: str
    leverage: float
    horizon: timedelta
    n: int
    realised: float
    forecast: float
    low: float
    high: float
    gaussian: float
    bootstrap: float
    independent: float
    judged: bool

    def document(self) -> dict[str, Any]:
        """The cell as plain data, as the command prints it."""
        figures = {
            "realised": self.realised,
            "forecast": self.forecast,
            "forecast_low": self.low,
            "forecast_high": self.high,
            "gaussian": self.gaussian,
            "bootstrap": self.bootstrap,
        }
        names = {"book": self.book, "leverage": self.leverage, "horizon": format_duration(self.horizon)}
        # a rival that could not be formed is null, as JSON has no NaN
        return {
            **names,
            "n": self.n,
            **{key: round(value, DIGITS) if np.isfinite(value) else None for key, value in figures.items()},
        }


def judged_cells(judgement: Judgement) -> list[Cell]:
    """All cells that have a window, by book, leverage and horizon."""
    settings, cells = judgement.settings, []
    for b, book in enumerate(settings.books):
        for i, leverage in enumerate(settings.leverages):
            for h, horizon in enumerate(settings.horizons):
                hits = judgement.hits[:, b, i, h]
                there = ~np.isnan(hits)
                if not there.any():
                    continue
                made = {name: values[there, b, i, h] for name, values in judgement.forecasts.items()}
                overlap = max(1, -(-horizon // settings.spacing))
                low, high = share_interval(
                    made["model"],
                    judgement.position[there],
                    overlap,
                    float(judgement.logit_sd[b, i, h]),
                    seed=settings.seed,
                )
                forecast, n = float(made["model"].mean()), int(there.sum())
                cells.append(
                    Cell(
                        book.name,
                        leverage,
                        horizon,
                        n,
                        float(hits[there].mean()),
                        forecast,
                        low,
                        high,
                        float(made["gaussian"].mean()),
                        float(made["bootstrap"].mean()),
                        independent_windows(n, overlap),
                        is_judged(forecast, n, overlap),
                    )
                )
    return cells
