"""The plans in `examples/`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.margin_now import margin_now
from pipeline.plan import json_schema, load_plan, plan_from_document
from pipeline.yaml_text import load_text

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_load_plan__example(path: Path) -> None:
    plan = load_plan(path)
    assert plan.name.startswith(path.stem)
    assert plan_from_document(json.loads(json.dumps(plan.document(), allow_nan=False))) == plan
    told = list(plan.warnings())
    words = ["is not clamped", "different quote currencies"] if path.stem == "two-venues" else []
    assert len(told) == len(words)
    assert all(word in warning for word, warning in zip(words, told, strict=True))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_margin_now__examples_could_be_opened(path: Path) -> None:
    for margin in margin_now(load_plan(path)).values():
        assert not margin.called
        assert not margin.liquidatable


def test_load_plan__desk_is_of_the_size_promised() -> None:
    plan = load_plan(ROOT / "examples" / "desk.yaml")
    held = {plan.venue.markets[p.market].asset for account in plan.accounts for p in account.positions}
    assert (len(plan.accounts), len(held), len(plan.scenarios)) == (3, 8, 9)
    assert plan.simulation.paths == 200_000
    assert plan.simulation.horizons[-1] // plan.simulation.step == 168
    assert len(plan.simulation.leverage) == 8


def test_load_plan__imports_little() -> None:
    code = (
        "import sys; from pipeline.plan import load_plan; load_plan('examples/desk.yaml');"
        "heavy = {'numba', 'prefect', 'pandas', 'scipy', 'xarray', 'dask', 'pyarrow'} & set(sys.modules);"
        "sys.exit(' '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_json_schema__accepts_examples(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(json_schema()).validate(load_text(path).content)
