from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from flows import cli
from pipeline import cluster
from pipeline.errors import RunError
from pipeline.plan import json_schema, load_plan
from tests.pipeline.documents import small_document, two_sided_jumps
from tests.runs import ROOT, call, hit_document, write_plan
from tests.servers import find_free_ports


class Called:
    """A command called in this process."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def seawall(capsys: pytest.CaptureFixture[str]) -> Any:
    def call_here(*arguments: object) -> Called:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Called(int(ended.value.code or 0), printed.out, printed.err)

    return call_here


def result_of(called: Called) -> dict[str, Any]:
    """The one JSON object on stdout."""
    assert called.out.count("\n") == 1, called.out
    found: dict[str, Any] = json.loads(called.out)
    return found


def test_run__json_is_one_object_and_words_go_to_stderr(seawall: Any, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, hit_document())
    called = seawall("run", plan, "--store", tmp_path / "store", "--no-flow", "--json")
    assert called.code == 0
    result = result_of(called)
    assert set(result) >= {"run_id", "cube", "report", "status", "breaches"}
    assert (result["status"], result["breaches"]) == ("done", [])
    assert Path(result["report"]).is_file()
    opened = xr.open_zarr(result["cube"])
    assert opened.attrs["run_id"] == result["run_id"]
    assert int(opened.paths.max()) == 2_048
    assert "2,048 of 2,048 paths" in called.err
    assert "P(liquidation)" in called.err


def test_run__without_json_prints_the_verdict_on_stdout(seawall: Any, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, hit_document())
    called = seawall("run", plan, "--store", tmp_path / "store", "--no-flow")
    assert called.code == 0
    assert "P(liquidation) in the baseline" in called.out
    assert str(tmp_path / "store" / "runs") in called.out
    assert "P(liquidation)" not in called.err


def test_run__breach_is_code_3_on_a_reused_run_too(seawall: Any, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, hit_document(limit=0.001))
    first = seawall("run", plan, "--store", tmp_path / "store", "--no-flow", "--json")
    again = seawall("run", plan, "--store", tmp_path / "store", "--no-flow", "--json")
    assert (first.code, again.code) == (3, 3)
    done, reused = result_of(first), result_of(again)
    assert (done.pop("status"), reused.pop("status")) == ("done", "reused")
    assert done == reused
    keys = ["account", "metric", "scenario", "horizon", "leverage", "value", "low", "high", "max"]
    assert all(list(breach) == keys for breach in done["breaches"])
    assert {breach["account"] for breach in done["breaches"]} == {"directional"}


def test_run__changed_limits_reuse_the_run_and_judge_anew(seawall: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    kept = seawall("run", write_plan(tmp_path, hit_document()), "--store", store, "--no-flow", "--json")
    plan = write_plan(tmp_path, hit_document(limit=0.001))
    judged = seawall("run", plan, "--store", store, "--no-flow", "--json")
    assert (kept.code, judged.code) == (0, 3)
    assert result_of(judged)["status"] == "reused"
    assert result_of(judged)["run_id"] == result_of(kept)["run_id"]
    assert "BREACH" in Path(result_of(judged)["report"]).read_text()


def test_run__again_is_quick_and_imports_no_prefect(seawall: Any, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, hit_document())
    store = tmp_path / "store"
    seawall("run", plan, "--store", store, "--no-flow")
    code = (
        "import resource, sys\nfrom flows.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print('prefect' in sys.modules, 'distributed' in sys.modules, used.ru_utime + used.ru_stime)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(plan), "--store", str(store)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Found done: nothing was computed." in done.stdout
    prefect, distributed, seconds = done.stdout.splitlines()[-1].split()
    assert (prefect, distributed) == ("False", "False")
    assert float(seconds) < 4.0  # of CPU, and a busy machine's


def test_run__bad_plan_is_told_in_full_and_nothing_is_written(seawall: Any, tmp_path: Path) -> None:
    document = hit_document()
    document["simulation"]["paths"] = 0
    document["model"]["regimes"]["calm"]["volatility"]["BTC"] = -1
    store = tmp_path / "store"
    called = seawall("run", write_plan(tmp_path, document), "--store", store, "--json")
    assert (called.code, called.out) == (2, "")
    assert "2 problems" in called.err
    assert "simulation.paths" in called.err
    assert "regimes.calm.volatility.BTC" in called.err
    assert not store.exists()


def test_run__missing_plan(seawall: Any, tmp_path: Path) -> None:
    called = seawall("run", tmp_path / "none.yaml", "--store", tmp_path / "store")
    assert (called.code, called.out) == (2, "")
    assert "none.yaml" in called.err
    assert not (tmp_path / "store").exists()


def test_run__unknown_cluster_is_told_before_anything_is_written(seawall: Any, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, hit_document())
    called = seawall("run", plan, "--store", tmp_path / "store", "--cluster", "kubernetes")
    assert called.code == 2
    assert "--cluster" in called.err
    assert "kubernetes" in called.err
    assert not (tmp_path / "store").exists()


def test_run__dead_cluster_is_told(seawall: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    plan = write_plan(tmp_path, hit_document())
    (port,) = find_free_ports(1)
    address = f"tcp://127.0.0.1:{port}"
    called = seawall("run", plan, "--store", tmp_path / "store", "--no-flow", "--cluster", address)
    assert called.code == 2
    assert f"got:      {address}" in called.err
    assert not list((tmp_path / "store").glob("runs/*/ledger"))


@pytest.mark.parametrize("options", [[], ["--no-flow"]])
def test_run__store_that_can_not_be_written_is_told_before_simulating(
    seawall: Any, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    plan = write_plan(tmp_path, hit_document())
    called = seawall("run", plan, "--store", tmp_path / "file" / "store", *options)
    assert (called.code, called.out) == (2, "")
    assert "a folder or bucket that can be written" in called.err
    assert "paths" not in called.err
    assert (tmp_path / "file").read_text() == "in the way"


def test_run__store_of_another_kind_is_refused(seawall: Any, tmp_path: Path) -> None:
    called = seawall("run", write_plan(tmp_path, hit_document()), "--store", "ftp://example.org/runs")
    assert called.code == 2
    assert "s3://bucket/prefix" in called.err


def test_main__failure_is_code_1_and_one_line(seawall: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise RunError("block 3 failed")

    monkeypatch.setattr("flows.run_command.run_plan", fail)
    called = seawall("run", "any.yaml")
    assert (called.code, called.out, called.err) == (1, "", "seawall: block 3 failed\n")


def test_main__unknown_option_is_code_2(seawall: Any) -> None:
    called = seawall("run", "any.yaml", "--no-such-option")
    assert called.code == 2
    assert "--no-such-option" in called.err


def test_main__interrupted_anywhere_is_code_130(seawall: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.run_command.run_plan", interrupt)
    assert seawall("run", "any.yaml").code == 130


@pytest.mark.parametrize("plan", ["desk.yaml", "directional.yaml", "three-strategies.yaml"])
def test_check__prints_a_plan_that_loads_back_equal(seawall: Any, plan: str, tmp_path: Path) -> None:
    shipped = ROOT / "examples" / plan
    if not shipped.exists():
        shipped = ROOT / "examples" / "desk.yaml"
    called = seawall("check", shipped)
    assert called.code == 0
    again = tmp_path / "again.yaml"
    again.write_text(called.out)
    assert load_plan(again) == load_plan(shipped)
    assert yaml.safe_load(called.out)["model"]["regimes"]


def test_check__warns_on_stderr_and_refuses_on_stderr(seawall: Any, tmp_path: Path) -> None:
    called = seawall("check", write_plan(tmp_path, hit_document()))
    assert called.code == 0
    assert "warning: funding is not modelled in regime crisis" in called.err
    assert "warning" not in called.out
    document = hit_document() | {"scenarios": ["base-line"]}
    refused = seawall("check", write_plan(tmp_path, document))
    assert (refused.code, refused.out) == (2, "")
    assert "base-line" in refused.err


@pytest.mark.parametrize(
    ("monitoring", "walk"),
    [("close", "the fast walk"), ("bridge", "the general walk (watched between step ends)")],
)
def test_check__says_which_walk_a_run_takes(seawall: Any, tmp_path: Path, monitoring: str, walk: str) -> None:
    document = small_document()
    document["simulation"]["monitoring"] = monitoring
    called = seawall("check", write_plan(tmp_path, document))
    assert f"\n# paths take {walk}: docs/fast-walk.md\n" in called.out


def test_check__prints_totals_with_jumps_as_comments(seawall: Any, tmp_path: Path) -> None:
    document = small_document()
    document["model"]["regimes"]["crisis"]["jumps"] = two_sided_jumps()
    called = seawall("check", write_plan(tmp_path, document))
    assert called.code == 0
    line, _ = (line for line in called.out.splitlines() if line.startswith("#"))
    assert line.startswith("# regime crisis, drift and volatility a year with jumps: BTC -0.312 and 1.319")
    assert yaml.safe_load(called.out)["model"]["regimes"]["crisis"]["jumps"]["law"] == "double_exponential"


def test_schema__is_a_json_schema_that_takes_a_plan(seawall: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    called = seawall("schema")
    schema = json.loads(called.out)
    assert schema == json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(hit_document())
    document = small_document()
    validator.validate(document)
    jumps = two_sided_jumps()
    document["model"]["regimes"]["crisis"]["jumps"] = jumps
    validator.validate(document)
    del jumps["up_mean"]
    assert not validator.is_valid(document)
    assert not validator.is_valid(hit_document() | {"simulation": {"paths": "many"}})


def test_runs__lists_what_is_finished(seawall: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "no finished runs" in seawall("runs", "--store", store).out
    assert json.loads(seawall("runs", "--store", store, "--json").out) == []
    assert not store.exists()
    plan = write_plan(tmp_path, hit_document(100))
    done = result_of(seawall("run", plan, "--store", store, "--no-flow", "--json"))
    (store / "runs" / "unfinished").mkdir()
    listed = seawall("runs", "--store", store)
    assert listed.code == 0
    assert done["run_id"] in listed.out
    assert "unfinished" not in listed.out
    (manifest,) = json.loads(seawall("runs", "--store", store, "--json").out)
    assert (manifest["run_id"], manifest["paths"], manifest["name"]) == (done["run_id"], 100, "small")


def write_history(path: Path, bars: int = 1_500) -> None:
    """Hourly bars of two assets, calm and wild by turns."""
    import pandas as pd

    random = np.random.default_rng(5)
    times = pd.date_range("2025-01-01", periods=bars, freq="h", tz="UTC")
    wild = np.where(np.arange(bars) // 150 % 3 == 2, 4.0, 1.0)
    common = random.standard_normal(bars)
    frames = []
    for asset, price in (("BTC", 60_000.0), ("ETH", 3_000.0)):
        own = random.standard_normal(bars)
        close = price * np.exp(np.cumsum(0.004 * wild * (0.8 * common + 0.6 * own)))
        frames.append(
            pd.DataFrame(
                {
                    "time": times,
                    "asset": asset,
                    "open": np.append(price, close[:-1]),
                    "high": np.maximum(close, np.append(price, close[:-1])),
                    "low": np.minimum(close, np.append(price, close[:-1])),
                    "close": close,
                    "volume": 1.0,
                }
            )
        )
    pd.concat(frames).to_parquet(path)


def test_calibrate__writes_a_model_that_a_plan_runs_on(seawall: Any, tmp_path: Path) -> None:
    history, model = tmp_path / "bars.parquet", tmp_path / "fitted.yaml"
    write_history(history)
    called = seawall("calibrate", history, "--assets", "BTC, ETH", "--regimes", "2", "--output", model)
    assert called.code == 0, called.err
    assert f"model   {model}: 2 regimes" in " ".join(called.err.split("\n"))
    document = hit_document(100)
    document |= {"model": str(model), "scenarios": ["baseline"]}
    plan = write_plan(tmp_path, document)
    assert seawall("check", plan).code == 0
    assert seawall("run", plan, "--store", tmp_path / "store", "--no-flow").code == 0


def test_calibrate__with_draws_for_a_run_over_them(seawall: Any, tmp_path: Path) -> None:
    history, model = tmp_path / "bars.parquet", tmp_path / "fitted.yaml"
    write_history(history)
    fit = ("calibrate", history, "--assets", "BTC, ETH", "--regimes", "1", "--draws", "2", "--output", model)
    called = seawall(*fit)
    assert called.code == 0, called.err
    assert "draw 2 of 2" in called.err
    document = hit_document(200)
    document |= {"model": str(model), "scenarios": ["baseline"]}
    document["simulation"]["parameter_uncertainty"] = True
    plan = write_plan(tmp_path, document)
    called = seawall("run", plan, "--store", tmp_path / "store", "--no-flow")
    assert called.code == 0, called.err
    assert "from 2 draws of them" in " ".join(called.out.split())


def write_beside(path: Path, kind: str, bars: int = 1_500, step: str = "h") -> None:
    """Spot of the two assets, a little off their bars, or an index of one's volatility, in percent."""
    import pandas as pd

    times = pd.date_range("2025-01-01", periods=bars, freq=step, tz="UTC")
    wander = np.cos(np.arange(bars) / 40.0)
    if kind == "spot":
        history = path.with_name("history.parquet")
        write_history(history, bars)
        frame = pd.read_parquet(history)[["time", "asset", "close"]]
        frame["close"] *= np.exp(np.tile(2e-4 + 1e-3 * wander, 2))
        frame["time"] = np.tile(times, 2)
    else:
        percent = 60.0 * np.exp(0.2 * wander) * (1.0 if kind == "index" else 0.01)
        frame = pd.DataFrame({"time": times, "asset": "ETH", "close": percent})
    frame.to_parquet(path)


