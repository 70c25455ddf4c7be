"""The schema: what it declares is what a cube holds, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.margin_now import Margin
from pipeline.schema import ATTRIBUTES, COORDINATES, DECLARED, QUANTITIES, VARIABLES, Variable
from tests.cubes import full_cube


def test_schema__names_are_unique() -> None:
    assert len(DECLARED) == len(COORDINATES) + len(VARIABLES)


def test_schema__is_all_that_a_cube_holds() -> None:
    cube = full_cube()
    assert set(cube.coords) == {variable.name for variable in COORDINATES}
    assert set(cube.data_vars) == {variable.name for variable in VARIABLES}
    assert set(cube.attrs) == set(ATTRIBUTES)


@pytest.mark.parametrize("variable", DECLARED.values(), ids=lambda variable: variable.name)
def test_schema__dims_dtype_and_words_are_in_the_cube(variable: Variable) -> None:
    array = full_cube()[variable.name]
    assert array.dims == variable.dims
    dtype = np.dtypes.StringDType() if variable.dtype == "str" else np.dtype(variable.dtype)
    assert array.dtype == dtype
    assert array.attrs["definition"].endswith(".")
    assert array.attrs["long_name"]
    assert array.attrs.get("units") == (None if variable.dtype.startswith("timedelta") else variable.units)


def test_quantities__are_the_fields_of_a_margin_in_order() -> None:
    assert [*(quantity.name for quantity in QUANTITIES), "pools"] == list(Margin.__dataclass_fields__)
