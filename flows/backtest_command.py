"""`seawall backtest`: forecasts for standard books, held against what then happened."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flows.console import open_console
from pipeline.errors import InputError, Problem, StoreError
from pipeline.units import parse_instant

if TYPE_CHECKING:
    from pipeline.backtest.judge import Judgement


def run_backtest(
    folder: str,
    fit_until: str | None,
    judge_from: str | None,
    as_json: bool,
    report: Path | None,
    paths: int | None,
    seed: int,
) -> None:
    """Load, fit, forecast, judge, and print. Raises SeawallError; words and progress go to stderr."""
    from pipeline.backtest.bars import load_bars
    from pipeline.backtest.books import BOOKS, assets_of
    from pipeline.backtest.cells import judged_cells
    from pipeline.backtest.judge import Settings, judge

    words = open_console(stderr=True)
    moments: list[datetime | None] = []
    problems: list[Problem] = []
    for option, text in (("--fit-until", fit_until), ("--judge-from", judge_from)):
        try:
            moments.append(None if text is None else _instant(option, text))
        except InputError as error:
            problems += error.problems
    if paths is not None and not 1 <= paths <= 2**20:
        problems.append(Problem("--paths", "a number from 1 to 1048576", str(paths), "choose one of them"))
    if problems:
        raise InputError(problems)
    chosen = Settings(fit_until=moments[0], judge_from=moments[1], seed=seed)
    settings = chosen if paths is None else Settings(**{**vars(chosen), "paths": paths})
    bars = load_bars(folder, assets_of(BOOKS))
    judgement = judge(bars, settings, lambda text: words.print(text, highlight=False))
    for remark in judgement.remarks:
        words.print(f"note: {remark}", highlight=False)
    cells = judged_cells(judgement)
    if as_json:
        typer.echo(json.dumps([cell.document() for cell in cells], indent=1, allow_nan=False))
    else:
        show_tables(judgement)
    if report is not None:
        write_report(judgement, report)
        words.print(f"report  {report}", highlight=False)


def show_tables(judgement: Judgement) -> None:
    """Print cells, scores and reliability, at most 100 columns wide."""
    from rich.table import Table

    from pipeline.backtest.summary import backtest_tables

    console = open_console(stderr=False)
    for part in backtest_tables(judgement):
        table = Table(*part.columns, title=part.title, caption=part.note, box=None, title_justify="left")
        for column in table.columns[part.words :]:
            column.justify = "right"
        for row in part.rows:
            table.add_row(*row)
        console.print(table)
        console.print()


def write_report(judgement: Judgement, path: Path) -> None:
    """Write one HTML page with the tables and the reliability diagram; raises StoreError."""
    from pipeline.backtest.page import backtest_page

    try:
        path.write_text(backtest_page(judgement), encoding="utf-8")
    except OSError as error:
        problem = Problem(str(path), "a file that can be written", str(error), "choose another place")
        raise StoreError([problem]) from error


def _instant(option: str, text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        fix = "write it like 2025-07-01 or 2025-07-01T00:00:00Z"
        raise InputError([Problem(option, "a time, UTC, ISO 8601", text, fix)]) from error
