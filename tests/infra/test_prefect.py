"""The schedule that ships: read by Prefect, registered with a real server, fired by its scheduler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.store import list_runs, open_store
from tests.servers import find_free_ports

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "infra" / "prefect.yaml"
PREFECT = Path(sys.executable).parent / "prefect"


def test_prefect_yaml__says_nothing_that_prefect_does_not_read() -> None:
    from prefect.cli.deploy._models import PrefectYamlModel  # it drops unknown keys in silence

    written = yaml.safe_load(SHIPPED.read_text())
    read = PrefectYamlModel.model_validate(written).model_dump(mode="json", exclude_unset=True)
    assert read == written


def test_prefect_yaml__has_one_weekly_schedule() -> None:
    (deployment,) = yaml.safe_load(SHIPPED.read_text())["deployments"]
    (schedule,) = deployment["schedules"]
    minute, hour, day, month, weekday = schedule["cron"].split()
    assert (day, month, schedule["timezone"]) == ("*", "*", "UTC")
    assert all(field.isdigit() for field in (minute, hour, weekday))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of every process here: a home, a store and a port of its own, and no word to the outside."""
    (port,) = find_free_ports(1)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **inherited,
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PYTHONPATH": str(ROOT),
        "SEAWALL_PLAN": str(create_small_plan(tmp_path)),
        "SEAWALL_STORE": str(tmp_path / "runs"),
        "SEAWALL_CLUSTER": "threads",
    }


def create_small_plan(folder: Path) -> Path:
    """The example desk with few paths, and everything else as shipped."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    path = folder / "examples" / "desk.yaml"
    plan = yaml.safe_load(path.read_text())
    plan["simulation"]["paths"] = 1000
    path.write_text(yaml.safe_dump(plan))
    return path


@contextmanager
def keep_running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process for the length of the block; told to end, then killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ask(environment: dict[str, str], path: str, question: dict[str, Any] | None = None) -> Any:
    """The server's answer, or None where it gives none."""
    body = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(environment["PREFECT_API_URL"] + path, body)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def wait_for(what: str, look: Callable[[], Any | None], seconds: float, log: Path) -> Any:
    """What `look` finds, once it finds it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.5)
    pytest.fail(f"no {what} within {seconds:.0f} s; {log.name} ends:\n{log.read_text()[-3000:]}")


def test_weekly__is_fired_by_the_scheduler_and_publishes_a_run(
    environment: dict[str, str], tmp_path: Path
) -> None:
    text = SHIPPED.read_text()
    cron = yaml.safe_load(text)["deployments"][0]["schedules"][0]["cron"]
    soon = tmp_path / "prefect.yaml"
    soon.write_text(text.replace(f'"{cron}"', '"* * * * *"'))
    assert soon.read_text() != text

    def finished() -> dict[str, Any] | None:
        for run in ask(environment, "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"}) or []:
            if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED"):
                return dict(run)
        return None

    server, worker = tmp_path / "server.log", tmp_path / "worker.log"
    with ExitStack() as stack:
        stack.enter_context(keep_running([str(PREFECT), "server", "start"], environment, server))
        wait_for("server", lambda: ask(environment, "/health"), 90, server)
        start = [str(PREFECT), "worker", "start", "--pool", "seawall", "--type", "process"]
        stack.enter_context(keep_running(start, environment, worker))
        wait_for("work pool", lambda: ask(environment, "/work_pools/seawall"), 60, worker)
        deploy = [str(PREFECT), "--no-prompt", "deploy", "--all", "--prefect-file", str(soon)]
        done = subprocess.run(
            deploy, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        run = wait_for("finished run", finished, 180, worker)
    assert run["state"]["type"] == "COMPLETED", worker.read_text()[-5000:]
    assert run["auto_scheduled"]
    (manifest,) = list_runs(open_store(tmp_path / "runs"))
    assert manifest["run_id"]
