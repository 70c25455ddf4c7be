"""`python -m pictures DATA`: draw docs/pictures anew, and rewrite the figures of the page that shows them.

DATA holds `perp_1h.parquet`, hourly bars as `seawall backtest` takes them. The model is the shipped one. The
back-test takes five minutes, all else one; --without-backtest leaves its picture and figures as they stand.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pictures.forecasts import draw_reliability, grade_forecasts
from pictures.moves import draw_joint, draw_memory, draw_quantiles, measure_moves
from pictures.page import rewrite
from pictures.quotes import quote_backtest, quote_model, quote_moves, quote_timeline
from pictures.states import draw_correlations, draw_states, mean_correlations, read_levels, read_regimes
from pictures.timeline import draw_timeline, draw_worst_days, read_timeline
from pipeline.backtest.bars import Bars, load_bars
from pipeline.backtest.books import BOOKS, assets_of
from pipeline.backtest.judge import Judgement, Settings, judge
from pipeline.errors import DataError, Problem, SeawallError
from pipeline.model import MarketModel, load_model
from pipeline.units import parse_instant

ROOT = Path(__file__).parents[1]
PAGE, PICTURES = ROOT / "docs" / "the-model-in-pictures.md", ROOT / "docs" / "pictures"
MODEL = "crypto-majors"
JUDGED_FROM, PATHS = datetime(2024, 1, 1, tzinfo=UTC), 4096  # as in docs/backtest.md

Made = tuple[dict[str, str], dict[str, str]]  # pictures and blocks of the page, by name


def draw_model(model: MarketModel) -> Made:
    """What the model file alone decides."""
    means = mean_correlations(model)
    pictures = {
        "states": draw_states(read_regimes(model), read_levels(model)),
        "correlations": draw_correlations(model, means),
    }
    return pictures, quote_model(model)


def draw_history(model: MarketModel, bars: Bars) -> Made:
    """The model beside history: timelines over all bars, moves over the window of the fit."""
    began, ended = window_of(model)
    first, last = bars.bars_until(began), bars.bars_until(ended)
    half = len(model.assets) / 2
    there = ~np.isnan(bars.close[:, bars.columns(model.assets)])
    start = int(np.argmax(there.sum(axis=1) >= half))
    timeline = read_timeline(model, bars, start, len(bars.times))
    early = [asset for asset, has in zip(model.assets, there[start], strict=True) if has]
    moves = measure_moves(model, bars.close[first:last, bars.columns(model.assets)])
    pictures = {
        "timeline": draw_timeline(timeline, model.regime_names, model.level_names, (began, ended)),
        "worst-days": draw_worst_days(timeline, model.regime_names, model.level_names),
        "quantiles": draw_quantiles(moves),
        "memory": draw_memory(moves),
        "joint": draw_joint(moves),
    }
    return pictures, quote_timeline(model, timeline, early) | quote_moves(moves)


def draw_backtest(judgement: Judgement) -> Made:
    """Forecasts beside what happened."""
    grades = {name: grade_forecasts(judgement, name) for name in judgement.forecasts}
    return {"reliability": draw_reliability(grades)}, quote_backtest(judgement, grades["model"])


def window_of(model: MarketModel) -> tuple[datetime, datetime]:
    """When the window that the model was fitted to begins and ends; DataError where its file doesn't say."""
    window = (model.calibration or {}).get("window")
    if not isinstance(window, dict):
        fix = "fit it with `seawall calibrate`"
        raise DataError([Problem(f"model {model.name}", "calibration.window", "none", fix)])
    return parse_instant(str(window["start"])), parse_instant(str(window["end"]))


def write(*made: Made) -> None:
    """Write pictures and rewrite the page's blocks: all, or none where the page lacks a mark."""
    pictures = {name: svg for drawn, _ in made for name, svg in drawn.items()}
    blocks = {name: block for _, quoted in made for name, block in quoted.items()}
    text = rewrite(PAGE.read_text(encoding="utf-8"), blocks)
    PICTURES.mkdir(exist_ok=True)
    for name, svg in pictures.items():
        (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    print(f"drawn: {', '.join(pictures)}")


def main(arguments: list[str] | None = None) -> None:
    """Draw everything; bad input ends with one message and code 2."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(prog="python -m pictures", description=__doc__)
    parser.add_argument("data", help="a folder that holds perp_1h.parquet")
    parser.add_argument(
        "--without-backtest", action="store_true", help="leave the reliability diagram as it is"
    )
    chosen = parser.parse_args(arguments)
    try:
        model = load_model(MODEL)
        bars = load_bars(chosen.data, model.assets)
        fitted_to = [each.get("sha256") for each in (model.calibration or {}).get("prices", [])]  # type: ignore[union-attr]
        if bars.source.sha256 not in fitted_to:
            print(f"note: {bars.source.file} is not the file that {MODEL} was fitted to", file=sys.stderr)
        made = [draw_model(model), draw_history(model, bars)]
        if not chosen.without_backtest:
            settings = Settings(judge_from=JUDGED_FROM, paths=PATHS)
            judged = judge(
                load_bars(chosen.data, assets_of(BOOKS)), settings, lambda text: print(text, file=sys.stderr)
            )
            made.append(draw_backtest(judged))
        write(*made)
    except SeawallError as error:
        print(f"pictures: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
