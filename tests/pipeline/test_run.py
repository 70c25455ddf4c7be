from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr
import zarr

from pipeline import run as run_module
from pipeline.errors import RunError, StoreError
from pipeline.ledger import Ledger
from pipeline.plan import Plan, plan_from_document
from pipeline.run import create_run, load_cube, name_run, read_plan, run, simulate_run, write_report
from pipeline.store import Store, list_runs, open_store
from tests.pipeline.conftest import BUCKET
from tests.pipeline.documents import tiered_document
from tests.runs import (
    COUNTS,
    LONG,
    ROOT,
    assert_same_counts,
    await_blocks,
    call,
    hit_document,
    ledger_times,
    manifest,
    serve_dask,
    start,
    write_plan,
)
from tests.servers import CREDENTIALS

IN_PLAIN_XARRAY = """
import sys, json, xarray
cube = xarray.open_zarr(sys.argv[1])
print(json.dumps([int(cube.liquidations.sum()), cube.attrs["run_id"], sorted(map(str, cube.dims))]))
ours = [name for name in sys.modules if name.split(".")[0] in ("pipeline", "flows", "kernels")]
assert not ours, ours
"""


class KilledError(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_from_document(hit_document())


@pytest.fixture(scope="module")
def cube(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The small plan's cube, by threads, at the usual block size."""
    return run(plan, tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset, dict[str, Any]]:
    """A plan of some seconds: its file, the cube of an undisturbed run, and that run's manifest."""
    folder = tmp_path_factory.mktemp("long")
    path = write_plan(folder, hit_document(LONG))
    return path, run(plan_from_document(hit_document(LONG)), folder / "store"), manifest(folder / "store")


def counted(cube: xr.Dataset) -> list[np.ndarray[Any, Any]]:
    return [cube[name].to_numpy() for name in COUNTS]


def test_provenance__hash_of_every_venue(tmp_path: Path) -> None:
    hashes = set()
    for fee in (0.0005, 0.0004):
        document = tiered_document()
        document["venues"]["bracketed"]["taker_fee"] = fee
        named = name_run(plan_from_document(document), open_store(tmp_path))
        create_run(named)
        hashes.add(run_module._provenance(named).venue_hash)
    assert len(hashes) == 2


def assert_identical(cube: xr.Dataset, expected: xr.Dataset) -> None:
    """As `assert_same_counts`, and of the same run."""
    assert_same_counts(cube, expected)
    assert cube.attrs["run_id"] == expected.attrs["run_id"]


def test_run__the_plan_is_one_that_hits(cube: xr.Dataset) -> None:
    hits = cube.liquidations.sel(account="directional").isel(horizon=2)
    assert (hits.sel(leverage=2) > 20).all()
    assert 0 < int(hits.sel(leverage=1, scenario="baseline")) < 2_048
    assert int(cube.joint_liquidations.max()) > 0
    assert int(cube.liquidatable_now.sum()) > 0


@pytest.mark.parametrize("batch_paths", [64, 640, 1_000])
def test_run__is_the_same_at_any_block_size(
    plan: Plan, cube: xr.Dataset, batch_paths: int, tmp_path: Path
) -> None:
    assert_identical(run(plan, tmp_path, batch_paths=batch_paths), cube)


def test_run__is_the_same_by_processes(plan: Plan, cube: xr.Dataset, tmp_path: Path) -> None:
    assert_identical(run(plan, tmp_path, cluster="processes"), cube)


@pytest.mark.parametrize("workers", [1, 2])
def test_run__is_the_same_on_a_cluster_elsewhere(
    plan: Plan, cube: xr.Dataset, workers: int, tmp_path: Path
) -> None:
    with serve_dask(workers) as (address, _):
        assert_identical(run(plan, tmp_path, cluster=address), cube)


def test_run__is_the_same_in_a_fresh_interpreter(cube: xr.Dataset, tmp_path: Path) -> None:
    path = write_plan(tmp_path, hit_document())
    done = call("run", path, "--store", tmp_path / "store", "--no-flow", "--json")
    assert done.returncode == 0, done.stderr
    assert_identical(xr.open_zarr(json.loads(done.stdout)["cube"]).load(), cube)


def test_run__again_computes_nothing(
    plan: Plan, cube: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(plan, tmp_path)
    monkeypatch.setattr(run_module, "simulate_run", None)
    second = run(plan, tmp_path)
    xr.testing.assert_identical(first, second)
    assert_identical(second, cube)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"limits": []}, True),
        ({"simulation": {"seed": 8}}, False),
        ({"simulation": {"paths": 2_049}}, False),
        ({"simulation": {"monitoring": "close"}}, False),
        ({"prices": {"BTC": 61_251}}, False),
        ({"name": "other"}, False),
    ],
)
def test_name_run__by_all_that_counts(
    plan: Plan, changed: dict[str, Any], same: bool, tmp_path: Path
) -> None:
    document = hit_document()
    for key, part in changed.items():
        document[key] = {**document[key], **part} if isinstance(part, dict) else part
    store = open_store(tmp_path)
    other = name_run(plan_from_document(document), store)
    assert (other.run_id == name_run(plan, store).run_id) is same
    assert len(other.run_id) == 16


