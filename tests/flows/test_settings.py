from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.settings import prepare_prefect
from tests.runs import ROOT

NAMES = (
    "PREFECT_HOME",
    "PREFECT_SERVER_ANALYTICS_ENABLED",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS",
    "PREFECT_LOGGING_LEVEL",
    "DO_NOT_TRACK",
)


@pytest.fixture(autouse=True)
def _restored(bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever a test sets is taken back at its end."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setitem(os.environ, "XDG_DATA_HOME", str(tmp_path))


def test_prepare_prefect__sets_a_home_of_our_own_and_no_telemetry(tmp_path: Path) -> None:
    prepare_prefect()
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "seawall" / "prefect")
    assert (tmp_path / "seawall" / "prefect").is_dir()
    assert os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert int(os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"]) >= 60


def test_prepare_prefect__leaves_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setitem(os.environ, name, "mine")
    prepare_prefect()
    assert {os.environ[name] for name in NAMES} == {"mine"}


def test_prepare_prefect__finds_a_place_where_the_home_can_not_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setitem(os.environ, "XDG_DATA_HOME", str(tmp_path / "file"))
    prepare_prefect()
    assert Path(os.environ["PREFECT_HOME"]).is_dir()
    assert str(tmp_path) not in os.environ["PREFECT_HOME"]


def test_prepare_prefect__comes_before_prefect(home: dict[str, str]) -> None:
    code = "import flows.stress, prefect.settings as s; print(s.PREFECT_HOME.value())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=home, capture_output=True, text=True, check=True
    )
    expected = Path(home["HOME"]) / ".local" / "share" / "seawall" / "prefect"
    assert Path(done.stdout.strip()) == expected