def test_calibrate__basis_and_implied_volatility_from_what_is_beside(seawall: Any, tmp_path: Path) -> None:
    history, model = tmp_path / "bars.parquet", tmp_path / "fitted.yaml"
    spot, index = tmp_path / "spot.parquet", tmp_path / "index.parquet"
    write_history(history)
    write_beside(spot, "spot")
    write_beside(index, "index")
    called = seawall(
        *("calibrate", history, "--assets", "BTC, ETH", "--regimes", "2", "--draws", "2"),
        *("--spot", spot, "--implied-volatility", index, "--output", model),
    )
    assert called.code == 0, called.err
    document = hit_document(200)
    document |= {"model": str(model), "scenarios": ["baseline"]}
    loaded = load_plan(write_plan(tmp_path, document)).model
    for regime in loaded.regimes.values():
        assert regime.basis is not None
        assert regime.implied_volatility is not None
        assert regime.basis.level["BTC"] == pytest.approx(-2e-4, abs=1e-3)
        # root mean square of a cosine; regimes share it
        assert regime.basis.deviation["ETH"] == pytest.approx(0.7e-3, rel=0.5)
        assert list(regime.implied_volatility.level) == ["ETH"]
        assert 0.3 < regime.implied_volatility.level["ETH"] < 1.0
    assert loaded.calibration is not None
    assert loaded.calibration["basis_days"] == {"BTC": 62.5, "ETH": 62.5}
    assert loaded.calibration["implied_volatility_days"] == {"ETH": 62.5}
    plan = write_plan(tmp_path, document)
    assert seawall("run", plan, "--store", tmp_path / "store", "--no-flow").code == 0


