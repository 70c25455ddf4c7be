"""Which walk a plan takes, told without the kernels, beside the walk that its blocks take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kernels.plain import find_obstacle
from pipeline import engine, slabs
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import load_plan, plan_from_document
from pipeline.walks import describe_walk
from tests.pipeline.documents import small_document
from tests.runs import hit_document

ROOT = Path(__file__).parents[2]
DESK = ROOT / "examples" / "desk.yaml"


def closed(document: dict[str, Any]) -> dict[str, Any]:
    document["simulation"]["monitoring"] = "close"
    return document


def test_describe_walk__the_shipped_model_at_closes_is_on_the_fast_walk() -> None:
    plan = load_plan(DESK)
    assert describe_walk(plan) == "the general walk (watched between step ends)"
    assert describe_walk(plan_from_document(closed(plan.document()))) == "the fast walk"


def test_describe_walk__what_is_resolved_takes_the_general_walk() -> None:
    document = closed(small_document())
    assert describe_walk(plan_from_document(document)) == "the fast walk"
    document["simulation"]["resolve"] = True
    plan = plan_from_document(document)
    assert describe_walk(plan) == "the general walk (what follows a breach is resolved)"
    assert engine._find_obstacle(json.dumps(plan.document()), None) == "what follows a breach is resolved"


def test_describe_walk__finds_one_account_in_any_slab(monkeypatch: pytest.MonkeyPatch) -> None:
    document = closed(hit_document())
    assert describe_walk(plan_from_document(document)) == "the fast walk"
    document["accounts"][-1]["group"] = "a"
    monkeypatch.setattr(slabs, "ACCOUNT_SLAB", 1)
    plan = plan_from_document(document)
    assert len(slabs.plan_slabs(plan)) > 1
    assert describe_walk(plan) == "the general walk (groups of accounts)"


@pytest.mark.parametrize("document", [small_document(), closed(small_document()), closed(hit_document())])
def test_describe_walk__looks_at_the_same_arrays_as_the_run(document: dict[str, Any]) -> None:
    plan = plan_from_document(document)
    market = lower_market(plan)
    found = find_obstacle(market, lower_book(plan, market, range(len(plan.accounts))), lower_clock(plan))
    assert describe_walk(plan) == (f"the general walk ({found})" if found else "the fast walk")


@pytest.mark.parametrize("document", [hit_document(), load_plan(DESK).document()], ids=["jumps", "desk"])
def test_describe_walk__imports_little(document: dict[str, Any]) -> None:
    code = (
        "import json, sys; from pipeline.plan import plan_from_document;"
        "from pipeline.walks import describe_walk;"
        "describe_walk(plan_from_document(json.load(sys.stdin)));"
        "heavy = {'numba', 'prefect', 'pandas', 'scipy', 'xarray', 'dask', 'pyarrow'} & set(sys.modules);"
        "sys.exit(' '.join(sorted(heavy)) or None)"
    )
    plan = json.dumps(plan_from_document(document).document())
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=plan, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
