"""`seawall scenarios`, as a person and as a program meet it."""

from __future__ import annotations

import json

import pytest

from flows import cli
from pipeline.errors import InputError
from pipeline.scenarios import SCENARIOS
from tests.test_layout import HEAVY, call_naming_modules

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def test_scenarios__lists_all_without_anything_heavy() -> None:
    printed, imported = call_naming_modules("scenarios")
    words = printed.split()
    assert [name for name in NAMES if name not in words] == []
    assert "your own price history" in " ".join(words)
    assert imported.isdisjoint(HEAVY)


def test_scenarios__json_is_one_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["scenarios", "--json"])
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == NAMES
    assert {each["name"] for each in found if each["own_history"]} == {
        name for name in NAMES if name.startswith("replay-")
    }
    assert all(each["severity"] and len(each["effects"]) == len(each["effects_in_words"]) for each in found)


def test_scenarios__one_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["scenarios", "alt-collapse"])
    told = capsys.readouterr().out
    assert "shock: at 2h, moves alts −50 %, stagger 1h" in told
    assert "source    2025-10-10: BTC" in told
    with pytest.raises(SystemExit):
        cli.main(["scenarios", "replay-march-2020"])
    told = capsys.readouterr().out
    assert "replay: mode replace, start 2020-03-12T00:00:00Z" in told
    assert "history: {prices: FILE}" in told


def test_scenarios__json_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["scenarios", "oracle-outlier", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["effects_in_words"] == ["oracle: at 1h, for 1h, multiply first 0.75"]


def test_scenarios__unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["scenarios", "flash-crush"])
    assert ended.value.code == InputError.exit_code == 2
    assert "did you mean `flash-crash`?" in capsys.readouterr().err
