"""What a run has counted so far: tallies per block as zarr chunks, and a ledger that vouches for them.

A block's ledger entry is written after its chunks, with their hash; so whatever the ledger names is whole,
whoever was killed and whenever. Blocks that it names are never computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

import numpy as np
import zarr
from zarr.errors import ContainsArrayError

from kernels.structs import MARKS
from pipeline.blocks import ACCOUNT_SLAB, Block, plan_blocks
from pipeline.engine import Counts, keeps_joint
from pipeline.errors import RunError
from pipeline.plan import Plan
from pipeline.store import Store, run_key

HITS = ("batch", "mark", "scenario", "account", "leverage", "horizon")
JOINT = ("batch", "scenario", "horizon", "account", "account_other")
NOT_WRITTEN = -1


class Ledger:
    """The ledger of one run, and the tallies it vouches for."""

    def __init__(self, store: Store, run_id: str, plan: Plan, batch_paths: int | None = None) -> None:
        """Open a run's ledger, making its arrays where there are none yet."""
        self.store = store
        self.run_id = run_id
        self.blocks = plan_blocks(plan.simulation.paths, len(plan.accounts), batch_paths)
        batches = self.blocks[-1].batch + 1
        accounts = len(plan.accounts)
        slab = min(ACCOUNT_SLAB, accounts)
        axes = plan.simulation
        cells = (len(axes.leverage), len(axes.horizons))
        scenarios = len(plan.scenarios)
        cut = {"batch_paths": self.blocks[0].paths, "account_slab": slab}
        tallies = store.zarr(run_key(run_id, "tallies.zarr"))
        group = zarr.open_group(tallies, mode="a", zarr_format=3, attributes=dict(cut))
        if dict(group.attrs) != cut:
            raise RunError(
                f"run {run_id} was begun in blocks of another size, {dict(group.attrs)} and not {cut}, and "
                "the two can't be mixed. Go on as it was begun, or delete "
                f"{store.url(run_key(run_id))} to start again."
            )
        self.hits = _array(
            group,
            "hits",
            (batches, MARKS, scenarios, accounts, *cells),
            (1, MARKS, scenarios, slab, *cells),
            HITS,
        )
        pairs = (scenarios, cells[1], accounts, accounts)
        self.joint = (
            _array(group, "joint", (batches, *pairs), (1, *pairs), JOINT) if keeps_joint(plan) else None
        )

    def missing(self) -> tuple[Block, ...]:
        """The blocks that nobody has finished, in order."""
        done = set(self.store.list(run_key(self.run_id, "ledger")))
        return tuple(block for block in self.blocks if self._key(block) not in done)

    def record(self, block: Block, counts: Counts) -> None:
        """Keep what a block counted; from here on it counts as done."""
        self.hits[block.batch, :, :, block.first_account : block.last_account] = counts.hits
        if self.joint is not None:
            self.joint[block.batch] = counts.joint
        entry = {"paths": block.paths, "sha256": _digest(counts)}
        self.store.create(self._key(block), json.dumps(entry, sort_keys=True).encode())

    def total(self) -> Counts:
        """The sum over all blocks, each held against its hash; RunError where one does not fit."""
        hits = np.zeros(self.hits.shape[1:], np.int64)
        joint = np.zeros(self.joint.shape[1:] if self.joint is not None else (0, 0, 0, 0), np.int64)
        for block, counts in self._read():
            entry = json.loads(self.store.read(self._key(block)) or b"{}")
            if entry.get("sha256") != _digest(counts):
                raise RunError(
                    f"block {block.key} of run {self.run_id} is damaged: its counts don't fit their hash. "
                    f"Delete {self.store.url(self._key(block))} and run the same command again."
                )
            hits[:, :, block.first_account : block.last_account] += counts.hits
            if self.joint is not None:
                joint += counts.joint
        return Counts(hits, joint)

    def digest(self) -> str:
        """A hash of every block's hash: two runs that counted the same have the same."""
        digest = hashlib.sha256()
        for block in self.blocks:
            digest.update(self.store.read(self._key(block)) or b"")
        return digest.hexdigest()

    def _read(self) -> Iterator[tuple[Block, Counts]]:
        empty = np.zeros((0, 0, 0, 0), np.int64)
        for block in self.blocks:
            hits = np.asarray(self.hits[block.batch, :, :, block.first_account : block.last_account])
            joint = empty if self.joint is None else np.asarray(self.joint[block.batch])
            yield block, Counts(hits, joint)

    def _key(self, block: Block) -> str:
        return run_key(self.run_id, "ledger", f"{block.key}.json")


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dimensions: tuple[str, ...],
) -> zarr.Array:  # type: ignore[type-arg]
    """The group's array of that name, made if it is not there; never made anew, which would empty it."""
    try:
        return group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype="int64",
            fill_value=NOT_WRITTEN,
            dimension_names=dimensions,
            config={"write_empty_chunks": True},
        )
    except ContainsArrayError:
        found = group[name]
        assert isinstance(found, zarr.Array)
        return found


def _digest(counts: Counts) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(counts.hits, "<i8").tobytes())
    if counts.joint.size:
        digest.update(np.ascontiguousarray(counts.joint, "<i8").tobytes())
    return digest.hexdigest()


def count_paths(blocks: Iterable[Block]) -> int:
    """Paths of a set of blocks, each path counted once for every slab of accounts."""
    return sum(block.paths for block in blocks)
