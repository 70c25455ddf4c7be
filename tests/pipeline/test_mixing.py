from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from kernels.structs import CELL_BITS, CELLS, LOWEST_OCTAVE
from pipeline.mixing import mixing_table

WITHIN_OCTAVE = 2**CELL_BITS


def edge(cell: int) -> float:
    """The uniform at a cell's lower edge: octaves from 2**LOWEST_OCTAVE, each in equal parts."""
    octave, part = divmod(cell, WITHIN_OCTAVE)
    return float(2.0 ** (LOWEST_OCTAVE + octave) * (1 + part / WITHIN_OCTAVE))


@pytest.mark.parametrize("nu", [2.05, 3.0, 4.0, 30.0, 1000.0])
@pytest.mark.parametrize("cell", [0, 1, WITHIN_OCTAVE, CELLS // 2, CELLS - WITHIN_OCTAVE, CELLS - 2])
def test_mixing_table__is_the_inverse_law_of_the_t(nu: float, cell: int) -> None:
    table = mixing_table(nu)
    assert table.shape == (2, CELLS)
    assert table[0, cell] == pytest.approx(np.sqrt((nu - 2) / chi2.ppf(edge(cell), nu)), rel=1e-9)
    assert table[1, cell] == pytest.approx(np.sqrt((nu - 2) / chi2.isf(edge(cell), nu)), rel=1e-9)


def test_mixing_table__meets_in_the_middle_and_never_rises() -> None:
    table = mixing_table(3.0)
    assert table[0, -1] == pytest.approx(table[1, -1], rel=1e-14)
    assert table[0, -1] == pytest.approx(np.sqrt(1 / chi2.ppf(0.5, 3.0)), rel=1e-12)
    assert np.all(np.diff(table[0]) <= 0)
    assert np.all(np.diff(table[1]) >= 0)


@pytest.mark.parametrize("nu", [4.0, 12.0])
def test_mixing_table__leaves_the_covariance_as_it_was(nu: float) -> None:
    # E[w^2] by the trapezium rule over u, both halves of (0, 1)
    u = np.array([edge(cell) for cell in range(CELLS - 1)] + [0.5])
    low, high = mixing_table(nu)
    assert np.trapezoid(low**2, u) + np.trapezoid(high**2, u) == pytest.approx(1.0, abs=2e-3)
