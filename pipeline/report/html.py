"""The report as one HTML page: no script, no network, the same bytes for the same cube and limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.aftermath_summary import (
    AftermathSummary,
    find_worst_after,
    has_aftermath,
    summarise_accounts_after,
)
from pipeline.group_summary import summarise_groups
from pipeline.intervals import counted
from pipeline.quantile_summary import QuantileSummary, has_quantiles, summarise_quantiles_of
from pipeline.report.assumptions import describe_effect, describe_model, list_not_modelled
from pipeline.report.figures import LINES, draw_after, draw_by_horizon, draw_heat_maps
from pipeline.report.venue_figure import draw_venues
from pipeline.report.venues import describe_venue, list_markets, venues_of
from pipeline.schema import EVENTS, LEVEL, QUANTITIES, VARIABLES
from pipeline.summary import BASELINE, Summary, summarise_accounts
from pipeline.venue_summary import has_venues, summarise_venues
from pipeline.verdict import Judgement, find_worst, model_ends
from pipeline.wording import Chance, chance, duration, money, multiple, percent, ratio, share

if TYPE_CHECKING:
    import xarray as xr

MOST_HEAT_MAPS = 12
MOST_TABLES = 100
MOST_NAMED = 5
MOST_PANELS = 4
MARK = {"OK": "●", "WATCH": "▲", "BREACH": "■"}


class ScenarioRow(NamedTuple):
    """An account under a scenario: P(liquidation) by each horizon, the other events by the longest.

    `all_pools` is None where the account is a single pool.
    """

    scenario: str
    worst: bool
    liquidation: tuple[Chance, ...]
    margin_call: Chance
    bankruptcy: Chance
    all_pools: Chance | None


def render_report(cube: xr.Dataset, judgements: Sequence[Judgement]) -> str:
    """The committee report of a run, as the text of an HTML page that stands alone.

    `judgements`: the limits, judged on this cube. Everything else, narratives and assumptions included, is
    read from the cube and its `plan` attribute.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": money,
        "multiple": multiple,
        "percent": percent,
        "ratio": ratio,
        "share": share,
    }
    cube = cube.compute()
    plan = json.loads(cube.attrs["plan"])
    summaries = summarise_accounts(cube, judgements)
    at_risk = sorted(summaries, key=lambda summary: -summary.p)
    paths = int(cube["paths"].max())
    charted = at_risk[: len(LINES)]
    several = _of_several_pools(plan)
    tabled = summaries if len(summaries) <= MOST_TABLES else at_risk[:MOST_TABLES]
    return environment.get_template("report.html").render(
        style=(here / "report.css").read_text(encoding="utf-8"),
        cube=cube.attrs,
        plan=plan,
        facts=_facts(cube, plan),
        decision=_decision(judgements, paths),
        statuses={
            status: sum(j.status == status for j in judgements) for status in ("BREACH", "WATCH", "OK")
        },
        mark=MARK,
        summaries=summaries,
        horizons=[duration(horizon) for horizon in cube["horizon"].values],
        paths=f"{paths:,}",
        findings=find_worst(judgements),
        chart=draw_by_horizon(
            cube, [summary.account for summary in charted], [summary.worst_scenario for summary in charted]
        ),
        charted=len(charted),
        tables={
            summary.account: _scenario_rows(cube, summary, summary.account in several) for summary in tabled
        },
        heat_maps={
            summary.account: draw_heat_maps(cube, summary.account, _heat_scenarios(summary))
            for summary in at_risk[:MOST_HEAT_MAPS]
        },
        margins=_margins(cube),
        effects={
            scenario["name"]: list(map(describe_effect, scenario["effects"]))
            for scenario in plan["scenarios"]
        },
        model=describe_model(plan["model"]),
        not_modelled=list_not_modelled(plan),
        quantities=QUANTITIES,
        variables=[variable for variable in VARIABLES if variable.name in cube],
        groups=summarise_groups(cube),
        aftermath=_aftermath_rows(cube, [summary.account for summary in tabled]),
        spreads=_quantile_rows(cube, [summary.account for summary in tabled]),
        aftermath_chart=draw_after(cube, [summary.account for summary in at_risk[:MOST_PANELS]])
        if has_aftermath(cube)
        else "",
        shared=summarise_venues(cube),
        shared_chart=draw_venues(cube) if has_venues(cube) else "",
        markets=list_markets(plan),
        sources=[describe_venue(venue) for venue in venues_of(plan).values()],
        warnings=json.loads(cube.attrs["warnings"]),
        versions=json.loads(cube.attrs["versions"]),
    )


def _facts(cube: xr.Dataset, plan: Mapping[str, Any]) -> dict[str, str]:
    venues = list(venues_of(plan).values())
    return {
        "As of": plan["as_of"].replace("T", " ").replace("Z", " UTC"),
        "Accounts": str(cube.sizes["account"]),
        "Scenarios": str(cube.sizes["scenario"]),
        "Paths": f"{int(cube['paths'].max()):,} in each scenario",
        "Monitoring": plan["simulation"]["monitoring"],
        "Venue" if len(venues) == 1 else "Venues": "; ".join(
            f"{venue['name']}, rules of {venue['as_of']}" for venue in venues
        ),
        "Market model": plan["model"]["name"] or "given in the plan",
        "Run": cube.attrs["run_id"],
    }


