from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.blocks import Block
from pipeline.engine import Counts, zero_counts
from pipeline.errors import RunError
from pipeline.ledger import NOT_WRITTEN, Ledger, count_paths
from pipeline.plan import Plan, plan_from_document
from pipeline.slabs import plan_slabs
from pipeline.store import Store
from tests.pipeline.conftest import on_local
from tests.runs import hit_document


@pytest.fixture
def plan() -> Plan:
    return plan_from_document(hit_document(256))


def made_up(block: Block) -> Counts:
    """Counts of the right shape that differ from block to block."""
    hits = np.arange(3 * 3 * 2 * 3 * 3).reshape(3, 3, 2, 3, 3) + 1_000 * block.batch
    none = zero_counts(plan_from_document(hit_document(256)), (0, 1))
    return none._replace(hits=hits, joint=np.full((3, 3, 2, 2), 7 * (block.batch + 1)))


def test_ledger__what_is_recorded_is_not_missing_and_adds_up(store: Store, plan: Plan) -> None:
    ledger = Ledger(store, "a", plan)
    assert len(ledger.blocks) == 4
    for block in (ledger.blocks[2], ledger.blocks[0]):
        ledger.record(block, made_up(block))
    again = Ledger(store, "a", plan)
    assert again.missing() == (ledger.blocks[1], ledger.blocks[3])
    for block in again.missing():
        again.record(block, made_up(block))
    assert again.missing() == ()
    total, _ = again.total()
    np.testing.assert_array_equal(total.hits, sum(made_up(block).hits for block in ledger.blocks))
    assert (total.joint == 7 * (1 + 2 + 3 + 4)).all()
    assert store.list("runs/a/ledger") == [f"runs/a/ledger/00000{i}-000000.json" for i in range(4)]


@on_local
def test_ledger__digest_knows_every_count_but_not_the_order(store: Store, plan: Plan) -> None:
    digests = []
    for run_id, order, more in (("a", (0, 1, 2, 3), 0), ("b", (3, 1, 0, 2), 0), ("c", (0, 1, 2, 3), 1)):
        ledger = Ledger(store, run_id, plan)
        for i in order:
            counts = made_up(ledger.blocks[i])
            counts.joint[0, 0, 0, 0] += more * (i == 3)
            ledger.record(ledger.blocks[i], counts)
        digests.append(ledger.digest())
    assert digests[0] == digests[1] != digests[2]


@on_local
def test_ledger__a_block_not_written_is_no_zero(store: Store, plan: Plan) -> None:
    ledger = Ledger(store, "a", plan)
    ledger.record(ledger.blocks[0], made_up(ledger.blocks[0]))
    assert (np.asarray(ledger.arrays["hits"][1]) == NOT_WRITTEN).all()
    with pytest.raises(RunError, match="block 000001-000000 of run a is damaged"):
        ledger.total()


@on_local
@pytest.mark.parametrize("name", ["hits", "joint"])
def test_ledger__damage_is_found_and_mended_as_told(store: Store, plan: Plan, name: str) -> None:
    ledger = Ledger(store, "a", plan)
    for block in ledger.blocks:
        ledger.record(block, made_up(block))
    folder = Path(store.url(f"runs/a/tallies.zarr/{name}/c/2"))
    (chunk,) = (path for path in folder.rglob("*") if path.is_file())
    chunk.unlink()
    with pytest.raises(RunError, match="block 000002-000000 of run a is damaged") as caught:
        ledger.total()
    path = Path(store.url("runs/a/ledger/000002-000000.json"))
    assert f"Delete {path} and run" in str(caught.value)
    path.unlink()
    again = Ledger(store, "a", plan)
    (block,) = again.missing()
    again.record(block, made_up(block))
    assert (again.total()[0].joint == 70).all()


@on_local
def test_ledger__killed_between_chunk_and_entry_counts_as_missing(
    store: Store, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(store, "a", plan)

    def die(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "create", die)
        with pytest.raises(KeyboardInterrupt):
            ledger.record(ledger.blocks[0], made_up(ledger.blocks[1]))
    assert Ledger(store, "a", plan).missing() == ledger.blocks
    for block in ledger.blocks:
        ledger.record(block, made_up(block))
    assert (ledger.total()[0].joint == 70).all()


@on_local
def test_ledger__cut_in_another_way_is_refused(store: Store) -> None:
    # 250 paths are three blocks of 100 as well as of 120: shapes alone don't tell
    plan = plan_from_document(hit_document(250))
    ledger = Ledger(store, "a", plan, 100)
    ledger.record(ledger.blocks[0], made_up(ledger.blocks[0]))
    for size in (120, 64, None):
        with pytest.raises(RunError, match="blocks of another size") as caught:
            Ledger(store, "a", plan, size)
        assert f"delete {store.url('runs/a')}" in str(caught.value)
    assert Ledger(store, "a", plan, 100).missing() == ledger.blocks[1:]


@on_local
def test_ledger__more_accounts_than_a_slab_keep_no_pairs(store: Store) -> None:
    document = hit_document(100)
    account = document["accounts"][1]
    document["accounts"] = [{**account, "name": f"a{i}"} for i in range(300)]
    plan = plan_from_document(document)
    ledger = Ledger(store, "a", plan)
    assert [block.key for block in ledger.blocks] == [f"00000{b}-00000{a}" for b in range(2) for a in (0, 1)]
    for block in ledger.blocks:
        counts = zero_counts(plan, plan_slabs(plan)[block.slab])
        counts.hits[:] = 1 + block.slab
        ledger.record(block, counts)
    total, _ = ledger.total()
    assert (total.hits[:, :, :256] == 2).all()
    assert (total.hits[:, :, 256:] == 4).all()
    assert total.joint.size == 0


def test_count_paths__counts_each_block() -> None:
    assert count_paths((Block(0, 0, 64, 0), Block(1, 64, 10, 0))) == 74
    assert count_paths(()) == 0
