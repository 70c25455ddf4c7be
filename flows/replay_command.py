"""`seawall replay`: one path of a run, step by step, as words, as JSON and as a picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

from flows.console import open_console
from pipeline.errors import InputError, Problem
from pipeline.path_finder import FINDS, find_path
from pipeline.path_replay import replay_path
from pipeline.path_walk import choose_cell
from pipeline.plan import Plan
from pipeline.run import name_run, read_plan
from pipeline.store import open_store

PICTURES = (".svg", ".png")


class Choice(NamedTuple):
    """The command's options. None: the only one, or the first; of `path`: the one that `find` finds."""

    path: int | None
    find: str | None
    scenario: str
    account: str | None
    leverage: float


def show_replay(
    run_id: str, store: str, choice: Choice, picture: Path | None, whole: bool, as_json: bool
) -> None:
    """Print what happened on one path of a run in a store. Raises SeawallError."""
    _check(choice, picture)
    place = open_store(store)
    run_id, plan = read_plan(place, run_id)
    words = open_console(stderr=True)
    if name_run(plan, place).run_id != run_id:
        words.print(
            f"warning: run {run_id} was made by another version of Seawall, or on other libraries: its path "
            "may differ from this one",
            style="yellow",
            highlight=False,
        )
    account = _account(plan, choice.account)
    cell = (choice.scenario, account, choice.leverage)
    path = choice.path
    if path is None:
        assert choice.find is not None
        choose_cell(plan, *cell)
        found = find_path(plan, *cell, choice.find)
        words.print(found.sentence, highlight=False)
        path = found.path
    replay = replay_path(plan, *cell, path)
    if picture is not None:
        from pipeline.report.path_figure import draw_path

        draw_path(replay, picture)
    if as_json:
        sys.stdout.write(json.dumps(replay.document(), allow_nan=False) + "\n")
    else:
        from pipeline.path_table import path_table

        open_console(stderr=False).print(path_table(replay, whole), highlight=False)
    if picture is not None:
        words.print(f"picture  {picture}", highlight=False, soft_wrap=True)


def _check(choice: Choice, picture: Path | None) -> None:
    problems = []
    if (choice.path is None) == (choice.find is None):
        got = "neither" if choice.path is None else "both"
        fix = "name a path, or --find worst, median or nearest"
        problems.append(Problem("--path, --find", "one of the two", got, fix))
    if choice.find is not None and choice.find not in FINDS:
        fix = "write one of: " + ", ".join(FINDS)
        problems.append(Problem("--find", "what to look for", f"`{choice.find}`", fix))
    if picture is not None and picture.suffix not in PICTURES:
        problems.append(Problem("--picture", "a file name.svg or name.png", f"`{picture}`", "rename it"))
    if picture is not None and not picture.absolute().parent.is_dir():
        fix = "make it first, or write elsewhere"
        problems.append(Problem("--picture", "a folder that is there", f"`{picture.parent}`", fix))
    if problems:
        raise InputError(problems)


def _account(plan: Plan, name: str | None) -> str:
    """The account that is meant: the only one, where none is named."""
    names = [account.name for account in plan.accounts]
    if name is None and len(names) > 1:
        shown = ", ".join(names[:20]) + ("" if len(names) <= 20 else f" and {len(names) - 20} more")
        problem = Problem("--account", "an account of the plan", "none", f"use one of: {shown}")
        raise InputError([problem])
    return names[0] if name is None else name
