"""Vectors against numpy: every function and sign, compiled, beside its twin in `kernels.simd_numpy`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import simd, simd_numpy
from kernels.jit import hot

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="interpreted, the functions are their own twins"
)

Array = NDArray[Any]


def floats(seed: int) -> Array:
    """Sixteen floats, of all sizes, with zeros and equal ones among them."""
    rng = np.random.default_rng(seed)
    some = rng.normal(size=16) * 10.0 ** rng.integers(-6, 7, 16)
    some[:3] = [0.0, -0.0, 1.5]
    return some.astype(np.float32)


def words(seed: int) -> Array:
    """Sixteen words with the extremes among them."""
    some = np.random.default_rng(seed).integers(0, 2**32, 16, dtype=np.uint64)
    some[:4] = [0, 1, 2**31, 2**32 - 1]
    return some.astype(np.uint32)


def of_floats(operation: Callable[..., Any], operands: int) -> Array:
    """What an operation on floats gives, compiled."""
    a, b, c, out = floats(1), floats(2), floats(3), np.empty(16, np.float32)
    if operands == 1:

        @hot
        def run(a: Array, b: Array, c: Array, out: Array) -> None:
            simd.store(out, 0, operation(simd.load(a, 0)))
    elif operands == 2:

        @hot
        def run(a: Array, b: Array, c: Array, out: Array) -> None:
            simd.store(out, 0, operation(simd.load(a, 0), simd.load(b, 0)))
    else:

        @hot
        def run(a: Array, b: Array, c: Array, out: Array) -> None:
            simd.store(out, 0, operation(simd.load(a, 0), simd.load(b, 0), simd.load(c, 0)))

    run(np.abs(a) if operation is simd.root else a, b, c, out)
    return out


@pytest.mark.parametrize("name", ["fma", "least", "most"])
def test_functions__of_floats_equal_their_twins(name: str) -> None:
    operands = {"fma": 3, "least": 2, "most": 2}[name]
    given = [floats(1), floats(2), floats(3)][:operands]
    np.testing.assert_array_equal(of_floats(getattr(simd, name), operands), getattr(simd_numpy, name)(*given))


def test_root__equals_its_twin() -> None:
    np.testing.assert_array_equal(of_floats(simd.root, 1), simd_numpy.root(np.abs(floats(1))))


def test_load__refuses_doubles() -> None:
    """Their bits would be read as those of floats."""

    @hot
    def run(x: Array, out: Array) -> None:
        simd.store(out, 0, simd.load(x, 0))

    with pytest.raises(numba.core.errors.TypingError, match="not float64"):
        run(np.zeros(16), np.zeros(16, np.float32))


def test_fma__is_rounded_once() -> None:
    """(1 + e)(1 - e) - 1 = -e^2, which two roundings lose."""
    e = np.float32(2.0**-13)
    a, out = np.full(16, 1 + e, np.float32), np.empty(16, np.float32)

    @hot
    def run(a: Array, out: Array) -> None:
        x = simd.load(a, 0)
        simd.store(out, 0, simd.fma(x, simd.floats(2.0) - x, -1.0))

    run(a, out)
    assert (out == -(e * e)).all()


@pytest.mark.parametrize("sign", ["+", "-", "*"])
def test_signs__of_floats_and_numbers(sign: str) -> None:
    calculate = {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign]
    for beside in (False, True):
        a, b, out = floats(1), floats(2), np.empty(16, np.float32)
        if beside:

            @hot
            def run(a: Array, b: Array, out: Array) -> None:
                simd.store(out, 0, calculate(simd.load(a, 0), 0.3))
        else:

            @hot
            def run(a: Array, b: Array, out: Array) -> None:
                simd.store(out, 0, calculate(simd.load(a, 0), simd.load(b, 0)))

        run(a, b, out)
        np.testing.assert_array_equal(out, calculate(a, np.float32(0.3) if beside else b))


@pytest.mark.parametrize("sign", ["add", "sub", "mul", "and_", "or_", "xor"])
def test_signs__of_words(sign: str) -> None:
    calculate = getattr(operator, sign)
    a, b, out = words(1), words(2), np.empty(16, np.uint32)

    @hot
    def run(a: Array, b: Array, out: Array) -> None:
        simd.store(out, 0, calculate(simd.load(a, 0), simd.load(b, 0)))

    run(a, b, out)
    np.testing.assert_array_equal(out, calculate(a, b))


def test_signs__shifts_fill_with_zeros() -> None:
    a, out = words(1), np.empty((2, 16), np.uint32)

    @hot
    def run(a: Array, out: Array) -> None:
        simd.store(out, (0, 0), simd.load(a, 0) << 5)
        simd.store(out, (1, 0), simd.load(a, 0) >> 5)

    run(a, out)
    np.testing.assert_array_equal(out, [a << 5, a >> 5])


@pytest.mark.parametrize("sign", ["lt", "le", "gt", "ge", "eq"])
def test_signs__comparisons_as_lanes(sign: str) -> None:
    compare = getattr(operator, sign)
    a, b, found = floats(1), floats(2), np.zeros(2, np.uint32)
    b[5] = a[5]
    v, w = words(1), words(2)

    @hot
    def run(a: Array, b: Array, v: Array, w: Array, found: Array) -> None:
        found[0] = simd.lanes_of(compare(simd.load(a, 0), simd.load(b, 0)))
        found[1] = simd.lanes_of(compare(simd.load(v, 0), simd.load(w, 0)))

    run(a, b, v, w, found)
    assert found[0] == simd_numpy.lanes_of(compare(a, b))
    assert found[1] == simd_numpy.lanes_of(compare(v, w))


def test_functions__of_words_equal_their_twins() -> None:
    a, b = words(1), words(2)
    out, as_floats, counts = (
        np.empty((6, 16), np.uint32),
        np.empty((4, 16), np.float32),
        np.zeros(4, np.int64),
    )

    @hot
    def run(a: Array, b: Array, out: Array, as_floats: Array, counts: Array) -> None:
        v, w = simd.load(a, 0), simd.load(b, 0)
        smaller = v < w
        simd.store(out, (0, 0), simd.choose_words(smaller, v, w))
        simd.store(out, (1, 0), simd.words_of_mask(smaller))
        simd.store(out, (2, 0), simd.join(simd.even_words(v), simd.odd_words(v)))
        product = simd.multiply_low(simd.even_words(v), simd.odd_words(w))
        simd.store(out, (3, 0), simd.join(product, product >> 32))
        simd.store(out, (4, 0), simd.lane_numbers(np.uint32(2**32 - 5)))
        simd.store(out, (5, 0), simd.bits(simd.floats_of_words(v)))
        simd.store(as_floats, (0, 0), simd.floats_of_words(v))
        simd.store(as_floats, (1, 0), simd.floats_of_signed(v))
        simd.store(as_floats, (2, 0), simd.choose(smaller, simd.floats(1.25), simd.floats(2.5)))
        simd.store(as_floats, (3, 0), simd.floats_of_bits(simd.words(0x40490FDB)))
        counts[0] = simd.count_bits(simd.lanes_of(smaller))
        counts[1] = simd.lowest_bit(np.uint32(0b1010_0000))
        counts[2] = simd.lowest_bit(np.uint32(0))
        counts[3] = np.int64(simd.lane_of(simd.floats_of_words(v), 1))

    run(a, b, out, as_floats, counts)
    twin = simd_numpy
    product = twin.multiply_low(twin.even_words(a), twin.odd_words(b))
    np.testing.assert_array_equal(
        out,
        [
            twin.choose_words(a < b, a, b),
            twin.words_of_mask(a < b),
            a,
            twin.join(product, product >> np.uint64(32)),
            twin.lane_numbers(2**32 - 5),
            twin.bits(twin.floats_of_words(a)),
        ],
    )
    np.testing.assert_array_equal(
        as_floats,
        [
            twin.floats_of_words(a),
            twin.floats_of_signed(a),
            twin.choose(a < b, twin.floats(1.25), twin.floats(2.5)),
            twin.floats_of_bits(twin.words(0x40490FDB)),
        ],
    )
    lanes = twin.lanes_of(a < b)
    assert counts.tolist() == [twin.count_bits(lanes), 5, 32, 1]
    assert twin.lowest_bit(np.uint32(0b1010_0000)) == 5


def test_load_store_spread_gather__places() -> None:
    source = np.arange(96, dtype=np.float32).reshape(2, 48)
    index = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3], np.uint32)
    out, widened = np.zeros((3, 16), np.float32), np.zeros((2, 20))

    @hot
    def run(source: Array, flat: Array, index: Array, out: Array, widened: Array) -> None:
        simd.store(out, (0, 0), simd.load(source, (1, 7)))
        simd.store(out, (1, 0), simd.spread(source, (1, 5)))
        simd.store(out, (2, 0), simd.gather(flat, simd.load(index, 0)))
        simd.store(widened, (1, 4), simd.load(source, (0, 16)))

    run(source, source.ravel(), index, out, widened)
    np.testing.assert_array_equal(
        out,
        [
            simd_numpy.load(source, (1, 7)),
            simd_numpy.spread(source, (1, 5)),
            simd_numpy.gather(source.ravel(), index),
        ],
    )
    assert widened[0].sum() == 0.0
    assert widened[1].tolist() == [0] * 4 + list(range(16, 32))
