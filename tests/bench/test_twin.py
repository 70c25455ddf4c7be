"""The fast walk counts, bit for bit, what the same algorithm in C++ counts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.books import TWELVE, plan_book
from benchmarks.problem import Problem, lower_problem
from benchmarks.twin import find_lack, prepare_twin
from kernels.plain import Plain
from kernels.plain_pack import pack
from kernels.plain_room import count_tiles
from kernels.plain_walk import simulate_plain_paths
from kernels.structs import create_tally
from pipeline.plan import Plan


def pack_plan(plan: Plan) -> tuple[Problem, Plain]:
    """With pairs of accounts counted at the largest leverage, since at one few are liquidated."""
    problem = lower_problem(plan)
    packed = pack(problem.market, problem.book, problem.clock)
    return problem, packed._replace(unit=problem.leverages - 1)


@pytest.mark.skipif(bool(find_lack()), reason=f"the twin needs g++ and AVX-512: {find_lack()}")
@pytest.mark.parametrize(
    ("assets", "accounts", "leverages", "paths", "tiles"),
    [(8, 16, 8, 6400, 1), (7, 5, 9, 3001, 1), (32, 4, 12, 2050, 16)],
    ids=["as timed", "odd sizes", "sorted"],
)
def test_twin__counts_are_equal(assets: int, accounts: int, leverages: int, paths: int, tiles: int) -> None:
    problem, plain = pack_plan(plan_book(assets, accounts, leverages))
    assert count_tiles(plain) == tiles
    twin = prepare_twin(
        plain, problem.seed, paths, accounts, leverages, problem.horizons, joint=problem.pairs
    )
    hits, joint = twin()
    tally = create_tally(1, accounts, leverages, problem.horizons, problem.pairs)
    simulate_plain_paths(problem.seed, 0, paths, plain, tally.hits, tally.joint, tally.last_pool)
    np.testing.assert_array_equal(np.cumsum(tally.hits[:, 0], axis=-1), hits)
    np.testing.assert_array_equal(np.cumsum(tally.joint[0], axis=0), joint)
    assert (hits[:, :, -1, -1].sum(axis=1) > 0).all()
    assert joint[-1].any()


def test_twin__refuses_what_it_does_not_know() -> None:
    problem, plain = pack_plan(plan_book(3, 2, 2, scenarios=(TWELVE[0], "gap-down-10", "funding-spike")))
    with pytest.raises(ValueError, match=r"no scenarios, no .*shocks"):
        prepare_twin(plain, problem.seed, 32, 2, 2, problem.horizons, joint=False)
