"""The gates that arrays pass on their way into the kernels."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.structs import MARKS, checked, checked_index, create_tally


def test_checked__makes_dtype_and_layout() -> None:
    columns_first = np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3))
    array = checked(columns_first, np.float64, (2, 3), "loading")
    assert array.dtype == np.float64
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


def test_checked__other_shape() -> None:
    with pytest.raises(ValueError, match=r"loading: expected shape \(2, 2\), got \(2, 3\)"):
        checked(np.zeros((2, 3)), np.float64, (2, 2), "loading")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_checked__not_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="drift: not finite"):
        checked([0.0, bad], np.float64, (2,), "drift")


def test_checked_index__keeps_what_is_inside() -> None:
    index = checked_index([-1, 0, 4], (3,), -1, 5, "forced")
    assert index.dtype == np.int64
    np.testing.assert_array_equal(index, [-1, 0, 4])


@pytest.mark.parametrize("bad", [-2, 5])
def test_checked_index__outside(bad: int) -> None:
    with pytest.raises(ValueError, match=r"forced: index outside \[-1, 5\)"):
        checked_index([0, bad], (2,), -1, 5, "forced")


def test_checked_index__empty() -> None:
    assert checked_index([], (0,), 0, 0, "asset").size == 0


@pytest.mark.parametrize(("joint", "pairs"), [(True, 3), (False, 0)])
def test_create_tally__zeros(joint: bool, pairs: int) -> None:
    tally = create_tally(2, 3, 4, 5, joint)
    assert tally.hits.shape == (MARKS, 2, 3, 4, 5)
    assert tally.joint.shape == (2, 5, pairs, pairs)
    assert tally.hits.dtype == tally.joint.dtype == np.int64
    assert not tally.hits.any()
