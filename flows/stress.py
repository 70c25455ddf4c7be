"""The main flow: a plan becomes a published cube and a report. Tasks are a few lines that call pipeline."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from flows.settings import prepare_prefect

prepare_prefect()

from prefect import flow, task  # noqa: E402 - only after its settings
from prefect.artifacts import create_table_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402

from pipeline.errors import RunError  # noqa: E402
from pipeline.fanout import Progress  # noqa: E402
from pipeline.lease import Wait  # noqa: E402
from pipeline.plan import load_plan  # noqa: E402
from pipeline.run import Run, create_run, load_cube, name_run, simulate_run, write_report  # noqa: E402
from pipeline.store import open_store  # noqa: E402
from pipeline.verdict import breaches  # noqa: E402

# How a person is kept informed. Not parameters: Prefect would store them.
PROGRESS: ContextVar[Progress | None] = ContextVar("PROGRESS", default=None)
WAIT: ContextVar[Wait | None] = ContextVar("WAIT", default=None)


@task(cache_policy=NO_CACHE)
def prepare(plan: str, store: str) -> Run:
    """Read the plan, name its run, and put its plan into the store."""
    run = name_run(load_plan(plan), open_store(store))
    create_run(run)
    return run


def _may_pass(task: Any, run: Any, state: Any) -> bool:
    """Whether another try may help: what is wrong with an input stays wrong."""
    return isinstance(state.result(raise_on_failure=False), RunError)


@task(cache_policy=NO_CACHE, retries=1, retry_delay_seconds=5, retry_condition_fn=_may_pass)
def simulate(run: Run, cluster: str) -> bool:
    """Compute what the run lacks, and publish it. A retry goes on where the ledger ends."""
    return simulate_run(run, cluster, PROGRESS.get(), WAIT.get())


@task(cache_policy=NO_CACHE)
def report(run: Run) -> list[dict[str, Any]]:
    """Judge the limits, write the report, and show breaches in Prefect."""
    found = breaches(write_report(run, load_cube(run), run.plan.limits))
    create_table_artifact(found, key="breaches", description=f"run {run.run_id}: limits breached")
    return found


@flow(name="stress", flow_run_name="{plan}")
def stress(plan: str, store: str = "./runs", cluster: str = "threads") -> dict[str, Any]:
    """Run a plan: `plan` is its path, `store` a folder or s3:// address, `cluster` as in `seawall run`.

    Returns run_id, cube, report, status (`done`, `reused`) and breaches.
    """
    run = prepare(plan, store)
    computed = False if run.published else simulate(run, cluster)
    return {
        "run_id": run.run_id,
        "cube": run.cube,
        "report": run.report,
        "status": "done" if computed else "reused",
        "breaches": report(run),
    }
