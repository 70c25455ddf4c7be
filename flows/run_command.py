"""`seawall run`: from a plan's path to an exit code."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flows.console import Reporter, open_console, show_progress
from flows.server import PrefectUnreachableError, open_prefect
from pipeline.aftermath_summary import aftermath_records
from pipeline.cluster import await_cluster, check_cluster
from pipeline.errors import RunError
from pipeline.plan import Plan, load_plan
from pipeline.run import Run, create_run, load_cube, name_run, simulate_run, write_report
from pipeline.store import open_store
from pipeline.summary import BASELINE
from pipeline.venue_summary import venue_records
from pipeline.verdict import breaches

if TYPE_CHECKING:
    import xarray as xr

BREACHED = 3
MOST_NAMED = 3  # accounts of which paths are named
INTERRUPTED = 130


def run_plan(plan_path: str, store: str, cluster: str, as_json: bool, no_flow: bool) -> int:
    """Run a plan and say what came of it; returns the exit code. Raises SeawallError."""
    words = open_console(stderr=True)
    plan = load_plan(plan_path)
    check_cluster(cluster)
    run = name_run(plan, open_store(store))
    for warning in plan.warnings():
        words.print(f"warning: {warning}", style="yellow", highlight=False)
    run.store.check_writable()
    status = "reused"
    if not run.published:
        await_cluster(cluster)
        words.print(f"run {run.run_id} of {plan.name}: {_describe(plan)}", highlight=False)
        with show_progress(words, plan.name) as reporter:
            try:
                status = _compute(run, plan_path, cluster, no_flow, reporter)
            except KeyboardInterrupt:
                words.print(f"Interrupted: {reporter.kept}. The same command goes on from there.")
                return INTERRUPTED
    cube = load_cube(run)
    judgements = write_report(run, cube, plan.limits)
    found = breaches(judgements)
    result = {
        "run_id": run.run_id,
        "cube": run.cube,
        "report": run.report,
        "status": status,
        "breaches": found,
        "aftermath": aftermath_records(cube),
        "venues": venue_records(cube),
    }
    from pipeline.verdict_table import verdict_table

    human = words if as_json else open_console(stderr=False)
    human.print(verdict_table(cube, judgements))
    if status == "reused":
        human.print("Found done: nothing was computed.")
    human.print(f"cube    {run.cube}", highlight=False, soft_wrap=True)
    human.print(f"report  {run.report}", highlight=False, soft_wrap=True)
    if plan.simulation.resolve:
        for line in find_worth(plan, cube, f"{run.run_id} --store {store}"):
            human.print(line, highlight=False, soft_wrap=True)
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return BREACHED if found else 0


def find_worth(plan: Plan, cube: xr.Dataset, where: str) -> Iterator[str]:
    """The paths worth a look, a line each with the command that tells them; of the accounts most at risk."""
    from pipeline.path_finder import name_paths

    cells = cube["p_liquidation"].sel(scenario=BASELINE, leverage=1.0).isel(horizon=-1)
    chances = dict(zip(cells["account"].values.tolist(), cells.values.tolist(), strict=True))
    accounts = sorted(chances, key=lambda name: -chances[name])[:MOST_NAMED]
    yield "Paths worth a look, in the baseline:"
    for account, found in name_paths(plan, accounts).items():
        for path, sentence in found.values():
            yield f"  {account}: {sentence}"
            yield f"    seawall replay {where} --path {path} --account {shlex.quote(account)}"


def _compute(run: Run, plan_path: str, cluster: str, no_flow: bool, reporter: Reporter) -> str:
    """Simulate and publish; `reused` if someone else was faster. Without Prefect if it is not to be had."""
    if not no_flow:
        try:
            return _run_flow(run, plan_path, cluster, reporter)
        except PrefectUnreachableError as error:
            reporter.console.print(
                f"Prefect is out of reach, so the run goes on without it: {error}",
                style="yellow",
                soft_wrap=True,
            )
    else:  # with the flow it is said while the kernels are warmed
        _announce(reporter)
    create_run(run)
    return "done" if simulate_run(run, cluster, reporter, reporter.wait) else "reused"


def _run_flow(run: Run, plan_path: str, cluster: str, reporter: Reporter) -> str:
    """The run's status, by the flow. Errors of the run itself come through as they are."""
    # the kernels load while Prefect starts
    threading.Thread(target=_warm, args=(reporter,), daemon=True).start()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # what went wrong is said once, by us
    with open_prefect() as ready:
        try:
            from flows.stress import PROGRESS, WAIT, stress
        except Exception as error:  # whatever an installation of Prefect may lack
            raise PrefectUnreachableError(error) from error
        from httpx import HTTPError
        from prefect.exceptions import PrefectException

        ready()
        PROGRESS.set(reporter)
        WAIT.set(reporter.wait)
        try:
            outcome: dict[str, Any] = stress(plan_path, run.store.root, cluster)
        except (HTTPError, PrefectException) as error:
            raise PrefectUnreachableError(error) from error
        if outcome["run_id"] != run.run_id:
            raise RunError(f"{plan_path} changed while the run began; run the same command again")
        return str(outcome["status"])


def _announce(reporter: Reporter) -> None:
    from kernels.jit import announce_compilation

    announce_compilation(reporter.compiling)


def _warm(reporter: Reporter) -> None:
    from pipeline.engine import warm_kernels

    _announce(reporter)
    with suppress(Exception):  # whatever is wrong with the kernels, the simulation itself will say
        warm_kernels()


def _describe(plan: Plan) -> str:
    axes = plan.simulation
    return (
        f"{axes.paths:,} paths, {len(plan.scenarios)} scenarios, {len(plan.accounts)} accounts, "
        f"{len(axes.leverage)} leverages, {len(axes.horizons)} horizons"
    )
