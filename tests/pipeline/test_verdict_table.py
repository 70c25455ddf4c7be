"""The words at the end of a run: all that matters, and within 100 columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import StringIO

import numpy as np
import xarray as xr
from rich.console import Console

from pipeline.cube import build_cube
from pipeline.plan import Limit
from pipeline.verdict import judge_limits
from pipeline.verdict_table import verdict_table
from tests.cubes import (
    PROVENANCE,
    plan_document,
    resolved_cube,
    shared_cube,
    small_cube,
    small_plan,
    small_tallies,
)

ON_WEEK = Limit(metric="p_liquidation", horizon=timedelta(days=7), max=0.01)


def said_in_terminal(cube: xr.Dataset, limits: list[Limit]) -> str:
    out = StringIO()
    Console(file=out, width=100).print(verdict_table(cube, judge_limits(cube, limits)))
    return out.getvalue()


def test_verdict_table__says_what_matters() -> None:
    said = said_in_terminal(small_cube(), [ON_WEEK, Limit(metric="leverage", max=10.0)])
    for words in (
        "0 of 200,000",
        "below 0.0018 %",
        "[5.97, 6.18]",
        "gap-down-10",
        "BREACH directional: P(liquidation within 7d | gap-down-10) is 9.11 % [8.98, 9.24], limit 1 %",
        "and 2 other scenarios",
        "9 of 12 limits kept",
        "model uncertainty not assessed",
    ):
        assert words in " ".join(said.split())
    assert "safe" not in said
    assert " 0 %" not in said


def test_verdict_table__without_limits() -> None:
    assert "No limits in the plan." in said_in_terminal(small_cube(), [])


def test_verdict_table__fits_100_columns_at_its_widest() -> None:
    document = plan_document()
    horizons = [f"{h}h" for h in (1, 2, 3, 5, 7, 11, 13, 160)]
    name = "an-account-of-a-name-that-goes-on-and-on-" * 2
    accounts = [{**document["accounts"][1], "name": f"{name}{i}"} for i in range(30)]
    plan = small_plan(simulation=document["simulation"] | {"horizons": horizons}, accounts=accounts)
    tallies = small_tallies()
    shape = (3, 30, 4, 8)
    counts = np.full(shape, 3, np.int64)
    wide = replace(
        tallies,
        liquidations=counts,
        margin_calls=counts,
        bankruptcies=counts,
        joint=None,
        liquidatable_now=np.zeros(shape[:3], np.bool_),
        paths=9_999_999,
    )
    said = said_in_terminal(build_cube(wide, plan, PROVENANCE), [Limit(metric="leverage", max=1.0)])
    assert max(map(len, said.splitlines())) <= 100
    assert "…" not in said
    assert "within 1h" in said
    assert "within 160h" in said
    assert "the 20 of 30 accounts most at risk" in said
    assert "and 10 more" in said


def test_verdict_table__says_what_follows_a_breach() -> None:
    assert "After a breach" not in said_in_terminal(small_cube(), [])
    said = said_in_terminal(resolved_cube(), [])
    assert max(map(len, said.splitlines())) <= 100
    words = " ".join(said.partition("After a breach")[2].split())
    for figure in (
        "directional 6.07 % 3.03 % 2.02 % ETH-USD (100 %)",
        "[5.97, 6.18] [2.96, 3.11] [1.96, 2.09]",
        "basis 0 of 200,000 0 of 200,000 0 of 200,000 –",
        "directional 2.02 0.850 4.55 % 18.21 % 24,280",
        "basis none none none –",
        "[1.96, 2.08] [4.47, 4.63] [18.04, 18.38]",
    ):
        assert figure in words


def test_verdict_table__says_what_becomes_of_a_venue_that_accounts_share() -> None:
    said = said_in_terminal(shared_cube(), [])
    assert max(map(len, said.splitlines())) <= 100
    words = " ".join(said.split())
    assert "The venue, 3 accounts: accounts liquidated within 7d, untouched and together" in words
    assert "0.0607 0.1214 3.03 % 2.02 %" in words
    assert "P(fund exhausted)" in words
    assert "The venue" not in said_in_terminal(resolved_cube(), [])
