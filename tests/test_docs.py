"""What the documents say is what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest
import yaml

from pipeline.effects import Effect
from pipeline.plan import load_plan
from pipeline.policies import Policy
from pipeline.scenarios import SCENARIOS
from pipeline.schema import ATTRIBUTES, CELL, COORDINATES, QUANTITIES, VARIABLES, Variable
from pipeline.venues import Execution, TieredLiquidation

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _declared(variables: Iterable[Variable]) -> str:
    return _table(
        ("name", "dimensions", "dtype", "unit", "meaning"),
        (
            (
                f"`{v.name}`",
                "all four" if v.dims == CELL else ", ".join(v.dims),
                v.dtype,
                v.units,
                "The account as it stands: below." if v.name == "margin_now" else v.definition,
            )
            for v in variables
        ),
    )


TABLES = {
    "coordinates": _declared(COORDINATES),
    "variables": _declared(VARIABLES),
    "quantities": _table(
        ("quantity", "unit", "meaning"), ((f"`{q.name}`", q.units, q.definition) for q in QUANTITIES)
    ),
    "attributes": _table(
        ("attribute", "meaning"), ((f"`{name}`", text) for name, text in ATTRIBUTES.items())
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_cube_page__table_is_the_schema(name: str) -> None:
    page = (ROOT / "docs" / "cube.md").read_text()
    stands = page.partition(f"<!-- {name} -->\n")[2].partition("\n\n")[0]
    assert stands == TABLES[name], f"docs/cube.md, under <!-- {name} -->, should read:\n{TABLES[name]}"


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_readme__plan_is_accepted(tmp_path: Path) -> None:
    (text,) = _blocks(README, "yaml")
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    plan = load_plan(path)
    assert plan.warnings() == ()
    assert len(text.splitlines()) <= 30


def test_readme__python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = yaml.safe_load((ROOT / "examples" / "desk.yaml").read_text())
    document["simulation"] |= {"paths": 128, "monitoring": "close"}
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "desk.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)
    reading, running = _blocks(README, "python")
    exec(running, {})
    capsys.readouterr()
    exec(reading, {})
    printed = capsys.readouterr().out
    shown = README.partition(reading)[2].split("```\n")[2]
    assert "pipeline" not in reading
    # the same rows and columns as in the README; the numbers are of fewer paths
    assert re.findall(r"[a-z][\w-]+", printed) == re.findall(r"[a-z][\w-]+", shown)


def test_cube_page__python_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.plan import plan_from_document
    from pipeline.run import run
    from tests.pipeline.documents import small_document

    cube = run(plan_from_document(small_document()), tmp_path)
    (text,) = _blocks((ROOT / "docs" / "cube.md").read_text(), "python")
    names: dict[str, object] = {}
    exec(text, names)
    describe = names["describe"]
    assert callable(describe)
    describe(f"{tmp_path}/runs/{cube.attrs['run_id']}/cube.zarr")
    printed = capsys.readouterr().out
    assert printed.startswith(f"small {cube.attrs['run_id']} ")
    assert "joint_liquidations: Paths on which both accounts were liquidated" in printed


@pytest.mark.slow
def test_cross_page__commands_print_what_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import cli

    monkeypatch.chdir(ROOT)
    blocks = _blocks((ROOT / "docs" / "cross-or-isolated.md").read_text(), "")
    commands, shown = blocks[::2], blocks[1::2]
    assert len(commands) == len(shown) == 4
    for command, lines in zip(commands, shown, strict=True):
        name, *arguments = command.replace("/tmp/desk", str(tmp_path)).split()
        assert name == "seawall"
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, "--no-flow"] if arguments[0] == "run" else arguments)
        assert ended.value.code in (0, None, 3)
        printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert [line for line in lines.splitlines() if line not in printed] == [], command


def test_pages__scenarios_named_are_shipped() -> None:
    shipped = {path.stem for path in SCENARIOS.glob("*.yaml")}
    text = (ROOT / "docs" / "model.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("Shipped: ")]
    assert set(re.findall(r"`([^`]+)`", line)) == shipped
    page = (ROOT / "docs" / "scenarios.md").read_text()
    listed = page.partition("## Shipped\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([^`]+)`", listed)) == shipped


def test_scenarios_page__effects_and_their_keys_are_the_schemas() -> None:
    kinds = {
        kind.model_fields["effect"].annotation.__args__[0]: kind for kind in get_args(get_args(Effect)[0])
    }
    page = (ROOT / "docs" / "scenarios.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", page.partition("## Effects\n")[2], flags=re.MULTILINE)
    assert [name for name, _ in rows] == list(kinds)
    written = {"date", "file", "events", "event"}  # resolved when a plan is read
    internal = {"effect", "at", "for", "returns", "source", "repair_distance", "percent", "log"}
    for name, keys in rows:
        fields = {field.alias or key for key, field in kinds[name].model_fields.items()}
        assert set(re.findall(r"`(\w+)", keys)) - internal - written == fields - internal, name


def test_breach_page__policies_and_their_keys_are_the_schemas() -> None:
    kinds = {kind.model_fields["kind"].annotation.__args__[0]: kind for kind in get_args(get_args(Policy)[0])}
    page = (ROOT / "docs" / "after-the-breach.md").read_text()
    for table in (page.partition("## What the desk does\n")[2], page.partition("<!-- policies -->\n")[2]):
        rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", table.partition("\n\n`delay`")[0], flags=re.MULTILINE)
        assert [name for name, _ in rows][: len(kinds)] == list(kinds)
    for name, keys in rows[: len(kinds)]:
        own = kinds[name].model_fields.keys() - {"kind", "delay", "probability"}
        assert set(re.findall(r"`(\w+)", keys)) == own, name
    for key in [*Execution.model_fields, *TieredLiquidation.model_fields, "gas_cost", "insurance_fund"]:
        assert key in page.partition("**Venues** say")[2], key


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda path: path.name)
def test_pages__links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target
