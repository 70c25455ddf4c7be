from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import xarray as xr

from pipeline.errors import RunError, StoreError
from pipeline.store import Store, list_runs, open_store, run_key
from tests.pipeline.conftest import on_local, on_moto
from tests.servers import CREDENTIALS, find_free_ports


def test_create__refuses_a_second_time(store: Store) -> None:
    assert store.create("runs/a/manifest.json", b"first")
    assert not store.create("runs/a/manifest.json", b"second")
    assert store.read("runs/a/manifest.json") == b"first"


def test_create__lets_one_of_many_racers_win(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.create("runs/a/manifest.json", b"%d" % n), range(16)))
    assert sum(won) == 1
    assert store.read("runs/a/manifest.json") == b"%d" % won.index(True)


def test_write__replaces(store: Store) -> None:
    store.write("runs/a/report.html", b"first")
    store.write("runs/a/report.html", b"second")
    assert store.read("runs/a/report.html") == b"second"


def test_delete__removes_and_does_not_mind_absence(store: Store) -> None:
    store.delete("runs/a")
    store.write("runs/a", b"")
    store.delete("runs/a")
    store.delete("runs/a")
    assert store.read("runs/a") is None


def test_list__is_sorted_and_stays_in_its_folder(store: Store) -> None:
    for key in ("runs/a/ledger/b2.json", "runs/a/ledger/b1.json", "runs/ab/ledger/b1.json", "asof/x.json"):
        store.write(key, b"{}")
    assert store.list("runs/a") == ["runs/a/ledger/b1.json", "runs/a/ledger/b2.json"]
    assert store.folders("runs") == ["runs/a", "runs/ab"]


def test_read__of_an_empty_store_finds_nothing_and_makes_nothing(store: Store) -> None:
    assert store.read("runs/a/plan.json") is None
    assert store.list("runs") == store.folders("runs") == list_runs(store) == []
    assert not store.local or not Path(store.root).exists()


def test_list_runs__sees_published_runs_only(store: Store) -> None:
    store.create(run_key("b", "manifest.json"), json.dumps({"paths": 2, "run_id": "b"}).encode())
    store.create(run_key("a", "manifest.json"), json.dumps({"paths": 1, "run_id": "a"}).encode())
    store.create(run_key("unfinished", "plan.json"), b"{}")
    assert list_runs(store) == [{"paths": 1, "run_id": "a"}, {"paths": 2, "run_id": "b"}]


def test_zarr__is_read_by_others_at_its_url(store: Store, tmp_path: Path) -> None:
    cube = xr.Dataset({"liquidations": ("account", np.array([3, -1]))}, {"account": [7, 8]})
    cube.to_zarr(store.zarr(run_key("a", "cube.zarr")), mode="w-", consolidated=False)
    read = "import sys, xarray; print(int(xarray.open_zarr(sys.argv[1]).liquidations.sel(account=8)))"
    command = [sys.executable, "-c", read, store.url(run_key("a", "cube.zarr"))]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "-1\n"


def test_store__can_be_sent_to_a_worker(store: Store) -> None:
    sent = pickle.loads(pickle.dumps(store))
    sent.write("runs/a/plan.json", b"{}")
    assert store.read("runs/a/plan.json") == b"{}"


def test_check_writable__leaves_nothing(store: Store) -> None:
    store.check_writable()
    assert store.list("") == []
    store.write("kept", b"")
    store.check_writable()
    assert store.list("") == ["kept"]


def test_check_writable__leaves_no_folder(tmp_path: Path) -> None:
    open_store(tmp_path / "a" / "b").check_writable()
    assert list(tmp_path.iterdir()) == []


def test_check_writable__refuses_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"(?s)store .*/file/runs\n.*Not a directory") as caught:
        open_store(tmp_path / "file" / "runs").check_writable()
    assert caught.value.exit_code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_check_writable__refuses_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError, match="Permission denied"):
        open_store(tmp_path / "runs").check_writable()


@on_moto
def test_check_writable__refuses_a_bucket_that_is_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match="bucket does not exist"):
        open_store("s3://nobody-made-this").check_writable()


def test_check_writable__refuses_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = find_free_ports(1)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=r"(?s)s3://silent.*AWS_ENDPOINT_URL"):
        open_store("s3://silent").check_writable()


def test_check_writable__refuses_plain_http_off_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": "http://store.invalid:9000"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="https, or http on loopback"):
        open_store("s3://plain").check_writable()


class _Careless(BaseHTTPRequestHandler):
    """An S3 server that ignores If-None-Match, as some do."""

    deleted = 0

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).deleted += 1
        self._answer(b"<DeleteResult><Deleted><Key>probe</Key></Deleted></DeleteResult>")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def careless_endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Careless) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_check_writable__refuses_a_store_without_conditional_writes(
    careless_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": careless_endpoint}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=r"(?s)If-None-Match.*accepted a second one"):
        open_store("s3://careless").check_writable()
    assert _Careless.deleted == 1


@pytest.mark.parametrize("address", ["gs://bucket/runs", "s3://", "http://127.0.0.1/runs", "file://there/x"])
def test_open_store__refuses_what_it_can_not_speak(address: str) -> None:
    with pytest.raises(StoreError, match="a folder, or s3://bucket/prefix"):
        open_store(address)


def test_open_store__takes_folders_in_every_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    strange = tmp_path / "a b %20 é"
    assert open_store().root == str(tmp_path / "runs")
    assert open_store(strange) == open_store(strange.as_uri()) == open_store("./a b %20 é/")
    assert open_store(strange).create("plan.json", b"{}")
    assert (strange / "plan.json").read_bytes() == b"{}"


@on_local
def test_write__that_fails_in_a_run_says_where(store: Store) -> None:
    Path(store.root).parent.mkdir()
    Path(store.root).write_text("in the way")
    with pytest.raises(RunError, match="runs/a/report could not be written"):
        store.write("runs/a/report", b"")
