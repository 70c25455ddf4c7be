"""Cross against isolated, as a person reads it in the terminal: at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.compare import AS_HELD, BY_STRATEGY, ISOLATED, ONE_POOL, Comparison, Range
from pipeline.wording import money, percent

MOST_ROWS = 100
UNKNOWN = "–"
WAYS = {
    ONE_POOL: "cross",
    BY_STRATEGY: "by strategy",
    AS_HELD: "as held",
    ISOLATED: "isolated",
}
COMMITTED = (
    "Committed now: the account's collateral, coins at their price. All columns are collateral; profit since "
    "entry comes on top of it and is counted."
)
HELD = (
    "cross: one pool for all positions. by strategy: a pool for each strategy that positions are labelled "
    "with. as held: some positions isolated, the rest in one pool, as the account has them. isolated: a pool "
    "for each position. A market that the venue keeps apart has its own pool in every "
    "way."
)
INSTANT = (
    "At initial margin: what takes every pool to its initial margin, the least to hold the book with. At "
    "maintenance margin: below it some pool is liquidatable. Requirements add up position by position, so "
    "here the ways differ only where a pool has more profit than it needs: the surplus helps no other pool."
)
SPLIT = (
    "Several pools count as liquidated when any of them is. Collateral is split so that under that scenario "
    "each of them is as likely to be as the others."
)
LOSS = (
    "What one pool can't do: keep a loss to itself. Where it is liquidated every position goes, and all its "
    "collateral is at stake; a pool of several costs its own collateral alone. Equal probability is not "
    "equal loss."
)
COINS = (
    "Collateral in coins is taken as cash of the same value: neither its haircut nor its price moves count."
)


def compare_table(comparisons: Sequence[Comparison]) -> RenderableType:
    """For rich: per account what every way of holding its positions takes, and what the columns mean.

    In quote currency. Of many accounts those with most committed.
    """
    shown = sorted(sorted(range(len(comparisons)), key=lambda n: -comparisons[n].committed)[:MOST_ROWS])
    title = "Capital, cross against isolated"
    if len(shown) < len(comparisons):
        title += f": the {len(shown)} of {len(comparisons):,} accounts with most committed; all with --json"
    return Group(
        Text(title, "bold"),
        _table([comparisons[n] for n in shown]),
        *(Text(sentence, "dim") for sentence in _sentences(comparisons)),
    )


def _table(comparisons: Sequence[Comparison]) -> Table:
    simulated = any(comparison.equal is not None for comparison in comparisons)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("account\n  held as", overflow="fold")
    less = "less than\nisolated"
    for name in ("committed\nnow", "pools", "at initial\nmargin", less, "at maint.\nmargin"):
        table.add_column(name, justify="right", overflow="fold")
    if simulated:
        table.add_column("at equal P(liq.)\n[95 % interval]", justify="right", no_wrap=True)
        table.add_column(less, justify="right", overflow="fold")
    for comparison in comparisons:
        equal = comparison.equal
        chance = [] if equal is None else ["", "", "", "", f"P = {percent(equal.probability)}"]
        table.add_row(Text(comparison.name), money(comparison.committed), *chance)
        for way in comparison.pools:
            table.add_row(f"  {WAYS[way]}", "", *_row(comparison, way, simulated))
    return table


def _row(comparison: Comparison, way: str, simulated: bool) -> Iterator[RenderableType]:
    yield f"{comparison.pools[way]:,}"
    yield money(comparison.instant[way])
    yield _saved(comparison.instant[way], comparison.instant[ISOLATED], way)
    yield money(comparison.maintenance[way])
    if comparison.equal is not None:
        capital = comparison.equal.capital
        yield _stacked(capital[way])
        yield _saved(capital[way].estimate, capital[ISOLATED].estimate, way)
    elif simulated:
        yield UNKNOWN
        yield UNKNOWN


def _saved(amount: float | None, isolated: float | None, way: str) -> str:
    if way == ISOLATED:
        return ""
    if amount is None or not isolated:
        return UNKNOWN
    return f"{100 * (1 - amount / isolated):.1f} %".replace("-", "−")


def _stacked(capital: Range) -> Text:
    """The estimate over its interval; "above" where it lies beyond what was simulated."""
    low = "" if capital.low is None else money(capital.low)
    if capital.estimate is None:
        return Text(f"above {low}" if low else UNKNOWN)
    high = "…" if capital.high is None else money(capital.high)
    return Text.assemble(money(capital.estimate), "\n", (f"[{low}, {high}]", "dim"))


def _sentences(comparisons: Sequence[Comparison]) -> Iterator[str]:
    yield COMMITTED
    yield HELD
    yield INSTANT
    equal = next((comparison.equal for comparison in comparisons if comparison.equal is not None), None)
    if equal is not None:
        yield (
            f"At equal P(liq.): what leaves the probability P of liquidation within {equal.horizon} under "
            f"{equal.scenario}, counted on the {equal.paths:,} paths of the plan's run; nobody touches the "
            f"book. {SPLIT}"
        )
    yield LOSS
    if any(comparison.coins for comparison in comparisons):
        yield COINS
