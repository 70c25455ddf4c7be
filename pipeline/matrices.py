"""A correlation matrix as people type it: rows of numbers, checked against what a correlation matrix is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pipeline.correlation import PSD_TOLERANCE, pairs_to_blame, smallest_eigenvalue
from pipeline.faults import Fault, Loc, refuse
from pipeline.units import Finite

Rows = tuple[tuple[float, ...], ...]
SYMMETRY_TOLERANCE = 1e-12


def matrix_faults(rows: Sequence[Sequence[float]]) -> list[Fault]:
    """What keeps rows of finite numbers from being a correlation matrix, eigenvalues left aside."""
    size = len(rows)
    ragged = [
        Fault((i,), f"{size} numbers, as there are {size} rows", f"{len(row)}", "make the matrix square")
        for i, row in enumerate(rows)
        if len(row) != size
    ]
    if ragged:
        return ragged
    faults: list[Fault] = []
    for i, row in enumerate(rows):
        if row[i] != 1:
            faults.append(Fault((i, i), "1 on the diagonal", f"{row[i]}", "write 1"))
        for j in range(i):
            if abs(row[j]) > 1 or abs(rows[j][i]) > 1:
                loc: Loc = (i, j) if abs(row[j]) > 1 else (j, i)
                faults.append(
                    Fault(
                        loc,
                        "a correlation between -1 and 1",
                        f"{rows[int(loc[0])][int(loc[1])]}",
                        "correct it",
                    )
                )
            elif abs(row[j] - rows[j][i]) > SYMMETRY_TOLERANCE:
                got = f"{row[j]}, but {rows[j][i]} in row {j + 1}, column {i + 1}"
                faults.append(Fault((i, j), "a symmetric matrix", got, "make the two equal"))
    return faults


def definiteness_fault(
    loc: Loc, rows: Sequence[Sequence[float]], names: Sequence[str], fix: str
) -> list[Fault]:
    """The fault of a symmetric matrix with a negative eigenvalue; none where it is positive semidefinite.

    `names` are the assets of the rows; where their number is another one, pairs are named by row and column.
    """
    lowest = smallest_eigenvalue(rows)
    if lowest >= -PSD_TOLERANCE:
        return []
    labels = list(names) if len(names) == len(rows) else [str(i + 1) for i in range(len(rows))]
    pairs = ", ".join(f"{labels[i]}/{labels[j]} ({rows[i][j]:g})" for i, j in pairs_to_blame(rows))
    got = f"smallest eigenvalue {lowest:.4g}; pairs most to blame: {pairs}"
    return [Fault(loc, "a positive semidefinite matrix: correlations that can hold together", got, fix)]


def _check_matrix(rows: Rows) -> Rows:
    refuse(matrix_faults(rows))
    return rows


def plain_rows(value: object) -> Any:
    """Rows as lists; anything else, which may stand in their place, as it is."""
    return [list(row) for row in value] if isinstance(value, tuple) else value


CorrelationRows = Annotated[
    tuple[Annotated[tuple[Finite, ...], Field(min_length=1)], ...], AfterValidator(_check_matrix)
]
