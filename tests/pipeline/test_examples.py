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


def test_load_plan__the_book_of_the_cascade_follows_its_rule() -> None:
    plan = load_plan(ROOT / "examples" / "cascade.yaml")
    assert len(plan.accounts) == 200
    for n, account in enumerate(plan.accounts, start=1):
        collateral = 100 * round(2_000 * 50 ** (0.6180339887 * n % 1) / 100)
        assert account.collateral == {"USDC": collateral}
        held = (("BTC",), ("SOL", "LINK"), ("LINK",), ("BTC", "LINK"))[n % 4]
        notional = collateral * (2 + 6 * (0.7548776662 * n % 1)) / len(held) * (1 if n % 5 else -1)
        expected = [
            (f"{asset}-USD", pytest.approx(notional / plan.prices[asset], rel=1e-5)) for asset in held
        ]
        assert [(position.market, position.size) for position in account.positions] == expected


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
