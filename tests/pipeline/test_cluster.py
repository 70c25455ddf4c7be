from __future__ import annotations

import subprocess
import sys
import time

import pytest

from pipeline import cluster
from pipeline.cluster import check_cluster, open_cluster
from pipeline.errors import InputError
from tests.runs import ROOT, serve_dask
from tests.servers import find_free_ports


@pytest.mark.parametrize("name", ["threads", "processes", "tcp://10.0.0.1:8786", "tls://dask:8786"])
def test_check_cluster__takes_what_there_is(name: str) -> None:
    check_cluster(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "thread", "http://10.0.0.1:8786", "10.0.0.1:8786", "kubernetes"),
        *("tcp://", "tcp://10.0.0.1", "tcp://10.0.0.1:port", "tls://10.0.0.1:99999", "tcp://:8786"),
    ],
)
def test_check_cluster__refuses_the_rest(name: str) -> None:
    with pytest.raises(InputError, match="expected: threads, processes, tcp://host:port or tls://host:port"):
        check_cluster(name)


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_open_cluster__runs_work_on_this_machine(name: str) -> None:
    with open_cluster(name) as client:
        assert client.submit(sum, [1, 2, 3]).result(timeout=60) == 6
        workers = client.scheduler_info(n_workers=-1)["workers"]
        assert all("127.0.0.1" in address or address.startswith("inproc") for address in workers)
        if name == "threads":
            assert len(workers) == 1


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_open_cluster__that_does_not_answer_says_so(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    (port,) = find_free_ports(1)
    address = f"{scheme}://127.0.0.1:{port}"
    begun = time.monotonic()
    with pytest.raises(InputError) as caught, open_cluster(address):
        pass
    assert address in str(caught.value)
    assert "dask scheduler" in str(caught.value)
    assert time.monotonic() - begun < 10


def test_open_cluster__without_workers_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_dask(workers=0) as (address, _):
        monkeypatch.setattr(cluster, "PATIENCE_S", 20.0)
        with pytest.raises(InputError, match="has no workers"):
            _open_briefly(address, monkeypatch)


def _open_briefly(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open a cluster with patience for its scheduler, which has just been started, but not for workers."""
    from distributed import Client

    with Client(address, timeout="20s", set_as_default=False):
        pass
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    with open_cluster(address):
        pass


@pytest.mark.slow
def test_open_cluster__waits_no_longer_than_35_s() -> None:
    (port,) = find_free_ports(1)
    code = (
        f"from pipeline.cluster import open_cluster\nwith open_cluster('tcp://127.0.0.1:{port}'):\n    pass\n"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "InputError" in done.stderr
    assert 25 < time.monotonic() - begun < 40