def test_name_run__changes_with_the_code(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    before = name_run(plan, store).run_id
    monkeypatch.setattr(run_module, "hash_numerics", lambda: "other code")
    assert name_run(plan, store).run_id != before


def test_load_cube__of_an_unfinished_run_is_refused(plan: Plan, tmp_path: Path) -> None:
    named = name_run(plan, open_store(tmp_path))
    with pytest.raises(StoreError, match=r"got: +none"):
        load_cube(named)
    create_run(named)
    with pytest.raises(StoreError, match="not finished"):
        load_cube(named)


def test_read_plan__by_the_beginning_of_its_id(plan: Plan, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(StoreError, match="`seawall runs` lists"):
        read_plan(store, "a")
    named = name_run(plan, store)
    create_run(named)
    found, read = read_plan(store, named.run_id[:5])
    assert found == named.run_id
    assert read == plan.model_copy(update={"limits": ()})
    body = (tmp_path / "runs" / named.run_id / "plan.json").read_bytes()
    for name in ("abcd1", "abcd2"):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "plan.json").write_bytes(body)
    with pytest.raises(StoreError, match="which 2 begin with"):
        read_plan(store, "abcd")
    with pytest.raises(StoreError, match="did you mean `abcd2`"):
        read_plan(store, "abdc2")
    for empty in ("", "zzzz"):
        with pytest.raises(StoreError, match="the id of a run in it"):
            read_plan(store, empty)


def test_run__opens_in_plain_xarray_without_a_warning(plan: Plan, tmp_path: Path) -> None:
    found = run(plan, tmp_path)
    named = name_run(plan, open_store(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_PLAIN_XARRAY, named.cube],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    total, run_id, dims = json.loads(done.stdout)
    assert total == int(found.liquidations.sum())
    assert run_id == named.run_id
    assert dims == ["account", "account_other", "horizon", "leverage", "quantity", "scenario"]


def test_simulate_run__killed_while_publishing_is_published_next_time(
    plan: Plan, cube: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    create = Store.create

    def die_at_manifest(self: Store, key: str, body: bytes) -> bool:
        if key.endswith("manifest.json"):
            raise KilledError
        return create(self, key, body)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "create", die_at_manifest)
        with pytest.raises(KilledError):
            run(plan, store)
    assert list_runs(store) == []
    kept = ledger_times(tmp_path)
    assert len(kept) == 32
    (half,) = tmp_path.glob("runs/*/cube.zarr")
    (half / "zarr.json").unlink()
    next(path for path in sorted((half / "liquidations").rglob("*")) if path.is_file()).unlink()
    assert_identical(run(plan, store), cube)
    assert ledger_times(tmp_path) == kept
    (found,) = list_runs(store)
    assert found["run_id"] == cube.attrs["run_id"]
    pointer = json.loads((tmp_path / "asof" / "2026-05-15" / "small.json").read_text())
    assert pointer == {"run_id": cube.attrs["run_id"]}


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_simulate_run__damaged_chunk_is_named_and_not_published(
    plan: Plan, cube: xr.Dataset, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = name_run(plan, open_store(tmp_path))
    create_run(named)

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "build_cube", die)
        with pytest.raises(KilledError):
            simulate_run(named)
    group = zarr.open_group(tmp_path / "runs" / named.run_id / "tallies.zarr")
    if damage == "changed":
        hits = group["hits"]
        assert isinstance(hits, zarr.Array)
        block = np.asarray(hits[5])
        block.flat[0] += 1
        hits[5] = block
    else:
        (chunk,) = (p for p in Path(str(group.store_path.store.root)).rglob("joint/c/5/*/*/*/*/*"))
        chunk.unlink()
    with pytest.raises(RunError, match=f"block 000005-000000 of run {named.run_id} is damaged"):
        simulate_run(named)
    assert not named.published
    (tmp_path / "runs" / named.run_id / "ledger" / "000005-000000.json").unlink()
    assert simulate_run(named)
    assert_identical(load_cube(named), cube)


def test_publish__a_late_owner_harms_nothing(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner frozen while another one published wakes up, and is killed in the middle of its writing."""
    expected = run(plan, tmp_path)
    named = name_run(plan, open_store(tmp_path))
    writes = 0

    def write(self: Store, key: str, body: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes > 5:
            raise RunError("killed")
        whole(self, key, body)

    whole = Store.write
    monkeypatch.setattr(Store, "write", write)
    with pytest.raises(RunError, match="killed"):
        run_module._publish(named, Ledger(named.store, named.run_id, plan))
    xr.testing.assert_identical(load_cube(named), expected)


def test_write_report__points_to_the_run_again(plan: Plan, tmp_path: Path) -> None:
    cube = run(plan, tmp_path)
    (pointer,) = (tmp_path / "asof").rglob("*.json")
    pointer.unlink()
    write_report(name_run(plan, open_store(tmp_path)), cube, ())
    assert json.loads(pointer.read_text())["run_id"] == cube.attrs["run_id"]


def test_simulate_run__of_a_published_run_does_nothing(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path)
    assert simulate_run(name_run(plan, open_store(tmp_path))) is False


def test_simulate_run__without_its_plan_says_so(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"plan\.json is gone"):
        simulate_run(name_run(plan, open_store(tmp_path)))


def assert_resumed(store: Path, long_run: tuple[Path, xr.Dataset, dict[str, Any]], *options: str) -> None:
    """The same command finishes what was begun, repeats nothing, and gives what an undisturbed run gives."""
    path, expected, clean = long_run
    kept = ledger_times(store)
    assert 0 < len(kept) < 32
    assert not list(store.glob("runs/*/manifest.json"))
    done = call("run", path, "--store", store, "--no-flow", "--json", *options)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "done"
    assert_identical(xr.open_zarr(result["cube"]).load(), expected)
    after = ledger_times(store)
    assert len(after) == 32
    assert kept.items() <= after.items()
    assert manifest(store)["tallies_sha256"] == clean["tallies_sha256"]


def test_run__goes_on_after_its_coordinator_is_killed(
    long_run: tuple[Path, xr.Dataset, dict[str, Any]], tmp_path: Path
) -> None:
    for blocks in (2, 8):
        process = start("run", long_run[0], "--store", tmp_path, "--no-flow")
        await_blocks(tmp_path, process, blocks)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert_resumed(tmp_path, long_run)


def test_run__goes_on_after_a_worker_is_killed(
    long_run: tuple[Path, xr.Dataset, dict[str, Any]], tmp_path: Path
) -> None:
    path, expected, clean = long_run
    process = start("run", path, "--store", tmp_path, "--no-flow", "--json", "--cluster", "processes")
    await_blocks(tmp_path, process, 1)
    children = psutil.Process(process.pid).children(recursive=True)
    worker = next(child for child in children if "spawn_main" in " ".join(child.cmdline()))
    worker.kill()
    kept = ledger_times(tmp_path)
    assert len(kept) < 32
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert_identical(xr.open_zarr(json.loads(printed)["cube"]).load(), expected)
    assert kept.items() <= ledger_times(tmp_path).items()
    assert manifest(tmp_path)["tallies_sha256"] == clean["tallies_sha256"]


def test_run__two_coordinators_share_one_run(
    long_run: tuple[Path, xr.Dataset, dict[str, Any]], tmp_path: Path
) -> None:
    path, expected, clean = long_run
    both = [start("run", path, "--store", tmp_path, "--no-flow", "--json") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    results = [json.loads(printed) for printed, _ in ended]
    assert sorted(result["status"] for result in results) == ["done", "reused"]
    assert any("another process works on this run" in said for _, said in ended)
    assert results[0]["cube"] == results[1]["cube"]
    assert_identical(xr.open_zarr(results[0]["cube"]).load(), expected)
    assert manifest(tmp_path)["tallies_sha256"] == clean["tallies_sha256"]


def test_run__on_s3(
    plan: Plan, cube: xr.Dataset, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": moto_endpoint}.items():
        monkeypatch.setenv(name, value)
    address = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    assert_identical(run(plan, address), cube)
    named = name_run(plan, open_store(address))
    assert named.cube == f"{address}/runs/{named.run_id}/cube.zarr"
    done = subprocess.run(
        [sys.executable, "-c", IN_PLAIN_XARRAY, named.cube],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[:2] == [int(cube.liquidations.sum()), named.run_id]


@pytest.mark.slow
def test_run__memory_does_not_grow_with_paths(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from flows.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for paths in (100_000, 1_000_000):
        document = hit_document(paths)
        document["scenarios"] = ["baseline"]
        path = write_plan(tmp_path, document)
        arguments = ["run", str(path), "--store", str(tmp_path / "store"), "--no-flow"]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        unit = 1 if sys.platform == "darwin" else 1_024
        peaks.append(int(done.stdout.splitlines()[-1]) * unit)
    assert peaks[1] - peaks[0] < max(0.05 * peaks[0], 20 * 2**20), peaks
