"""Group variables: from sums over paths to probabilities and means with intervals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import beta

from kernels import structs
from pipeline.cube import build_cube
from pipeline.group_summary import summarise_groups as summarise_cube
from pipeline.groups import summarise_groups
from pipeline.plan import Plan, plan_from_document
from pipeline.run import run
from pipeline.tallies import Tallies
from tests.cubes import PROVENANCE, plan_document, small_tallies
from tests.runs import hit_document

PATHS = 1_000


def grouped_plan() -> Plan:
    document = plan_document()
    for account in document["accounts"][:2]:
        account["group"] = "desk"
    return plan_from_document(document)


def grouped_tallies(plan: Plan, **sums: Any) -> Tallies:
    """Tallies of one group whose paths all count the same: sums over them by moment."""
    groups = np.zeros((structs.MOMENTS, 3, 1, 4, 3), np.int64)
    for name, value in sums.items():
        groups[getattr(structs, name)] = value
    tallies = replace(small_tallies(), paths=PATHS, groups=groups, quantum=np.array([0.25]))
    halved = {name: np.minimum(getattr(tallies, name), PATHS) for name in ("liquidations", "margin_calls")}
    return replace(tallies, **halved, bankruptcies=np.minimum(tallies.bankruptcies, PATHS))


def found_for(**sums: Any) -> dict[str, float]:
    """The figures at leverage 1 in the baseline."""
    plan = grouped_plan()
    return {
        name: float(array[0, 0, 1, 0])
        for name, array in summarise_groups(grouped_tallies(plan, **sums), plan).items()
    }


def test_summarise_groups__means_and_intervals_are_those_of_the_paths() -> None:
    rng = np.random.default_rng(4)
    number = rng.integers(0, 3, PATHS)
    equity = rng.normal(2e8, 3e8, PATHS).round().astype(np.int64)
    short = np.maximum(-equity, 0)
    squares = [(value, [int(v) ** 2 for v in value]) for value in (equity, short)]
    (_, of_equity), (_, of_short) = squares
    found = found_for(
        ANY=(number > 0).sum(),
        ALL=(number == 2).sum(),
        LIQUIDATED=number.sum(),
        LIQUIDATED_SQUARE=(number**2).sum(),
        EQUITY=equity.sum(),
        EQUITY_HIGH=sum(v >> 32 for v in of_equity),
        EQUITY_LOW=sum(v & 0xFFFFFFFF for v in of_equity),
        SHORTFALL=short.sum(),
        SHORTFALL_HIGH=sum(v >> 32 for v in of_short),
        SHORTFALL_LOW=sum(v & 0xFFFFFFFF for v in of_short),
    )
    assert found["p_group_any"] == (number > 0).mean()
    assert found["p_group_all"] == (number == 2).mean()
    for name, sample in (("liquidated", number), ("equity", 0.25 * equity), ("shortfall", 0.25 * short)):
        half = 1.959963984540054 * sample.std(ddof=1) / np.sqrt(PATHS)
        expected = [sample.mean(), sample.mean() - half, sample.mean() + half]
        got = [found[f"group_{name}_mean{end}"] for end in ("", "_low", "_high")]
        assert got == pytest.approx(expected, rel=1e-9)


def test_summarise_groups__never_a_bare_zero() -> None:
    found = found_for(EQUITY=4 * PATHS, EQUITY_LOW=16 * PATHS)
    assert found["p_group_any"] == found["p_group_all"] == found["group_liquidated_mean"] == 0
    bound = beta.ppf(0.975, 1, PATHS)
    assert found["p_group_any_high"] == found["p_group_all_high"] == pytest.approx(bound)
    assert found["group_liquidated_mean_high"] == pytest.approx(2 * bound)
    assert found["group_equity_mean"] == found["group_equity_mean_low"] == 1.0
    assert found["group_shortfall_mean"] == 0
    assert np.isnan(found["group_shortfall_mean_high"])


def test_summarise_groups__known_at_as_of_needs_no_interval() -> None:
    plan = grouped_plan()
    tallies = grouped_tallies(plan, ANY=3, ALL=1)
    now = tallies.liquidatable_now.copy()
    now[0, 0, 1] = True
    found = summarise_groups(replace(tallies, liquidatable_now=now), plan)
    assert found["p_group_any_low"][0, 0, 1, 0] == found["p_group_any"][0, 0, 1, 0] == 1
    assert found["p_group_all"][0, 0, 1, 0] == 1 / PATHS
    now[0, 1, 1] = True
    found = summarise_groups(replace(tallies, liquidatable_now=now), plan)
    assert found["p_group_all_low"][0, 0, 1, 0] == 1


def two_venues() -> dict[str, Any]:
    """A basis desk over two pools that lean on one another, and an account beside it."""
    document = hit_document(2_000)
    other = {**document["accounts"][1], "name": "other side"}
    other["positions"] = [{"market": "BTC-USD", "size": -4, "entry": 61_000}]
    document["accounts"][1]["group"] = other["group"] = "basis"
    document["accounts"].append(other)
    return document


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return run(plan_from_document(two_venues()), tmp_path_factory.mktemp("store"))


def test_build_cube__group_counts_lie_between_their_members(cube: xr.Dataset) -> None:
    members = cube["liquidations"].sel(account=["directional", "other side"]).transpose("account", ...).values
    some = cube["group_any_liquidated"].isel(group=0).values
    every = cube["group_all_liquidated"].isel(group=0).values
    assert (some >= members.max(axis=0)).all()
    assert (every <= members.min(axis=0)).all()
    np.testing.assert_array_equal(some + every, members.sum(axis=0))  # two members
    mean = cube["group_liquidated_mean"].isel(group=0).values
    np.testing.assert_allclose(mean * 2_000, members.sum(axis=0))
    # at leverage 1 a long and a short of the same size: one dies of what feeds the other
    assert (some > members.max(axis=0)).any()
    np.testing.assert_array_equal(
        cube["joint_liquidations"].sel(account="directional", account_other="other side").values,
        cube["group_all_liquidated"].isel(group=0).sel(leverage=1).values,
    )


def test_build_cube__group_equity_of_a_hedge_is_known(cube: xr.Dataset) -> None:
    # long and short of one market: profit of one is loss of the other, funding too
    equity = 2 * 25_000 + 4 * (61_250 - 61_000) - 4 * (61_250 - 61_000)
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(cube[f"group_equity_mean{end}"].values, equity, rtol=1e-6)
    assert (cube["group_shortfall_mean"].values > 0).any()


def test_build_cube__without_groups_has_no_group_variables() -> None:
    plain = build_cube(small_tallies(), plan_from_document(plan_document()), PROVENANCE)
    assert "group" not in plain.coords
    assert not [name for name in plain if "group" in str(name)]
    assert summarise_cube(plain) == ()


def test_summarise_cube__says_what_the_cube_says(cube: xr.Dataset) -> None:
    (group,) = summarise_cube(cube)
    at_end = cube.sel(leverage=1.0, scenario="baseline").isel(horizon=-1, group=0)
    assert (group.group, group.accounts) == ("basis", 2)
    assert group.mean == float(at_end["group_liquidated_mean"])
    assert group.any.estimate.split()[0] in f"{100 * float(at_end['p_group_any']):.3f}"
    for event, told in (("p_group_any", group.worst_for_any), ("p_group_all", group.worst_for_all)):
        others = cube[event].sel(leverage=1.0, scenario=["gap-down-10", "storm"])
        worst = int(np.argmax(others.isel(horizon=-1, group=0).values))
        assert told == str(others["scenario"].values[worst])
