"""A run, from a plan to a published cube: named by its inputs, resumed where it stopped, never done twice."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from zarr.storage import MemoryStore

from pipeline.cube import Provenance, build_cube, encoding
from pipeline.engine import collect_tallies, hash_numerics
from pipeline.errors import Problem, RunError, StoreError
from pipeline.fanout import Progress, simulate_missing
from pipeline.faults import nearest
from pipeline.lease import Wait, hold_lease
from pipeline.ledger import Ledger
from pipeline.plan import Limit, Plan, plan_from_document
from pipeline.store import Store, open_store, run_key
from pipeline.units import format_instant
from pipeline.verdict import Judgement, judge_limits

if TYPE_CHECKING:
    import xarray as xr
    from zarr.core.buffer import Buffer

REPORTED_VERSIONS = ("seawall", "numba", "numpy", "scipy")


@dataclass(frozen=True)
class Run:
    """A plan in a store. `document` is the resolved plan as JSON text, limits left out."""

    plan: Plan
    store: Store
    run_id: str
    document: str

    @property
    def cube(self) -> str:
        """The address of the cube, for `xarray.open_zarr`."""
        return self.store.url(run_key(self.run_id, "cube.zarr"))

    @property
    def report(self) -> str:
        """The address of the report."""
        return self.store.url(run_key(self.run_id, "report.html"))

    @property
    def published(self) -> bool:
        """Whether the run is finished, and so visible to readers."""
        return self.store.read(run_key(self.run_id, "manifest.json")) is not None


def name_run(plan: Plan, store: Store) -> Run:
    """The run that a plan names: its id is a hash of the plan in full and of the code that counts.

    Limits, cluster and store can't change a number, so they are not part of it.
    """
    # in the plan's own order: that of regimes and assets decides which random numbers they get
    document = json.dumps({key: part for key, part in plan.document().items() if key != "limits"})
    run_id = _hash({"plan": json.loads(document), "numerics": hash_numerics()})
    return Run(plan, store, run_id, document)


def create_run(run: Run) -> None:
    """Write the plan of a run into its store, unless it is there; StoreError where nothing can be written."""
    run.store.check_writable()
    entry = {
        "run_id": run.run_id,
        "created": format_instant(datetime.now(UTC)),
        "plan": json.loads(run.document),
    }
    run.store.create(run_key(run.run_id, "plan.json"), json.dumps(entry, indent=1).encode())


def read_plan(store: Store, run_id: str) -> tuple[str, Plan]:
    """The id and the plan, limits left out, of a run in a store, named by its id or by how that begins.

    Finished or not. StoreError where none or several are meant.
    """
    folders = store.folders("runs") if run_id else []
    known = [folder.rpartition("/")[2] for folder in folders]
    found = [name for name in known if name.startswith(run_id)]
    body = store.read(run_key(found[0], "plan.json")) if len(found) == 1 else None
    if body is None:
        raise StoreError([_unknown_run(store, run_id, found, known)])
    return found[0], plan_from_document(json.loads(body)["plan"])


def simulate_run(
    run: Run,
    cluster: str = "threads",
    progress: Progress | None = None,
    wait: Wait | None = None,
    batch_paths: int | None = None,
) -> bool:
    """Compute what a run still lacks, and publish it; False if someone else published it meanwhile.

    Waits, calling `wait`, while another coordinator works on the same run. `batch_paths` cuts the paths into
    batches of that size instead of the usual one: it changes how often work is kept, and no number.
    """
    with hold_lease(run.store, run.run_id, wait):
        if run.published:
            return False
        ledger = Ledger(run.store, run.run_id, run.plan, batch_paths)
        simulate_missing(ledger, run.document, cluster, progress)
        _publish(run, ledger)
    return True


def _publish(run: Run, ledger: Ledger) -> None:
    """Write the cube, and last the manifest: the one moment at which readers see the run."""
    counts, spread = ledger.total()
    cube = build_cube(collect_tallies(counts, run.plan, spread), run.plan, _provenance(run))
    _write_cube(run, cube)
    manifest = {
        "run_id": run.run_id,
        "name": run.plan.name,
        "as_of": format_instant(run.plan.as_of),
        "created": cube.attrs["created"],
        "paths": run.plan.simulation.paths,
        "blocks": len(ledger.blocks),
        "tallies_sha256": ledger.digest(),
    }
    body = json.dumps(manifest, indent=1).encode()
    run.store.create(run_key(run.run_id, "manifest.json"), body)
    _write_pointer(run)


def _write_cube(run: Run, cube: xr.Dataset) -> None:
    """Write the cube object by object, the root last; nothing is ever removed.

    The bytes are a function of the run alone. So whoever else writes them, or wakes up after someone else
    published, changes nothing, and what a kill left half written is completed.
    """
    objects: dict[str, Buffer] = {}
    with catch_warnings():
        filterwarnings("ignore", "Consolidated metadata is currently not part")
        cube.to_zarr(MemoryStore(objects), mode="w", encoding=encoding(cube))
    for key in sorted(objects, key=lambda key: (key == "zarr.json", key)):
        run.store.write(run_key(run.run_id, "cube.zarr", key), objects[key].to_bytes())


def _write_pointer(run: Run) -> None:
    """Let the plan's date and name point to this run."""
    pointer = f"asof/{run.plan.as_of.date().isoformat()}/{run.plan.name}.json"
    run.store.write(pointer, json.dumps({"run_id": run.run_id}).encode())


