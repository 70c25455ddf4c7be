"""Correlation matrices: what is wrong with one, the nearest valid one, and stresses that keep it valid.

All matrices are (asset, asset), float64, dimensionless. A correlation matrix is symmetric, has ones on its
diagonal and no negative eigenvalue (a singular one is valid).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

# eigenvalues of a singular matrix come out of float64 arithmetic as small negative numbers
PSD_TOLERANCE = 1e-10


def smallest_eigenvalue(matrix: ArrayLike) -> float:
    """Smallest eigenvalue of a symmetric matrix; below -PSD_TOLERANCE it is not positive semidefinite."""
    return float(np.linalg.eigvalsh(_symmetric(matrix))[0])


def pairs_to_blame(matrix: ArrayLike, count: int = 3) -> tuple[tuple[int, int], ...]:
    """Pairs (i, j), i < j, most to blame for a matrix not being positive semidefinite, worst first.

    At most `count` of them; none where it is positive semidefinite. With v the eigenvector of the smallest
    eigenvalue, that eigenvalue is sum_i m_ii v_i^2 + 2 sum_{i<j} m_ij v_i v_j: pairs with the most negative
    terms are to blame.
    """
    m = _symmetric(matrix)
    values, vectors = np.linalg.eigh(m)
    if values[0] >= -PSD_TOLERANCE:
        return ()
    v = vectors[:, 0]
    row, column = np.triu_indices(len(m), 1)
    share = 2 * m[row, column] * v[row] * v[column]
    worst = np.argsort(share, kind="stable")[:count]
    return tuple((int(row[k]), int(column[k])) for k in worst if share[k] < 0)


def equicorrelation(size: int, rho: float) -> Matrix:
    """The (size, size) matrix with `rho` off the diagonal; ValueError below -1/(size - 1) or above 1."""
    lowest = -1.0 / (size - 1) if size > 1 else -1.0
    if size < 1 or not lowest <= rho <= 1:
        raise ValueError(f"an equicorrelation of {size} assets lies in [{lowest:.6g}, 1], got {rho}")
    return np.where(np.eye(size, dtype=bool), 1.0, rho)


def nearest_correlation(
    matrix: ArrayLike, tolerance: float = 1e-12, max_rounds: int = 100_000
) -> tuple[Matrix, float]:
    """The correlation matrix nearest to a symmetric one in the Frobenius norm, and its distance in that norm.

    Projections in turn on the positive semidefinite cone (with Dykstra's correction) and on the matrices of
    unit diagonal, until no element moves by more than `tolerance`; RuntimeError where `max_rounds` are not
    enough. Source: N. J. Higham, IMA J. Numer. Anal. 22 (2002) 329, algorithm 3.3.
    """
    given = _symmetric(matrix)
    correction = np.zeros_like(given)
    nearest = given.copy()
    for _ in range(max_rounds):
        before = nearest
        shifted = nearest - correction
        cone = _positive_part(shifted)
        correction = cone - shifted
        nearest = cone.copy()
        np.fill_diagonal(nearest, 1.0)
        if np.abs(nearest - before).max() <= tolerance and np.abs(nearest - cone).max() <= 100 * tolerance:
            # the cone's own point, rescaled, so that the result is positive semidefinite to rounding
            scale = np.sqrt(np.diag(cone))
            nearest = cone / np.outer(scale, scale)
            np.fill_diagonal(nearest, 1.0)
            return nearest, float(np.linalg.norm(nearest - given))
    raise RuntimeError(f"no nearest correlation matrix within {max_rounds} rounds at tolerance {tolerance}")


def blend_correlation(matrix: ArrayLike, target: ArrayLike, weight: float) -> Matrix:
    """(1 - weight) matrix + weight target: positive semidefinite whenever both are, for a weight in [0, 1].

    ValueError where the weight is outside [0, 1] or the blend is not positive semidefinite: it is never bent
    silently.
    """
    a, b = _symmetric(matrix), _symmetric(target)
    if a.shape != b.shape:
        raise ValueError(f"a target of shape {b.shape} can't be blended into a matrix of shape {a.shape}")
    if not 0 <= weight <= 1:
        raise ValueError(f"a blend's weight lies between 0 and 1, got {weight}")
    blend = (1 - weight) * a + weight * b
    if (lowest := smallest_eigenvalue(blend)) < -PSD_TOLERANCE:
        raise ValueError(
            f"the blend is not positive semidefinite: smallest eigenvalue {lowest:.6g}, "
            f"pairs most to blame {pairs_to_blame(blend)}; take a target without negative eigenvalues"
        )
    return blend


def log_correlation(matrix: ArrayLike) -> NDArray[np.float64]:
    """Off-diagonal elements of the matrix logarithm of a positive definite correlation matrix.

    Length n (n - 1) / 2, in the order of the rows above the diagonal: (1,2), (1,3), ..., (2,3), ... Any real
    numbers are the image of exactly one correlation matrix, so that these are the coordinates to perturb,
    draw or interpolate in. ValueError where the matrix is singular. Source: I. Archakov and P. R. Hansen,
    Econometrica 89 (2021) 1699.
    """
    values, vectors = np.linalg.eigh(_symmetric(matrix))
    if values[0] <= 0:
        raise ValueError(
            f"a singular correlation matrix has no logarithm: smallest eigenvalue {values[0]:.6g}"
        )
    logarithm = (vectors * np.log(values)) @ vectors.T
    return np.asarray(logarithm[np.triu_indices(len(values), 1)])


def correlation_from_log(gamma: ArrayLike, tolerance: float = 1e-14, max_rounds: int = 10_000) -> Matrix:
    """The correlation matrix whose logarithm has `gamma` off the diagonal: the inverse of `log_correlation`.

    The logarithm's diagonal is the fixed point of x <- x - log diag exp(A[x]), a contraction. ValueError
    where the length of `gamma` is not n (n - 1) / 2, RuntimeError where `max_rounds` are not enough. Source:
    as `log_correlation`.
    """
    elements = np.asarray(gamma, np.float64)
    size = round((1 + np.sqrt(1 + 8 * elements.size)) / 2)
    if elements.ndim != 1 or size * (size - 1) // 2 != elements.size:
        raise ValueError(f"{elements.size} numbers are not the off-diagonal elements of a square matrix")
    logarithm = np.zeros((size, size))
    logarithm[np.triu_indices(size, 1)] = elements
    logarithm += logarithm.T
    for _ in range(max_rounds):
        values, vectors = np.linalg.eigh(logarithm)
        exponential = (vectors * np.exp(values)) @ vectors.T
        move = np.log(np.diag(exponential))
        if np.abs(move).max() <= tolerance * (1 + np.abs(values).max()):
            np.fill_diagonal(exponential, 1.0)
            return np.asarray((exponential + exponential.T) / 2)
        logarithm[np.diag_indices(size)] -= move
    raise RuntimeError(f"no correlation matrix within {max_rounds} rounds at tolerance {tolerance}")


def _symmetric(matrix: ArrayLike) -> Matrix:
    m = np.asarray(matrix, np.float64)
    if m.ndim != 2 or m.shape[0] != m.shape[1] or m.size == 0 or not np.isfinite(m).all():
        raise ValueError(f"expected a square matrix of finite numbers, got shape {m.shape}")
    if not np.allclose(m, m.T, rtol=0, atol=1e-12):
        row, column = np.unravel_index(np.abs(m - m.T).argmax(), m.shape)
        raise ValueError(
            f"expected a symmetric matrix; elements ({row}, {column}) and ({column}, {row}) differ"
        )
    return (m + m.T) / 2


def _positive_part(matrix: Matrix) -> Matrix:
    """The nearest positive semidefinite matrix: negative eigenvalues set to zero."""
    values, vectors = np.linalg.eigh(matrix)
    part = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return np.asarray((part + part.T) / 2)
