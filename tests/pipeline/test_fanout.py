from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline import fanout
from pipeline.blocks import Block
from pipeline.engine import Counts, simulate_block
from pipeline.errors import RunError
from pipeline.fanout import simulate_missing
from pipeline.ledger import Ledger
from pipeline.plan import plan_from_document
from pipeline.store import open_store
from tests.runs import hit_document, serve_dask

PLAN = plan_from_document(hit_document(256))
TEXT = json.dumps(PLAN.document())

KEPT = threading.Event()


def fail_at_last(document: str, block: Block) -> Counts:
    """Simulates all blocks but the last, which fails once the others are kept."""
    if block.batch < 3:
        return simulate_block(document, block)
    KEPT.wait(60)
    raise ZeroDivisionError("of all things")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_store(tmp_path), "a", PLAN)


def test_simulate_missing__computes_what_is_missing_and_tells(ledger: Ledger) -> None:
    first = ledger.blocks[0]
    ledger.record(first, simulate_block(TEXT, first))
    told: list[tuple[int, int]] = []
    assert simulate_missing(ledger, TEXT, "threads", lambda done, total: told.append((done, total))) == 3
    assert told == [(64, 256), (128, 256), (192, 256), (256, 256)]
    whole = simulate_block(TEXT, Block(0, 0, 256, 0))
    np.testing.assert_array_equal(ledger.total()[0].hits, whole.hits)
    np.testing.assert_array_equal(ledger.total()[0].joint, whole.joint)


def test_simulate_missing__opens_no_cluster_for_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in ledger.blocks:
        ledger.record(block, simulate_block(TEXT, block))
    monkeypatch.setattr(fanout, "open_cluster", None)
    monkeypatch.setattr(fanout, "warm_kernels", None)
    told: list[tuple[int, int]] = []
    assert simulate_missing(ledger, TEXT, "threads", lambda done, total: told.append((done, total))) == 0
    assert told == [(256, 256)]


def test_simulate_missing__names_the_block_that_fails_and_keeps_the_others(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    KEPT.clear()
    monkeypatch.setattr(fanout, "simulate_block", fail_at_last)

    def notice(done: int, total: int) -> None:
        if done == 192:
            KEPT.set()

    with pytest.raises(RunError, match=r"block 000003-000000 failed on threads: ZeroDivisionError"):
        simulate_missing(ledger, TEXT, "threads", notice)
    assert ledger.missing() == ledger.blocks[3:]


def test_simulate_missing__refuses_workers_with_other_code(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "warm_kernels", lambda: f"code of process {os.getpid()}")
    with serve_dask() as (address, _), pytest.raises(RunError, match="Install the same version"):
        simulate_missing(ledger, TEXT, address)
    assert ledger.missing() == ledger.blocks


def test_simulate_missing__ends_when_its_scheduler_dies(ledger: Ledger) -> None:
    with serve_dask() as (address, (scheduler, _)):

        def kill_at_once(done: int, total: int) -> None:
            if done:
                scheduler.kill()

        plan = plan_from_document(hit_document(400_000))
        long = Ledger(ledger.store, "long", plan)
        begun = time.monotonic()
        with pytest.raises(RunError, match="failed on tcp://"):
            simulate_missing(long, json.dumps(plan.document()), address, kill_at_once)
        assert time.monotonic() - begun < 60
    kept = len(long.blocks) - len(long.missing())
    assert 1 <= kept < len(long.blocks)
