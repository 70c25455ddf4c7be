"""The table from which a kernel reads the Student-t's mixing number."""

from __future__ import annotations

import numpy as np
from scipy.special import gammainccinv, gammaincinv

from kernels.structs import CELL_BITS, CELLS, LOWEST_OCTAVE, Floats


def mixing_table(nu: float) -> Floats:
    """w = sqrt((nu - 2) / chi2 quantile) at the edges of the kernel's cells, (2, CELLS).

    The first row is by u, the second by 1 - u, each from 2**-54 to one half; nu > 2. With w times a normal
    vector the covariance stays what it was, and the tails are those of a multivariate Student-t.
    """
    cell = np.arange(CELLS)
    octave = 2.0 ** (LOWEST_OCTAVE + (cell >> CELL_BITS))
    u = octave * (1.0 + (cell % 2**CELL_BITS) / 2**CELL_BITS)
    u[-1] = 0.5  # never read past: the fraction within the last cell is zero
    below = 2.0 * gammaincinv(0.5 * nu, np.minimum(u, 0.5))
    above = 2.0 * gammainccinv(0.5 * nu, np.minimum(u, 0.5))
    return np.asarray(np.sqrt((nu - 2.0) / np.stack([below, above])), np.float64)