def test_calibrate__every_fault_of_what_is_beside_is_told_at_once(seawall: Any, tmp_path: Path) -> None:
    history, output = tmp_path / "bars.parquet", tmp_path / "fitted.yaml"
    write_history(history)
    fine = ("calibrate", history, "--assets", "BTC,ETH", "--regimes", "1", "--output", output)
    spot, index = tmp_path / "spot.parquet", tmp_path / "index.parquet"
    for kind, bars, step, told in (
        ("fraction", 1_500, "h", "in percent"),
        ("index", 100, "h", "at least 7d of history"),
        ("index", 1_500, "2h", "bars of 1h on the grid"),
    ):
        write_beside(spot, "spot", bars, "2h")
        write_beside(index, kind, bars, step)
        called = seawall(*fine, "--spot", spot, "--implied-volatility", index)
        assert (called.code, called.out) == (2, "")
        assert "2 problems" in called.err
        assert "spot prices" in called.err
        assert told in " ".join(called.err.split())
        assert not output.exists()
    called = seawall(*fine, "--spot", tmp_path / "none.parquet", "--implied-volatility", tmp_path / "no.csv")
    assert called.code == 2
    assert "none.parquet" in called.err
    assert "no.csv" in called.err
    write_beside(index, "index")
    for other in ("BTC", "SOL"):  # an index that has neither of the assets, or none of its own
        called = seawall(*fine[:3], other, *fine[4:], "--implied-volatility", index)
        assert called.code == 2
        assert f"rows of {other}" in called.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{bars}", "--assets", "BTC,DOGE"], "DOGE"),
        (["none.parquet", "--assets", "BTC"], "none.parquet"),
        (["{junk}", "--assets", "BTC"], "junk.parquet"),
        (["{bars}", "--assets", "BTC", "--start", "yesterday"], "yesterday"),
        (["{bars}", "--assets", "BTC", "--regimes", "0"], "regimes"),
        (["{bars}", "--assets", "BTC", "--draws", "1"], "draws"),
        (["{bars}", "--assets", ""], "asset"),
    ],
)
def test_calibrate__bad_input_is_told(seawall: Any, tmp_path: Path, arguments: list[str], told: str) -> None:
    bars, junk = tmp_path / "bars.parquet", tmp_path / "junk.parquet"
    write_history(bars, 400)
    junk.write_text("no parquet")
    output = tmp_path / "fitted.yaml"
    filled = [argument.format(bars=bars, junk=junk) for argument in arguments]
    called = seawall("calibrate", *filled, "--output", output)
    assert (called.code, called.out) == (2, "")
    assert told in called.err
    assert not output.exists()


def test_main__is_what_the_installed_command_calls(tmp_path: Path) -> None:
    done = call("check", tmp_path / "none.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("seawall: 1 problem")
    assert done.stdout == ""
