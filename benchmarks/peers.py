"""The kernel, and what does the same work beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.jax_screen import BATCH as JAX_BATCH
from benchmarks.jax_screen import has_jax, prepare_jax
from benchmarks.naive_screen import prepare_naive
from benchmarks.numpy_screen import prepare_numpy
from benchmarks.problem import Counts, Problem, Screen
from benchmarks.twin import find_lack, prepare_twin
from kernels.plain_pack import pack
from kernels.simulate import simulate_paths
from kernels.structs import create_tally


class Peer(NamedTuple):
    """Somebody who does the kernel's work."""

    name: str
    prepare: Callable[[Problem, int], Screen]
    paths: Callable[[int, int], int]  # to time it with, given the kernel's, and assets


def prepare_kernel(problem: Problem, paths: int) -> Screen:
    """The kernel, ready to be called."""

    def simulate() -> Counts:
        tally = create_tally(1, problem.accounts, problem.leverages, problem.horizons, problem.pairs)
        simulate_paths(problem.seed, 0, paths, problem.market, problem.book, problem.clock, tally)
        return np.cumsum(tally.hits[:, 0], axis=-1)

    return simulate


def prepare_twin_of(problem: Problem, paths: int) -> Screen:
    """The C++ twin, compiled and ready to be called."""
    plain = pack(problem.market, problem.book, problem.clock)
    twin = prepare_twin(
        plain, problem.seed, paths, problem.accounts, problem.leverages, problem.horizons, problem.pairs
    )
    return lambda: twin()[0]


def find_peers() -> tuple[list[Peer], list[str]]:
    """The peers that this machine can run, and why it can't run the others."""
    peers = [
        Peer("naive numpy", prepare_naive, lambda paths, assets: 1024),
        Peer("tuned numpy", prepare_numpy, lambda paths, assets: 1024 * max(1, paths // 8192)),
    ]
    missing = []
    if has_jax():
        peers.append(Peer("JAX", prepare_jax, lambda paths, assets: JAX_BATCH // assets))
    else:
        missing.append("JAX is not installed: left out (pip install jax, beside the project)")
    if lack := find_lack():
        missing.append(f"{lack}: the C++ twin is left out")
    else:
        peers.append(Peer("C++ twin", prepare_twin_of, lambda paths, assets: paths))
    return peers, missing
