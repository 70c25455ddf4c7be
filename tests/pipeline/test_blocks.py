from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.blocks import LANES, LARGEST_BATCH, PATH_BATCHES, Block, plan_blocks


@given(paths=st.integers(1, 10**7), slabs=st.integers(1, 7), size=st.none() | st.integers(100_000, 10**7))
def test_plan_blocks__covers_every_path_of_every_slab_once(paths: int, slabs: int, size: int | None) -> None:
    blocks = plan_blocks(paths, slabs, size)
    assert len({block.key for block in blocks}) == len(blocks)
    assert list(blocks) == sorted(blocks)
    for slab in range(slabs):
        mine = [b for b in blocks if b.slab == slab]
        assert mine[0].first_path == 0
        assert all(b.first_path + b.paths == after.first_path for b, after in pairwise(mine))
        assert mine[-1].first_path + mine[-1].paths == paths
        assert all(b.paths > 0 for b in mine)
    assert len(blocks) == slabs * (blocks[-1].batch + 1)


@pytest.mark.parametrize(
    ("paths", "sizes"),
    [
        (1, [1]),
        (64, [64]),
        (65, [64, 1]),
        (PATH_BATCHES * LANES, [LANES] * PATH_BATCHES),
        (PATH_BATCHES * LANES + 1, [2 * LANES] * 16 + [1]),
        (200_000, [6_272] * 31 + [5_568]),
    ],
)
def test_plan_blocks__cuts_into_at_most_32_batches_of_whole_lanes(paths: int, sizes: list[int]) -> None:
    assert [block.paths for block in plan_blocks(paths, 1)] == sizes


def test_plan_blocks__has_more_batches_rather_than_longer_ones() -> None:
    blocks = plan_blocks(40 * LARGEST_BATCH, 1)
    assert len(blocks) == 40
    assert {block.paths for block in blocks} == {LARGEST_BATCH}


def test_block__key_names_batch_and_slab() -> None:
    assert Block(3, 192, 64, 2).key == "000003-000002"
