"""One context manager for any Dask cluster: threads here, processes here, or an address elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError, Problem

if TYPE_CHECKING:
    from distributed import Client

ADDRESSES = ("tcp://", "tls://")
PATIENCE = "30s"
LOOPBACK = "127.0.0.1:0"  # pages about the cluster are for this machine, on any free port


def check_cluster(cluster: str) -> None:
    """InputError unless the text names a cluster."""
    if cluster in ("threads", "processes") or cluster.startswith(ADDRESSES):
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


@contextmanager
def open_cluster(cluster: str) -> Iterator[Client]:
    """A Dask client: of threads in this process, of one process a core, or of a scheduler that runs already.

    Raises InputError for a name that is none of these, or a scheduler that does not answer.
    """
    check_cluster(cluster)
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")  # read when distributed is imported
    from distributed import Client, LocalCluster

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options: dict[str, Any] = {"set_as_default": False}
    if cluster.startswith(ADDRESSES):
        try:
            client = Client(cluster, timeout=PATIENCE, **options)
        except (OSError, TypeError, ValueError) as error:
            raise InputError([_silent(cluster, error)]) from error
        with client:
            client.wait_for_workers(1, timeout=PATIENCE)
            yield client
        return
    local: dict[str, Any] = (
        {"processes": False, "n_workers": 1, "threads_per_worker": cores}
        if cluster == "threads"
        else {"processes": True, "n_workers": cores, "threads_per_worker": 1, "host": "127.0.0.1"}
    )
    with (
        LocalCluster(dashboard_address=LOOPBACK, worker_dashboard_address=LOOPBACK, **local) as workers,
        Client(workers, **options) as client,
    ):
        yield client


def _silent(cluster: str, error: Exception) -> Problem:
    return Problem(
        where="--cluster",
        expected="a Dask scheduler that answers there",
        got=f"{cluster}: {error}",
        fix="start one with `dask scheduler`, or leave --cluster out to use the cores of this machine",
    )
