"""The work of the kernel in JAX, if it is installed: float32, one compiled program, a scan over the steps.

Every regime is correlated for all paths and each path takes its own: shapes are fixed, so paths can't be
grouped. The t-mixing number comes from the kernel's own table, which is faster than drawing a gamma. Its
random numbers are JAX's own, so that counts agree with the kernel's in law, not one by one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

import numpy as np

from benchmarks.problem import Counts, Problem, Screen, by_leverage, rows_of
from kernels.plain import SMALLEST_OCTAVE
from kernels.plain_pack import pack
from kernels.structs import CELL_BITS, MARKS

# The best of those measured: threefry2x32 (with its older order of draws), rbg and unsafe_rbg; 512 to 16,384
# paths at a time. With few assets a step's own cost wants more paths.
GENERATOR = "threefry2x32"
BATCH = 131_072  # paths x assets


def has_jax() -> bool:
    """Whether JAX can be imported."""
    return importlib.util.find_spec("jax") is not None


def prepare_jax(problem: Problem, paths: int) -> Screen:
    """Compiled, ready to be called."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_threefry_partitionable", False)
    batch = min(paths, BATCH // problem.market.spot.size)
    assert paths % batch == 0
    program = jax.jit(_write_program(jax, problem, batch))

    def simulate() -> Counts:
        key = jax.random.key(problem.seed, impl=GENERATOR)
        total: Any = 0
        for number in range(paths // batch):
            total = total + np.asarray(program(jax.random.fold_in(key, number)), np.int64)
        return by_leverage(total, problem.book)

    return simulate


def _write_program(jax: Any, problem: Problem, paths: int) -> Any:
    np_ = jax.numpy
    market, book, clock = problem.market, problem.book, problem.clock
    assets, regimes = market.spot.size, market.transitions.shape[0]
    size, requirement = rows_of(book, assets)
    rows = np_.asarray(((size - requirement) * market.spot).reshape(-1, assets), np_.float32)
    loading = np_.asarray(market.loading[0, :, :, :assets], np_.float32)
    drift = np_.asarray(market.drift[0], np_.float32)
    initial = np_.asarray(market.initial[0, :-1], np_.float32)
    transitions = np_.asarray(market.transitions[:, :-1], np_.float32)
    threshold = np_.asarray(book.threshold + book.base[:, None], np_.float32)
    plain = pack(market, book, clock)
    table = np_.asarray(plain.mixing_table)
    start = np_.asarray(plain.mixing[0].astype(np.int32))
    half = int((plain.mixing_table.size - 1) // (market.mixing_tables.shape[0] + 1) // 2)
    shift = 23 - CELL_BITS

    def choose(regime: Any, values: Any) -> Any:
        chosen = values[0]
        for k in range(1, regimes):
            chosen = np_.where(regime == k, values[k], chosen)
        return chosen

    def mix(u: Any, regime: Any) -> Any:
        upper = u > 0.5
        bits = jax.lax.bitcast_convert_type(np_.where(upper, 1.0 - u, u), np_.int32)
        cell = choose(regime, start) + upper * half + (bits >> shift) - ((127 + SMALLEST_OCTAVE) << CELL_BITS)
        share = (bits & ((1 << shift) - 1)).astype(np_.float32) * np_.float32(2.0**-shift)
        return table[cell] + share * (table[cell + 1] - table[cell])

    def advance(state: tuple[Any, Any, Any, Any], key: Any) -> tuple[tuple[Any, Any, Any, Any], None]:
        price, lowest, regime, started = state
        key_uniform, key_normal = jax.random.split(key)
        u = jax.random.uniform(key_uniform, (2, paths), np_.float32, minval=2.0**-25)
        law = [np_.where(started, choose(regime, transitions[:, c]), initial[c]) for c in range(regimes - 1)]
        regime = sum(((u[0] > bound).astype(np_.int32) for bound in law), np_.zeros(paths, np_.int32))
        normal = jax.random.normal(key_normal, (assets, paths), np_.float32)
        weight = mix(u[1], regime)
        move = drift[0][:, None] + weight * (loading[0] @ normal)
        for k in range(1, regimes):
            move = np_.where(regime == k, drift[k][:, None] + weight * (loading[k] @ normal), move)
        price = price * np_.exp(move)
        return (price, np_.minimum(lowest, rows @ price), regime, True), None

    def simulate(key: Any) -> Any:
        keys = jax.random.split(key, clock.steps)
        state = (
            np_.ones((assets, paths), np_.float32),
            np_.full((rows.shape[0], paths), np_.inf, np_.float32),
            np_.zeros(paths, np_.int32),
            False,
        )
        counts, first = [], 0
        for end in np.flatnonzero(clock.ends[: clock.steps]).tolist():
            state, _ = jax.lax.scan(advance, state, keys[first : end + 1])
            least = state[1].reshape(MARKS, -1, 1, paths)
            counts.append((least < threshold[..., None]).sum(axis=-1))
            first = end + 1
        return np_.stack(counts, axis=-1)

    return simulate
