"""What each function of `kernels.simd` does, in numpy: vectors are arrays of sixteen (of eight uint64).

Used where nothing is compiled, and by the tests as the meaning of what is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Vector = Any  # an array of 16 float32, 16 uint32, 8 uint64 or 16 truths; or a number in its place
Index = int | tuple[int, ...]

_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def fma(x: Vector, y: Vector, z: Vector) -> Vector:
    """x y + z, rounded once. (Here by way of float64, which rounds twice in one case of 2**29.)"""
    return np.float32(np.float64(x) * np.float64(y) + np.float64(z))


def root(x: Vector) -> Vector:
    """Square root."""
    return np.sqrt(x)


def least(x: Vector, y: Vector) -> Vector:
    """x where x < y, else y."""
    return np.where(x < y, x, y)


def most(x: Vector, y: Vector) -> Vector:
    """x where x > y, else y."""
    return np.where(x > y, x, y)


def choose(mask: Vector, x: Vector, y: Vector) -> Vector:
    """x where the mask holds, else y."""
    return np.asarray(np.where(mask, x, y), np.float32)


def choose_words(mask: Vector, x: Vector, y: Vector) -> Vector:
    """x where the mask holds, else y."""
    return np.asarray(np.where(mask, x, y), np.uint32)


def floats(x: float) -> Vector:
    """A number in every lane."""
    return np.full(16, x, np.float32)


def words(x: int) -> Vector:
    """A number in every lane."""
    return np.full(16, x, np.uint32)


def wide(x: int) -> Vector:
    """A number in every lane."""
    return np.full(8, x, np.uint64)


def lane_numbers(first: int) -> Vector:
    """first, first + 1, ... modulo 2**32."""
    return np.uint32(first) + np.arange(16, dtype=np.uint32)


def floats_of_words(x: Vector) -> Vector:
    """Numbers as floats, rounded."""
    return x.astype(np.float32)


def floats_of_signed(x: Vector) -> Vector:
    """Numbers as floats, rounded: from 2**31 on they stand for themselves less 2**32."""
    return x.view(np.int32).astype(np.float32)


def words_of_mask(mask: Vector) -> Vector:
    """1 where the mask holds, else 0."""
    return mask.astype(np.uint32)


def bits(x: Vector) -> Vector:
    """The bits of floats."""
    return x.view(np.uint32)


def floats_of_bits(x: Vector) -> Vector:
    """The floats of those bits."""
    return x.view(np.float32)


def even_words(x: Vector) -> Vector:
    """Words 0, 2, 4, ... as the lower halves of wide lanes; their upper halves hold something."""
    return x.view(np.uint64)


def odd_words(x: Vector) -> Vector:
    """Words 1, 3, 5, ..."""
    return x.view(np.uint64) >> _HALF


def multiply_low(x: Vector, y: Vector) -> Vector:
    """The whole product of lower halves."""
    return (x & _LOW) * (y & _LOW)


def join(even: Vector, odd: Vector) -> Vector:
    """The lower halves of both, taken in turn: `even_words` and `odd_words` undone."""
    return ((even & _LOW) | (odd << _HALF)).view(np.uint32)


def lanes_of(mask: Vector) -> np.uint32:
    """Lane i as bit i of a number."""
    return np.uint32(np.packbits(mask, bitorder="little").view("<u2")[0])


def count_bits(word: np.uint32) -> int:
    """How many bits are set."""
    return int(word).bit_count()


def lowest_bit(word: np.uint32) -> int:
    """The number of the lowest bit set; 32 where none is."""
    return (int(word) & -int(word)).bit_length() - 1 if word else 32


def lane_of(x: Vector, lane: int) -> float:
    """The number in one lane."""
    return float(x[lane])


def load(array: Vector, index: Index) -> Vector:
    """Sixteen neighbours in a C-contiguous array of float32 or uint32, from an element on. Unchecked."""
    first = _place(array, index)
    return array.reshape(-1)[first : first + 16].copy()


def store(array: Vector, index: Index, value: Vector) -> None:
    """Put sixteen neighbours into an array of float32, uint32, or float64 (widened). Unchecked."""
    first = _place(array, index)
    array.reshape(-1)[first : first + 16] = value


def spread(array: Vector, index: Index) -> Vector:
    """One element in every lane. Unchecked."""
    return np.full(16, array[index], array.dtype)


def gather(array: Vector, index: Vector) -> Vector:
    """The elements of a one-dimensional array at sixteen indices. Unchecked."""
    return array[index]


def _place(array: Vector, index: Index) -> int:
    return int(np.ravel_multi_index(index if isinstance(index, tuple) else (index,), array.shape))
