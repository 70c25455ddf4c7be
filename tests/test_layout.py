"""What is tested is this source tree, and the quick commands stay quick."""

from __future__ import annotations

import importlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT, hit_document, write_plan

HEAVY = ("prefect", "numba", "distributed", "dask", "scipy", "pandas", "pyarrow", "xarray", "matplotlib")
NAMES_MODULES = """
import sys
from flows.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
"""


def call_naming_modules(*arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and the packages it had imported by its end."""
    done = subprocess.run(
        [sys.executable, "-c", NAMES_MODULES, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("package", ["kernels", "pipeline", "flows"])
def test_layout__packages_are_this_repositorys(package: str) -> None:
    assert Path(str(importlib.import_module(package).__file__)).parent == ROOT / package


@pytest.mark.parametrize("command", [["check"], ["schema"], ["--help"]])
def test_layout__quick_commands_import_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    plan = write_plan(tmp_path, hit_document())
    printed, imported = call_naming_modules(*command, *([str(plan)] if command == ["check"] else []))
    assert printed
    assert imported.isdisjoint(HEAVY)
    assert "typer" in imported


def test_layout__check_of_the_shipped_desk_answers_within_a_second() -> None:
    spent = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _, imported = call_naming_modules("check", str(ROOT / "examples" / "desk.yaml"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert imported.isdisjoint(HEAVY)
    assert min(spent) < 1.0, f"{min(spent):.2f} s of CPU"
