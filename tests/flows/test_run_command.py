"""`seawall run` as a whole: in Prefect's flow and beside it, interrupted, with Prefect out of reach."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import xarray as xr

from flows import server
from flows.server import PrefectUnreachableError, open_prefect
from pipeline.ledger import Ledger
from pipeline.plan import plan_from_document
from pipeline.run import create_run, name_run, run
from pipeline.store import open_store, run_key
from tests.runs import (
    LONG,
    assert_same_counts,
    await_blocks,
    call,
    hit_document,
    ledger_times,
    start,
    write_plan,
)
from tests.servers import find_free_ports

Environment = dict[str, str]


def children_left(environment: Environment) -> list[psutil.Process]:
    """Processes of the tests' home that serve Prefect."""
    left = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("HOME") == environment["HOME"]
            if mine and "flows.server" in process.cmdline():
                left.append(process)
        except psutil.Error:
            continue
    return left


def interrupt(store: Path, *options: str, environment: Environment) -> None:
    """Ctrl-C in the middle of a long run: code 130 at once, what is kept is said, nothing else."""
    path = write_plan(store.parent, hit_document(LONG, limit=0.001))
    process = start("run", path, "--store", store, *options, environment=environment)
    await_blocks(store, process)
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert time.monotonic() - begun < 10
    assert printed == ""
    assert "Traceback" not in said
    assert "Error" not in said
    (last,) = [line for line in said.splitlines() if "Interrupted" in line]
    assert f"of {LONG:,} paths are kept" in last
    kept = int(last.split()[1].replace(",", ""))
    assert 0 < kept < LONG
    assert len(ledger_times(store)) >= kept * 32 // LONG
    assert not list(store.glob("runs/*/manifest.json"))


def assert_completes(store: Path, *options: str, environment: Environment) -> None:
    """The same command goes on where the first one was interrupted, and its limit is breached."""
    kept = ledger_times(store)
    document = hit_document(LONG, limit=0.001)
    path = write_plan(store.parent, document)
    done = call("run", path, "--store", store, "--json", *options, environment=environment)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "out of reach" not in done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "done"
    assert result["breaches"]
    assert kept.items() <= ledger_times(store).items()
    expected = run(plan_from_document(document), store.parent / "clean")
    assert_same_counts(xr.open_zarr(result["cube"]).load(), expected)


def test_run_plan__interrupted_without_the_flow_goes_on(tmp_path: Path, home: Environment) -> None:
    interrupt(tmp_path / "store", "--no-flow", environment=home)
    assert_completes(tmp_path / "store", "--no-flow", environment=home)


def test_run_plan__interrupted_with_worker_processes_goes_on(tmp_path: Path, home: Environment) -> None:
    interrupt(tmp_path / "store", "--no-flow", "--cluster", "processes", environment=home)
    assert_completes(tmp_path / "store", "--no-flow", environment=home)


def test_run_plan__interrupted_in_the_flow_goes_on(tmp_path: Path, home: Environment) -> None:
    interrupt(tmp_path / "store", environment=home)
    assert children_left(home) == []
    assert_completes(tmp_path / "store", environment=home)
    assert children_left(home) == []


def test_run_plan__failure_in_the_flow_is_one_message(tmp_path: Path, home: Environment) -> None:
    document = hit_document()
    path = write_plan(tmp_path, document)
    store = open_store(tmp_path / "store")
    named = name_run(plan_from_document(document), store)
    create_run(named)
    ledger = Ledger(store, named.run_id, named.plan)
    for block in ledger.blocks:  # vouched for, but never counted
        store.create(run_key(named.run_id, "ledger", f"{block.key}.json"), b'{"sha256": "of something else"}')
    done = call("run", path, "--store", store.root, "--json", environment=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert "out of reach" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("seawall: ")]
    assert f"block 000000-000000 of run {named.run_id} is damaged" in line


def assert_falls_back(tmp_path: Path, environment: Environment, reason: str) -> None:
    """One line says that Prefect is not there; the run is done all the same."""
    path = write_plan(tmp_path, hit_document(limit=0.001))
    begun = time.monotonic()
    done = call("run", path, "--store", tmp_path / "store", "--json", environment=environment)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "Prefect" in line]
    assert line.startswith("Prefect is out of reach, so the run goes on without it: ")
    assert reason in line
    assert len(done.stderr.splitlines()) < 60
    assert time.monotonic() - begun < 60


def test_run_plan__without_a_prefect_server_goes_on(tmp_path: Path, home: Environment) -> None:
    (port,) = find_free_ports(1)
    url = f"http://127.0.0.1:{port}/api"
    assert_falls_back(tmp_path, {**home, "PREFECT_API_URL": url}, url)


def test_run_plan__prefect_that_can_not_start_goes_on(tmp_path: Path, home: Environment) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_text("this is no database, however long one looks at it")
    assert_falls_back(
        tmp_path, {**home, "PREFECT_HOME": str(tmp_path / "prefect")}, "its server ended with code"
    )
    assert children_left(home) == []


@contextmanager
def serve_healthy_only(status: int) -> Iterator[str]:
    """An API that says it is well, and answers everything else with a status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.endswith("/health") else status)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"true")

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}/api"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


@pytest.mark.parametrize("status", [404, 500])
def test_run_plan__prefect_that_fails_on_the_way_goes_on(
    tmp_path: Path, home: Environment, status: int
) -> None:
    with serve_healthy_only(status) as url:
        assert_falls_back(tmp_path, {**home, "PREFECT_API_URL": url}, str(status) if status == 500 else "")


def test_open_prefect__leaves_the_environments_server_alone(
    bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "XDG_DATA_HOME": str(tmp_path)})
    monkeypatch.setitem(os.environ, "PREFECT_API_URL", "http://prefect:4200/api")
    monkeypatch.setattr(server.subprocess, "Popen", None)
    with open_prefect():
        assert os.environ["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert os.environ["PREFECT_API_URL"] == "http://prefect:4200/api"


def test_open_prefect__gives_up_a_server_that_does_not_answer(
    bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "XDG_DATA_HOME": str(tmp_path)})
    monkeypatch.setattr(server, "LONGEST_START_S", 0.2)
    with (
        pytest.raises(PrefectUnreachableError, match="did not start within 0 s"),
        open_prefect() as ready,
    ):
        ready()
    assert "PREFECT_API_URL" not in os.environ


def test_open_prefect__server_ends_with_its_owner(home: Environment, tmp_path: Path) -> None:
    path = write_plan(tmp_path, hit_document(LONG))
    process = start("run", path, "--store", tmp_path / "store", environment=home)
    await_blocks(tmp_path / "store", process)
    assert len(children_left(home)) == 1
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while children_left(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children_left(home) == []
