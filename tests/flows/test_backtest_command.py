"""`seawall backtest` as a person runs it, on a made-up market."""

import json
from dataclasses import replace

import pytest

from flows.cli import main
from tests.pipeline.backtest.markets import draw_bars, write_bars


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_bars(draw_bars(24 * 230, 3), tmp_path_factory.mktemp("history") / "data"))


def run(capsys, *arguments):
    code = 0
    try:
        main(["backtest", *arguments])
    except SystemExit as end:
        code = end.code or 0
    return code, capsys.readouterr()


def test_backtest__json_is_a_list_of_cells(folder, capsys, tmp_path):
    page = tmp_path / "page.html"
    dates = ("--fit-until", "2030-07-20", "--judge-from", "2030-07-25T00:00:00Z")
    code, said = run(capsys, "--data", folder, *dates, "--paths", "256", "--json", "--report", str(page))
    assert code == 0
    cells = json.loads(said.out)
    assert {cell["book"] for cell in cells} == {"long-pair", "hedged-pair"}
    assert {cell["leverage"] for cell in cells} == {3.0, 5.0, 10.0, 15.0, 20.0}
    assert {cell["horizon"] for cell in cells} == {"4h", "1d", "3d", "7d"}
    for cell in cells:
        assert isinstance(cell["n"], int)
        assert cell["n"] > 0
        for key in ("realised", "forecast", "forecast_low", "forecast_high", "gaussian", "bootstrap"):
            assert 0.0 <= cell[key] <= 1.0
        assert cell["forecast_low"] <= cell["forecast_high"]
    assert "note: long-majors: not judged, without SOL in the data" in " ".join(said.err.split())
    assert "fit 1 of 1" in said.err
    assert "<svg" in page.read_text()


def test_backtest__tables_fit_in_100_columns(folder, capsys):
    code, said = run(capsys, "--data", folder, "--fit-until", "2030-08-10", "--paths", "64")
    assert code == 0
    assert max(map(len, said.out.splitlines())) <= 100
    for words in ("Log score", "Brier", "Reliability", "hedged-pair", "not judged"):
        assert words in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fit-until", "soon"), "--fit-until"),
        (("--fit-until", "2030-08-01", "--judge-from", "2030-07-01"), "--judge-from"),
        (("--judge-from", "2035-01-01"), "--judge-from"),
        (("--paths", "0"), "--paths"),
    ],
)
def test_backtest__bad_input_is_one_message(folder, capsys, arguments, words):
    code, said = run(capsys, "--data", folder, *arguments)
    assert code == 2
    assert words in said.err
    assert "fix:" in said.err
    assert said.out == ""


def test_backtest__a_folder_without_any_book_gives_an_empty_list(capsys, tmp_path):
    bars = replace(draw_bars(24 * 60, 3), assets=("SOL", "LINK"))
    folder, page = str(write_bars(bars, tmp_path / "data")), tmp_path / "page.html"
    code, said = run(capsys, "--data", folder, "--fit-until", "2030-02-20", "--json", "--report", str(page))
    assert code == 0
    assert json.loads(said.out) == []
    assert "hedged-pair: not judged, without BTC, ETH in the data" in " ".join(said.err.split())
    code, said = run(capsys, "--data", folder, "--fit-until", "2030-02-20")
    assert code == 0
    assert "0 of 0 judged cells" in " ".join(said.out.split())


def test_backtest__a_folder_without_history_is_refused(capsys, tmp_path):
    code, said = run(capsys, "--data", str(tmp_path))
    assert code == 2
    assert "perp_1h.parquet" in said.err
