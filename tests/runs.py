"""Small plans under which accounts do get hit, and the `seawall` command as people and machines call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tests.pipeline.documents import small_document
from tests.servers import find_free_ports

ROOT = Path(__file__).parents[1]
COUNTS = ("liquidations", "margin_calls", "bankruptcies", "joint_liquidations", "liquidatable_now")
LONG = 500_000  # paths of the small plan: seconds, so that there is a middle to be interrupted in
PATIENCE_S = 120.0


def hit_document(paths: int = 2_048, limit: float = 1.0) -> dict[str, Any]:
    """The small plan with so much on one account that it is hit in every scenario, and one limit."""
    document = small_document()
    document["simulation"] |= {"paths": paths, "monitoring": "bridge"}
    document["accounts"][1]["positions"][0]["size"] = 4
    document["limits"] = [{"metric": "p_liquidation", "horizon": "1d", "leverage": 2, "max": limit}]
    return document


def write_plan(folder: Path, document: dict[str, Any]) -> Path:
    """The plan as a file."""
    path = folder / "plan.json"
    path.write_text(json.dumps(document))
    return path


def command(*arguments: object) -> list[str]:
    """The command line of `seawall` with these arguments, from this source tree."""
    return [sys.executable, "-m", "flows.cli", *map(str, arguments)]


def call(
    *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`seawall` called and waited for."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def start(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`seawall` started in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ledger_times(store: Path) -> dict[str, int]:
    """When each block of the one run in a store was entered in its ledger, ns since 1970."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(store.glob("runs/*/ledger/*.json"))}


def await_blocks(store: Path, process: subprocess.Popen[str], count: int = 2) -> None:
    """Returns once the ledger names so many blocks."""
    deadline = time.monotonic() + PATIENCE_S
    while len(list(store.glob("runs/*/ledger/*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"fewer than {count} blocks within {PATIENCE_S} s"
        time.sleep(0.005)


def manifest(store: Path) -> dict[str, Any]:
    """The manifest of the one run in a store."""
    (path,) = store.glob("runs/*/manifest.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def assert_same_counts(cube: xr.Dataset, expected: xr.Dataset) -> None:
    """Every count and every estimate equal, bit by bit."""
    assert set(cube.variables) == set(expected.variables)
    for name in expected.variables:
        np.testing.assert_array_equal(cube[name].to_numpy(), expected[name].to_numpy(), err_msg=str(name))


@contextmanager
def serve_dask(workers: int = 1) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and workers, each a process of its own: address, and processes."""
    (port,) = find_free_ports(1)
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    worker = ["distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for words in (scheduler, *[worker] * workers):
            process = subprocess.Popen(
                [sys.executable, "-m", *words, "--no-dashboard"],
                cwd=ROOT,
                env=dict(os.environ),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            processes.append(process)
        yield address, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
