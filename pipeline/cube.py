"""Tallies become the labelled cube: names on the axes, probabilities, intervals, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL
from pipeline.aftermath import markets_of, summarise_aftermath
from pipeline.aftermath_schema import COMPONENTS
from pipeline.contagion import venues_shared
from pipeline.groups import summarise_groups
from pipeline.intervals import counted
from pipeline.margin_now import Margin, margin_now, openable
from pipeline.paired import summarise_pairs
from pipeline.plan import Plan
from pipeline.quantiles import summarise_quantiles
from pipeline.quantiles_schema import QUANTILES, TAILS
from pipeline.schema import DECLARED, EVENTS, LEVEL, QUANTITIES
from pipeline.slabs import groups_of
from pipeline.tallies import Tallies
from pipeline.venue_outcomes import summarise_venues
from pipeline.walks import describe_walk

if TYPE_CHECKING:
    import xarray as xr


MARK_OF = {"liquidations": LIQUIDATION, "margin_calls": MARGIN_CALL, "bankruptcies": BANKRUPTCY}


@dataclass(frozen=True)
class Provenance:
    """Where a cube comes from: the names of the run and of all it depends on. Hashes are hexadecimal."""

    run_id: str
    plan_hash: str
    model_hash: str
    venue_hash: str
    versions: Mapping[str, str]
    created: str
    """When the run was asked for, UTC ISO 8601."""


def build_cube(tallies: Tallies, plan: Plan, provenance: Provenance) -> xr.Dataset:
    """The cube of `pipeline.schema`: tallies with the plan's labels, estimates and 95 % intervals.

    The axes of the tallies follow the plan's order of scenarios, accounts, leverages and horizons;
    ValueError where their sizes differ. Limits stay out: they are judged when a cube is read. Pure: the
    same arguments give an identical dataset.
    """
    import xarray as xr

    coordinates = _coordinates(plan)
    sizes = tuple(len(coordinates[name]) for name in DECLARED["liquidations"].dims)
    if tallies.liquidations.shape != sizes:
        raise ValueError(f"tallies of shape {tallies.liquidations.shape} for a plan of {sizes}")
    margins = margin_now(plan)
    arrays = {**_counts(tallies), **_estimates(tallies), **_snapshot(margins)}
    if tallies.groups is not None:
        arrays |= summarise_groups(tallies, plan)
    if tallies.aftermath is not None:
        arrays |= summarise_aftermath(tallies, plan)
    if tallies.venue is not None:
        arrays |= summarise_venues(tallies)
    if tallies.histogram is not None:
        arrays |= summarise_quantiles(tallies, plan) | summarise_pairs(tallies, plan)
    used = {dim for name in arrays for dim in DECLARED[name].dims}
    return xr.Dataset(
        {name: _declared(name, array) for name, array in arrays.items()},
        coords={
            name: _declared(name, array)
            for name, array in {**coordinates, **_leverages(plan, margins)}.items()
            if used.issuperset(DECLARED[name].dims)
        },
        attrs={
            "title": plan.name,
            "plan": json.dumps({key: part for key, part in plan.document().items() if key != "limits"}),
            "warnings": json.dumps(plan.warnings()),
            "plan_hash": provenance.plan_hash,
            "run_id": provenance.run_id,
            "seed": plan.simulation.seed,
            "monitoring": plan.simulation.monitoring,
            "walk": describe_walk(plan),
            "draws": plan.draws,
            "model_hash": provenance.model_hash,
            "venue_hash": provenance.venue_hash,
            "versions": json.dumps(dict(provenance.versions), sort_keys=True),
            "created": provenance.created,
        },
    )


def encoding(cube: xr.Dataset) -> dict[str, dict[str, int]]:
    """What `to_zarr` needs: a count that was never written reads as -1, not as "0 paths liquidated"."""
    return {
        str(name): {"fill_value": -1} for name, array in cube.data_vars.items() if array.dtype.kind == "i"
    }


def _declared(name: str, array: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[Any], dict[str, str]]:
    variable = DECLARED[name]
    # numpy's own variable-width strings: the only ones zarr v3 has a specification for
    dtype = np.dtypes.StringDType() if variable.dtype == "str" else np.dtype(variable.dtype)
    return variable.dims, np.asarray(array).astype(dtype), variable.attrs


def _coordinates(plan: Plan) -> dict[str, NDArray[Any]]:
    accounts = [account.name for account in plan.accounts]
    return {
        "scenario": np.array([scenario.name for scenario in plan.scenarios]),
        "account": np.array(accounts),
        "leverage": np.array(plan.simulation.leverage),
        "horizon": np.array(plan.simulation.horizons, "timedelta64[ns]"),
        "account_other": np.array(accounts),
        "group": np.array(groups_of(plan)),
        "component": np.array(COMPONENTS),
        "market": np.array(markets_of(plan)),
        "venue": np.array(venues_shared(plan)),
        "quantile": np.array(QUANTILES),
        "tail": np.array(TAILS),
        "quantity": np.array([quantity.name for quantity in QUANTITIES]),
    }


def _leverages(plan: Plan, margins: Mapping[str, Margin]) -> dict[str, NDArray[Any]]:
    multiples = np.array(plan.simulation.leverage)
    return {
        "gross_leverage": np.outer([margin.leverage for margin in margins.values()], multiples),
        "net_leverage": np.outer([margin.net_leverage for margin in margins.values()], multiples),
        "openable": np.array(
            [
                [openable(plan, account, multiple) for multiple in plan.simulation.leverage]
                for account in plan.accounts
            ]
        ),
    }


def _snapshot(margins: Mapping[str, Margin]) -> dict[str, NDArray[Any]]:
    names = [quantity.name for quantity in QUANTITIES]
    return {
        "margin_now": np.array([[getattr(margin, name) for name in names] for margin in margins.values()])
    }


def _counts(tallies: Tallies) -> dict[str, NDArray[Any]]:
    counts: dict[str, NDArray[Any]] = {event.counts: getattr(tallies, event.counts) for event in EVENTS}
    counts["paths"] = np.full(tallies.liquidations.shape, tallies.paths)
    counts["liquidatable_now"] = tallies.liquidatable_now
    if tallies.joint is not None:
        counts["joint_liquidations"] = tallies.joint
    if tallies.all_pools is not None:
        counts["all_pools_liquidated"] = tallies.all_pools
    return counts


def _estimates(tallies: Tallies) -> dict[str, NDArray[Any]]:
    estimates: dict[str, NDArray[Any]] = {}
    for event in EVENTS:
        counts = getattr(tallies, event.counts)
        low, high = counted(counts, tallies.paths, LEVEL)
        p = counts / tallies.paths
        if event.counts != "bankruptcies":
            # known from the book itself, so nothing is left to estimate
            certain = tallies.liquidatable_now[..., np.newaxis]
            p, low, high = (np.where(certain, 1.0, bound) for bound in (p, low, high))
        estimates |= {
            event.probability: p,
            f"{event.probability}_low": low,
            f"{event.probability}_high": high,
        }
        if tallies.spread is not None:
            found = tallies.spread.interval(MARK_OF[event.counts], LEVEL)
            # with less than one path a draw their spread is that of chance
            told = np.minimum(counts, tallies.paths - counts) >= tallies.spread.draws
            for end, bound, widest in zip(("low", "high"), found, (np.minimum, np.maximum), strict=True):
                own = estimates[f"{event.probability}_{end}"]
                around = np.where(told, widest(bound, own), np.nan)
                estimates[f"{event.probability}_model_{end}"] = np.where(low == 1, 1.0, around)
    return estimates
