"""dask.yaml, and the scheduler and worker of compose.yaml started with it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import dask.config
import jsonschema
import yaml

from tests.servers import find_free_ports

INFRA = Path(__file__).parents[2] / "infra"


def read_yaml(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((INFRA / name).read_text()))


def list_leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from list_leaves(branch, (*path, key))
    else:
        yield ".".join(path)


def test_dask_yaml__is_collected_and_every_key_is_one_that_distributed_knows(tmp_path: Path) -> None:
    (tmp_path / "seawall.yaml").write_bytes((INFRA / "dask.yaml").read_bytes())
    collected = dask.config.collect([str(tmp_path)], env={})
    known = yaml.safe_load(files("distributed").joinpath("distributed.yaml").read_text())
    schema = yaml.safe_load(files("distributed").joinpath("distributed-schema.yaml").read_text())
    assert collected == read_yaml("dask.yaml")
    for leaf in list_leaves(collected):
        dask.config.get(leaf, config=known)  # raises KeyError
    jsonschema.validate(collected, schema)


def test_dask_yaml__tls_block_is_one_that_distributed_knows() -> None:
    lines = (INFRA / "dask.yaml").read_text().splitlines()
    start = lines.index("# distributed:")
    block = yaml.safe_load("\n".join(line[2:] for line in lines[start:] if line.startswith("# ")))
    known = yaml.safe_load(files("distributed").joinpath("distributed.yaml").read_text())
    assert block["distributed"]["comm"]["require-encryption"] is True
    for leaf in list_leaves(block):
        dask.config.get(leaf, config=known)


@contextmanager
def keep_running(command: list[str], log: Path) -> Iterator[None]:
    environment = {**os.environ, "DASK_CONFIG": str(INFRA / "dask.yaml")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=log.parent, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def test_compose__dask_commands_make_a_cluster_that_shows_no_pages(tmp_path: Path) -> None:
    from distributed import Client

    services = read_yaml("compose.yaml")["services"]
    comm, page, worker = map(str, find_free_ports(3))
    dask_command = str(Path(sys.executable).parent / "dask")
    for_scheduler = [word.replace("8786", comm) for word in services["dask-scheduler"]["command"]]
    for_worker = [
        word.replace("dask-scheduler:8786", f"127.0.0.1:{comm}")
        .replace("8788", worker)
        .replace("${SEAWALL_THREADS:-2}", "2")
        .replace("/tmp/dask", str(tmp_path / "spill"))
        for word in services["dask-worker"]["command"].split()
    ]
    here = ["--host", "127.0.0.1"]
    with ExitStack() as stack:
        command = [dask_command, *for_scheduler[1:], *here, "--dashboard-address", f"127.0.0.1:{page}"]
        stack.enter_context(keep_running(command, tmp_path / "scheduler.log"))
        command = [dask_command, *for_worker[1:], *here]
        stack.enter_context(keep_running(command, tmp_path / "worker.log"))
        client = stack.enter_context(Client(f"tcp://127.0.0.1:{comm}", timeout=60))
        client.wait_for_workers(1, timeout=60)
        (running,) = client.scheduler_info()["workers"].values()
        assert (running["nthreads"], running["memory_limit"]) == (2, 3 * 1024**3)
        assert client.submit(sum, (1, 2)).result(timeout=30) == 3
        address = f"http://127.0.0.1:{page}"
        assert status_of(f"{address}/health") == 200
        for shown in ("/status", "/info/main/workers.html", "/json/identity.json", "/metrics"):
            assert status_of(address + shown) == 404
