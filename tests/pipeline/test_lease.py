from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import lease
from pipeline.errors import RunError
from pipeline.lease import hold_lease
from pipeline.store import Store, connect, open_store, run_key
from tests.pipeline.conftest import on_local, on_moto

OWNER = """
import sys, time
from pipeline.lease import hold_lease
from pipeline.store import open_store
with hold_lease(open_store(sys.argv[1]), "a"):
    print("held", flush=True)
    time.sleep(120)
"""


class GaveUpError(Exception):
    pass


def give_up_after(seconds: float) -> lease.Wait:
    def wait(waited: float) -> None:
        if waited >= seconds:
            raise GaveUpError

    return wait


def test_hold_lease__keeps_others_waiting_and_leaves_nothing(store: Store) -> None:
    with hold_lease(store, "a"), hold_lease(store, "b"):
        assert store.list("runs/a") == ["runs/a/lease"]
        with pytest.raises(GaveUpError), hold_lease(store, "a", give_up_after(0.6)):
            pass
    assert store.list("") == []
    with hold_lease(store, "a", give_up_after(0)):
        pass


@pytest.mark.parametrize("store", ["local", "moto"], indirect=True)
def test_hold_lease__has_one_owner_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.001)
    inside, most = [], 0
    guard = threading.Lock()

    def compute(coordinator: int) -> None:
        nonlocal most
        with hold_lease(store, "a"):
            with guard:
                inside.append(coordinator)
                most = max(most, len(inside))
            time.sleep(0.002)
            with guard:
                inside.remove(coordinator)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(compute, range(40)))
    assert most == 1


@pytest.mark.parametrize("store", ["local", "seaweed"], indirect=True)
def test_hold_lease__is_taken_over_within_10_s_of_a_kill(store: Store) -> None:
    root = Path(__file__).parents[2]
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, store.root], cwd=root, stdout=subprocess.PIPE, env=os.environ
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(GaveUpError), hold_lease(store, "a", give_up_after(0.6)):
            pass
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        start = time.monotonic()
        with hold_lease(store, "a"):
            assert time.monotonic() - start < 10
    assert store.list("") == []


@on_moto
def test_hold_lease__is_kept_by_a_living_owner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    monkeypatch.setattr(lease, "SILENCE_S", 0.5)
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    with hold_lease(store, "a"), pytest.raises(GaveUpError), hold_lease(store, "a", give_up_after(2)):
        pass


@on_moto
def test_hold_lease__owner_that_wakes_up_leaves_its_successor_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SILENCE_S", 0.0)
    monkeypatch.setattr(lease, "BEAT_S", 0.0)
    frozen = lease._Beat(connect(store.root), run_key("a", "lease"))
    successor = lease._Beat(connect(store.root), run_key("a", "lease"))
    assert frozen.acquire()
    assert successor.acquire()
    body = store.read(run_key("a", "lease"))
    frozen.keep(threading.Event())
    frozen.release()
    assert store.read(run_key("a", "lease")) == body
    successor.release()
    assert store.list("") == []


@on_local
def test_hold_lease__that_can_not_be_written_says_where(store: Store) -> None:
    Path(store.root).parent.mkdir()
    Path(store.root).write_text("in the way")
    with pytest.raises(RunError, match="runs/a/lease could not be locked"), hold_lease(store, "a"):
        pass


def test_hold_lease__gives_the_lease_back_after_a_failure(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(ZeroDivisionError), hold_lease(store, "a"):
        raise ZeroDivisionError
    with hold_lease(store, "a", give_up_after(0)):
        pass
