"""The end of `seawall run`: what a person reads in the terminal, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.aftermath_summary import AftermathSummary, summarise_accounts_after
from pipeline.group_summary import GroupSummary, summarise_groups
from pipeline.summary import Summary, summarise_accounts
from pipeline.venue_summary import VenueSummary, summarise_venues
from pipeline.verdict import Judgement, find_worst
from pipeline.wording import Chance, duration, percent

if TYPE_CHECKING:
    import xarray as xr

MOST_ROWS = 20
WIDTH = 100
GAP = 2  # between columns
NAME = 12  # at least of the first column, in narrow terminals too
NO_POLICY = "–"
OTHERS_PAY = (
    "Others pay: equity below zero after the venue's look, or its fund or the other side paid. Shortfall: "
    "what they paid, and what is still missing. Needlessly: paths on which the book untouched would have "
    "come through. Watched between closes, prices are taken to move without gaps but for jumps."
)
SHARED = (
    "Untouched: accounts that meet the liquidation condition in a book that nobody touches. Together: those "
    "of which the venue closed something, all in one market, where orders move prices. Cascade: it closed "
    "something that stood until orders of the same step moved its price. Pushed: the furthest that a price "
    "was pushed below its own path, the mean over paths. Others lose: by ADL, and what is owed at the end."
)
STYLE = {"OK": "green", "WATCH": "yellow", "BREACH": "bold red"}


def verdict_table(cube: xr.Dataset, judgements: Sequence[Judgement]) -> RenderableType:
    """For rich: P(liquidation) per account with its interval, the worst scenario, the leverage that keeps the
    limit, what groups do together, what follows a breach and what becomes of venues where the run has it, and
    every limit breached or in doubt, in words. Of many accounts, those most at risk.
    """
    summaries = summarise_accounts(cube, judgements)
    shown = summaries
    title = f"P(liquidation) in the baseline, {int(cube['paths'].max()):,} paths, 95 % interval"
    if len(summaries) > MOST_ROWS:
        shown = tuple(sorted(summaries, key=lambda summary: -summary.p)[:MOST_ROWS])
        title += f"; the {MOST_ROWS} of {len(summaries):,} accounts most at risk"
    horizons = [duration(horizon) for horizon in cube["horizon"].values]
    return Group(
        Text(title, "bold"),
        _chances(shown, horizons),
        Text("\nWorst scenario, and the leverage that keeps a limit on the baseline", "bold"),
        _mending(shown, horizons[-1]),
        *_groups(summarise_groups(cube), horizons[-1]),
        *_aftermath(_most_forced(summarise_accounts_after(cube), shown), horizons[-1]),
        *_venues(summarise_venues(cube), horizons[-1]),
        Text("\nLimits", "bold"),
        _findings(judgements),
        Text(_assessed(int(cube.attrs["draws"])), "dim"),
    )


def _assessed(draws: int) -> str:
    """What the intervals allow for."""
    if not draws:
        return "Intervals are of the simulation alone: model uncertainty not assessed."
    return (
        "The first interval is of the simulation alone, and limits are judged by it. Model: with errors of"
        f" the parameters too, from {draws} draws of them; the form of the model is taken as given."
    )


def _chances(summaries: Sequence[Summary], horizons: Sequence[str]) -> Table:
    table = _table("account")
    chosen = _fitting(summaries, horizons)
    for index in chosen:
        table.add_column(f"within {horizons[index]}", justify="right", no_wrap=True)
    for summary in summaries:
        table.add_row(summary.account, *(_stacked(summary.chances[index]) for index in chosen))
    return table


def _fitting(summaries: Sequence[Summary], horizons: Sequence[str]) -> list[int]:
    """As many horizons as the width holds, evenly chosen, the first and the last always among them."""
    widths = [
        max(
            len(text)
            for summary in summaries
            for text in (*summary.chances[index][:2], summary.chances[index].model, f"within {horizon}")
        )
        for index, horizon in enumerate(horizons)
    ]
    name = min(max(len(summary.account) for summary in summaries), WIDTH // 6)
    chosen: list[int] = []
    for count in range(len(horizons), 0, -1):
        chosen = np.unique(np.linspace(0, len(horizons) - 1, count).round().astype(int)).tolist()
        if name + sum(widths[index] + GAP for index in chosen) <= WIDTH:
            break
    return chosen


def _mending(summaries: Sequence[Summary], longest: str) -> Table:
    table = _table("account")
    table.add_column("worst scenario", overflow="fold")
    table.add_column(f"P(liq. within {longest})", justify="right", no_wrap=True)
    table.add_column("baseline kept by", justify="right", no_wrap=True)
    table.add_column("under", justify="right", no_wrap=True)
    for summary in summaries:
        worst = _stacked(summary.worst)
        table.add_row(summary.account, summary.worst_scenario, worst, summary.keeping, percent(summary.limit))
    return table


def _groups(summaries: Sequence[GroupSummary], longest: str) -> list[RenderableType]:
    """Accounts that belong together: how often one of them goes, and how often all do."""
    if not summaries:
        return []
    table = _table("group")
    for title in ("any liquidated", "worst scenario", "all liquidated", "worst scenario"):
        table.add_column(title, justify="right", overflow="fold")
    for group in summaries[:MOST_ROWS]:
        table.add_row(
            f"{group.group} ({group.accounts})",
            _stacked(group.any),
            Text.assemble(group.worst_for_any, "\n", (group.worst_any.sentence, "dim")),
            _stacked(group.all),
            Text.assemble(group.worst_for_all, "\n", (group.worst_all.sentence, "dim")),
        )
    title = (
        f"\nGroups (accounts in each), within {longest}: in the baseline, and in the worst scenario of each"
    )
    if len(summaries) > MOST_ROWS:
        title += f"; the first {MOST_ROWS} of {len(summaries):,}"
    return [Text(title, "bold"), table]


def _most_forced(found: Sequence[AftermathSummary], shown: Sequence[Summary]) -> tuple[AftermathSummary, ...]:
    """Of the accounts shown above, in that order."""
    by_account = {summary.account: summary for summary in found}
    return tuple(by_account[summary.account] for summary in shown if summary.account in by_account)


def _aftermath(found: Sequence[AftermathSummary], longest: str) -> list[RenderableType]:
    """What the venue does once an account is liquidatable, what the desk does before, and what it costs."""
    if not found:
        return []
    chances, costs = _table("account"), _table("account")
    for title in ("P(forced)", "P(closed out)", "P(others pay)"):
        chances.add_column(title, justify="right", no_wrap=True)
    chances.add_column("goes first", justify="right", overflow="fold")
    for title in ("shortfall", "cost", "share closed"):
        costs.add_column(title, justify="right", no_wrap=True)
    managed = any(summary.fired is not None for summary in found)
    if managed:
        costs.add_column("P(policy fired)", justify="right", no_wrap=True)
        costs.add_column("needlessly", justify="right", no_wrap=True)
    for summary in found:
        numbers = (summary.forced, summary.closed_out, summary.others_pay)
        chances.add_row(summary.account, *map(_stacked, numbers), summary.first)
        desk = []
        if managed:
            fired = summary.fired
            desk = [Text(NO_POLICY) if fired is None else _stacked(fired), Text(summary.needlessly)]
        costs.add_row(
            summary.account, *map(_stacked, (summary.shortfall, summary.cost, summary.share)), *desk
        )
    return [
        Text(f"\nAfter a breach, in the baseline within {longest}, as desk and venue move the book", "bold"),
        chances,
        Text("\nMeans over all paths, in quote currency and of gross notional", "bold"),
        costs,
        Text(OTHERS_PAY, "dim"),
    ]


def _venues(found: Sequence[VenueSummary], longest: str) -> list[RenderableType]:
    """What becomes of venues whose accounts share a market: a row for each scenario."""
    if not found:
        return []
    several = len({summary.venue for summary in found}) > 1
    chances, means = _table("scenario"), _table("scenario")
    for title in ("untouched", "together", "P(cascade)", "P(fund exhausted)"):
        chances.add_column(title, justify="right", no_wrap=True)
    for title in ("pushed", "closed by force", "fund drawn", "others lose"):
        means.add_column(title, justify="right", no_wrap=True)
    for summary in found[:MOST_ROWS]:
        name = f"{summary.scenario}, {summary.venue}" if several else summary.scenario
        numbers = (summary.untouched, summary.liquidated, summary.cascade, summary.exhausted)
        chances.add_row(name, *map(_stacked, numbers))
        money = (summary.pushed, summary.closed, summary.drawn, summary.socialised)
        means.add_row(name, *map(_stacked, money))
    title = "\nThe venues" if several else f"\nThe venue, {found[0].accounts:,} accounts"
    more = f"; the first {MOST_ROWS} of {len(found):,}" if len(found) > MOST_ROWS else ""
    return [
        Text(f"{title}: accounts liquidated within {longest}, untouched and together{more}", "bold"),
        chances,
        Text("\nMeans over all paths, as a share of the price and in quote currency", "bold"),
        means,
        Text(SHARED, "dim"),
    ]


def _findings(judgements: Sequence[Judgement]) -> RenderableType:
    """A line for each limit and account in breach or in doubt, and how many are neither."""
    table = Table.grid(padding=(0, 2))
    if not judgements:
        table.add_row("No limits in the plan.")
        return table
    findings = [finding for finding in find_worst(judgements) if finding.judgement.status != "OK"]
    for finding in findings[:MOST_ROWS]:
        judgement = finding.judgement
        style = STYLE[judgement.status]
        said = Text.assemble(
            f"{judgement.account}: {judgement.subject} is ",
            (judgement.number.sentence, style),
            f", limit {judgement.ceiling}",
            f"; {finding.also}" if finding.others else "",
        )
        table.add_row(Text(judgement.status, style), said)
    if len(findings) > MOST_ROWS:
        table.add_row("", f"and {len(findings) - MOST_ROWS:,} more: see the report")
    kept = sum(judgement.status == "OK" for judgement in judgements)
    table.add_row(Text("OK", STYLE["OK"]), f"{kept:,} of {len(judgements):,} limits kept")
    return table


def _table(first: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    table.add_column(first, overflow="fold", min_width=NAME)
    return table


def _stacked(number: Chance) -> Text:
    model = ("\n" + number.model, "dim") if number.model else ""
    return Text.assemble(number.estimate, "\n", (number.interval, "dim"), model)
