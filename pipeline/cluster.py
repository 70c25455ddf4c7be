"""One context manager for any Dask cluster: threads here, processes here, or an address elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.errors import InputError, Problem

if TYPE_CHECKING:
    from distributed import Client

ADDRESSES = ("tcp://", "tls://")
PATIENCE_S = 30.0
POLL_S = 0.2
LOOPBACK = "127.0.0.1:0"  # pages about the cluster are for this machine, on any free port


def check_cluster(cluster: str) -> None:
    """InputError unless the text names a cluster."""
    if cluster in ("threads", "processes") or (cluster.startswith(ADDRESSES) and _host_and_port(cluster)):
        return
    raise InputError(
        [
            Problem(
                where="--cluster",
                expected="threads, processes, tcp://host:port or tls://host:port",
                got=cluster,
                fix="leave it out to use the cores of this machine",
            )
        ]
    )


def _host_and_port(address: str) -> tuple[str, int] | None:
    parts = urlsplit(address)
    try:
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None
    except ValueError:  # the port is no number, or too large
        return None


@contextmanager
def open_cluster(cluster: str) -> Iterator[Client]:
    """A Dask client: of threads in this process, of one process a core, or of a scheduler that runs already.

    Raises InputError for a name that is none of these, or a scheduler that does not answer.
    """
    check_cluster(cluster)
    # Read when distributed is imported. What goes wrong comes back as an exception; the errors that workers
    # log beside it are of heartbeats cut off while the cluster ends.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    from distributed import Client, LocalCluster

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options: dict[str, Any] = {"set_as_default": False}
    if cluster.startswith(ADDRESSES):
        await_cluster(cluster)
        try:
            client = Client(cluster, timeout=PATIENCE_S, **options)
        except (OSError, TypeError, ValueError) as error:
            raise InputError([_silent(f"{cluster}: {error}")]) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE_S)
            except TimeoutError as error:
                raise InputError([_silent(f"{cluster} has no workers")]) from error
            yield client
        return
    local: dict[str, Any] = (
        {"processes": False, "n_workers": 1, "threads_per_worker": cores}
        if cluster == "threads"
        else {"processes": True, "n_workers": cores, "threads_per_worker": 1, "host": "127.0.0.1"}
    )
    with _deaf_children():
        workers = LocalCluster(dashboard_address=LOOPBACK, worker_dashboard_address=LOOPBACK, **local)
    with workers, Client(workers, **options) as client:
        yield client


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C: it reaches them too, but ending them is for their parent."""
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def await_cluster(cluster: str) -> None:
    """Returns once something listens at an address, at once for a cluster of this machine; else InputError.

    To be called before anything is written, and before a Client is made: one that fails to connect may
    deadlock when it is swept up.
    """
    check_cluster(cluster)
    place = _host_and_port(cluster)
    if place is None:
        return
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(place, timeout=max(POLL_S, deadline - time.monotonic())).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise InputError([_silent(f"{cluster}: {error}")]) from error
        time.sleep(POLL_S)


def _silent(got: str) -> Problem:
    return Problem(
        where="--cluster",
        expected="a Dask scheduler that answers there, with a worker",
        got=got,
        fix="start them with `dask scheduler` and `dask worker`, or leave --cluster out to use this machine",
    )