def _decision(judgements: Sequence[Judgement], paths: int) -> str:
    """What is asked of the committee, in a sentence or two."""
    broken = [judgement for judgement in judgements if judgement.status == "BREACH"]
    doubtful = sum(judgement.status == "WATCH" for judgement in judgements)
    lie = "1 lies" if doubtful == 1 else f"{doubtful:,} lie"
    doubt = f" {lie} too close to the limit to tell with {paths:,} paths." if doubtful else ""
    if not judgements:
        return "The plan sets no limits, so nothing is judged. Take note of the numbers, and set limits."
    if not broken:
        return f"No limit is breached, in {len(judgements):,} numbers judged.{doubt} Take note."
    names = list(dict.fromkeys(judgement.account for judgement in broken))
    where = ", ".join(names[:MOST_NAMED]) + (
        f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
    )
    breach = "breaches its limit" if len(broken) == 1 else "breach their limits"
    return (
        f"{len(broken):,} of {len(judgements):,} numbers judged {breach}, in {where}.{doubt}"
        " Decide for each: cut positions, add collateral, or accept the breach on record."
    )


def _scenario_rows(cube: xr.Dataset, summary: Summary, several: bool) -> list[ScenarioRow]:
    cells = cube.sel(account=summary.account, leverage=1.0).transpose("scenario", "horizon", ...)

    def chances(event: str, scenario: int) -> tuple[Chance, ...]:
        columns = (cells[name].values[scenario] for name in (event, f"{event}_low", f"{event}_high", "paths"))
        ends = model_ends(cells, event, ("scenario", "horizon"))
        around = [None] * cube.sizes["horizon"] if ends is None else ends[scenario].tolist()
        return tuple(
            chance(p, low, high, int(n), model)
            for p, low, high, n, model in zip(*columns, around, strict=True)
        )

    rows = []
    for s, scenario in enumerate(cube["scenario"].values.tolist()):
        liquidation, margin_call, bankruptcy = (chances(event.probability, s) for event in EVENTS)
        worst = scenario == summary.worst_scenario
        all_pools = _all_pools(cells.isel(scenario=s, horizon=-1)) if several else None
        rows.append(ScenarioRow(scenario, worst, liquidation, margin_call[-1], bankruptcy[-1], all_pools))
    return rows


def _aftermath_rows(cube: xr.Dataset, accounts: Sequence[str]) -> list[tuple[AftermathSummary, ...]]:
    """Of these accounts, what follows a breach in the baseline, and in the worst scenario of each."""
    if not has_aftermath(cube):
        return []
    rows = [summarise_accounts_after(cube)]
    if cube.sizes["scenario"] > 1:
        rows.append(summarise_accounts_after(cube, find_worst_after(cube)))
    by_account = {pair[0].account: pair for pair in zip(*rows, strict=True)}
    return [by_account[account] for account in accounts]


def _quantile_rows(cube: xr.Dataset, accounts: Sequence[str]) -> list[tuple[QuantileSummary, ...]]:
    """Of these accounts where they come to in the baseline, and in the worst scenario of each."""
    if not has_quantiles(cube):
        return []
    rows = [summarise_quantiles_of(cube)]
    if cube.sizes["scenario"] > 1:
        rows.append(summarise_quantiles_of(cube, find_worst_after(cube)))
    by_account = {pair[0].account: pair for pair in zip(*rows, strict=True)}
    return [by_account[account] for account in accounts]


def _all_pools(cell: xr.Dataset) -> Chance:
    count, paths = int(cell["all_pools_liquidated"]), int(cell["paths"])
    low, high = counted(count, paths, LEVEL)
    return chance(count / paths, float(low), float(high), paths)


def _of_several_pools(plan: Mapping[str, Any]) -> set[str]:
    """Accounts for which losing one pool and losing all are two things."""
    found = set()
    for account in plan["accounts"]:
        kinds = [position["margin"] or account["margin"] for position in account["positions"]]
        isolated = kinds.count("isolated")
        if isolated + (isolated < len(kinds)) > 1:  # what is not isolated shares one pool
            found.add(account["name"])
    return found


def _heat_scenarios(summary: Summary) -> list[str]:
    return [BASELINE] if summary.worst_scenario == BASELINE else [BASELINE, summary.worst_scenario]


def _margins(cube: xr.Dataset) -> dict[str, dict[str, float]]:
    names = cube["quantity"].values.tolist()
    values = cube["margin_now"].transpose("account", "quantity").values.tolist()
    return {
        account: dict(zip(names, row, strict=True))
        for account, row in zip(cube["account"].values.tolist(), values, strict=True)
    }
