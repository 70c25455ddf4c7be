"""A whole job, stage by stage, in a process of its own: `python -m benchmarks.job PLAN | PATHS | compile`.

Prints one JSON object: CPU seconds of each stage with those of child processes; for a number of paths the
peak of resident memory in MiB and all CPU seconds; for `compile` those until the kernels are there.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time


def time_job(plan_path: str) -> dict[str, float]:
    """CPU seconds of each stage of a run of a plan, on one thread, in a store that is removed again."""
    spent: dict[str, float] = {}
    clock = _cpu_s()

    def lap(stage: str) -> None:
        nonlocal clock
        spent[stage] = _cpu_s() - clock
        clock = _cpu_s()

    from pipeline.engine import simulate_block, warm_kernels
    from pipeline.ledger import Ledger
    from pipeline.plan import load_plan
    from pipeline.run import create_run, load_cube, name_run, simulate_run, write_report
    from pipeline.store import open_store

    plan = load_plan(plan_path)
    with tempfile.TemporaryDirectory() as folder:
        run = name_run(plan, open_store(folder))
        create_run(run)
        lap("start: imports, plan, store")
        warm_kernels()
        lap("kernels: load from the cache")
        ledger = Ledger(run.store, run.run_id, plan)
        kept = 0.0
        for block in ledger.blocks:
            counts = simulate_block(run.document, block)
            before = _cpu_s()
            ledger.record(block, counts)
            kept += _cpu_s() - before
        lap("kernels: simulate")
        spent["kernels: simulate"] -= kept
        spent["storage: tallies and ledger"] = kept
        simulate_run(run)
        lap("storage: cube and manifest")
        write_report(run, load_cube(run), plan.limits)
        lap("report")
        from flows.server import open_prefect

        with open_prefect() as ready:
            from flows.stress import stress

            ready()
            stress(plan_path, folder)
        lap("Prefect: server, and a flow that finds the run done")
    return spent


def measure_memory(paths: int) -> float:
    """Peak resident memory, MiB, of a run with that many paths, on Dask's threads."""
    from benchmarks.books import plan_book
    from pipeline.run import run

    with tempfile.TemporaryDirectory() as folder:
        run(plan_book(assets=16, accounts=16, leverages=8, paths=paths), folder)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def time_kernels() -> float:
    """CPU seconds until the kernels are compiled, or loaded."""
    from pipeline.engine import warm_kernels

    before = _cpu_s()
    warm_kernels()
    return _cpu_s() - before


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    asked = sys.argv[1]
    if asked == "compile":
        answer = {"compile_s": time_kernels()}
    elif asked.isdigit():
        answer = {"peak_mib": measure_memory(int(asked)), "cpu_s": _cpu_s()}
    else:
        answer = time_job(asked)
    print(json.dumps(answer))