def load_cube(run: Run) -> xr.Dataset:
    """The published cube of a run, in memory; StoreError if it is not published."""
    import xarray as xr

    if not run.published:
        raise StoreError([_unpublished(run)])
    cube: xr.Dataset = xr.open_zarr(
        run.store.zarr(run_key(run.run_id, "cube.zarr")),
        chunks=None,  # read at once: dask would only take time to import
    )
    with cube:
        return cube.load()


def write_report(run: Run, cube: xr.Dataset, limits: Sequence[Limit]) -> tuple[Judgement, ...]:
    """Judge limits, write the report beside the cube and point to the run; returns the judgements."""
    from pipeline.report import render_report

    judgements = judge_limits(cube, limits)
    run.store.write(run_key(run.run_id, "report.html"), render_report(cube, judgements).encode())
    _write_pointer(run)  # a kill right after the manifest may have left it out
    return judgements


def run(
    plan: Plan,
    store: str | Path | Store = "runs",
    cluster: str = "threads",
    progress: Progress | None = None,
    batch_paths: int | None = None,
) -> xr.Dataset:
    """Run a plan, or find it done, and return its cube. No Prefect: for notebooks and tests."""
    named = name_run(plan, store if isinstance(store, Store) else open_store(store))
    if not named.published:
        create_run(named)
        simulate_run(named, cluster, progress, batch_paths=batch_paths)
    return load_cube(named)


def _provenance(run: Run) -> Provenance:
    body = run.store.read(run_key(run.run_id, "plan.json"))
    if body is None:
        raise RunError(
            f"{run.store.url(run_key(run.run_id, 'plan.json'))} is gone; run the same command again"
        )
    plan = json.loads(run.document)
    return Provenance(
        run_id=run.run_id,
        plan_hash=_hash(plan),
        model_hash=_hash(plan["model"]),
        venue_hash=_hash({key: plan[key] for key in ("venue", "venues")}),
        versions={
            **{name: _version(name) for name in REPORTED_VERSIONS},
            "python": platform.python_version(),
        },
        created=json.loads(body)["created"],
    )


def _hash(document: Any) -> str:
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "not installed"


def _unpublished(run: Run) -> Problem:
    return Problem(
        where=f"run {run.run_id} in {run.store.root}",
        expected="a published run",
        got="none"
        if run.store.read(run_key(run.run_id, "plan.json")) is None
        else "one that is not finished",
        fix="run its plan with `seawall run`: what is done already is kept",
    )


def _unknown_run(store: Store, run_id: str, found: Sequence[str], known: Sequence[str]) -> Problem:
    got = f"`{run_id}`" + (f", which {len(found)} begin with" if len(found) > 1 else "")
    fix = "`seawall runs` lists those that are finished; --store names another store"
    if known:
        fix = nearest(run_id, found if len(found) > 1 else known)
    return Problem(f"store {store.root}", "the id of a run in it, or its beginning", got, fix)
