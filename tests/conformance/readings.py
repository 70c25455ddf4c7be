"""Where in a cube the figures of a case stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from tests.conformance.cases import Case
from tests.conformance.inputs import whole_seconds

Reader = Callable[[xr.Dataset], float]
Found = tuple[str, float, Reader | None]  # None: the cube has no such figure


class Expectation(NamedTuple):
    """A figure of the cube and its exact value."""

    label: str
    expected: float
    read: Reader


def find_figures(case: Case, accounts: list[str], horizon_s: int, leverages: list[float]) -> list[Found]:
    """Each figure of the case, with its reader: by the last horizon unless its label says another one."""
    if not isinstance(case.expected, dict):
        return [("p", case.expected, read_p(accounts[0], horizon_s))]
    found: list[Found] = []
    for label, value in case.expected.items():
        reader: Reader | None = None
        if cell := re.fullmatch(r"L([\d.]+)_h([\d.]+)", label):
            reader = read_p(accounts[0], whole_seconds(float(cell[2])), float(cell[1]) / leverages[0])
        elif len(accounts) == 2:
            first, second = (read_p(account, horizon_s) for account in accounts)
            both = read_both(accounts, horizon_s)
            reader = {
                "p1": first,
                "p2": second,
                f"p_{accounts[0]}": first,
                f"p_{accounts[1]}": second,
                "p_both": both,
                "p_joint": both,
                "p_any": read_any(first, second, both),
            }.get(label)
        found.append((label, value, reader))
    return found


def read_p(account: str, horizon_s: int, leverage: float = 1.0, scenario: str = "baseline") -> Reader:
    def read(cube: xr.Dataset) -> float:
        cells = cube.p_liquidation.sel(
            scenario=scenario, account=account, horizon=np.timedelta64(horizon_s, "s")
        )
        return float(cells.sel(leverage=leverage, method="nearest"))

    return read


def read_any(first: Reader, second: Reader, both: Reader) -> Reader:
    return lambda cube: first(cube) + second(cube) - both(cube)


def read_both(accounts: list[str], horizon_s: int, scenario: str = "baseline") -> Reader:
    def read(cube: xr.Dataset) -> float:
        at = {"scenario": scenario, "horizon": np.timedelta64(horizon_s, "s")}
        joint = cube.joint_liquidations.sel(at).sel(account=accounts[0], account_other=accounts[1])
        paths = cube.paths.sel(at).sel(account=accounts[0], leverage=1.0)
        return float(joint) / float(paths)

    return read
