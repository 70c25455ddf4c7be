"""What the cube declares of venues whose accounts share a market: there where a plan has contagion, see
docs/contagion.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.aftermath_schema import Outcome
from pipeline.variable import COUNTED, Variable, with_ends

VENUE_CELL: Final = ("scenario", "venue", "leverage", "horizon")

VENUE_OUTCOMES: Final = (
    Outcome(
        "fund_exhausted",
        "p_fund_exhausted",
        "insurance fund exhausted",
        "the venue's insurance fund was asked for more than it had by the horizon",
    ),
    Outcome(
        "cascades",
        "p_cascade",
        "cascade",
        "by the horizon the venue had closed something of a pool that stood when it began to look in that "
        "step, and fell by what others' orders did to prices",
    ),
)

_ANY: Final = "normal; no upper end where no path had any"


def _of_outcome(outcome: Outcome) -> Iterator[Variable]:
    p, condition = outcome.probability, outcome.condition
    yield Variable(
        outcome.counts,
        VENUE_CELL,
        "int64",
        "1",
        f"paths: {outcome.long_name}",
        f"Paths on which {condition}.",
    )
    yield from with_ends(
        p, VENUE_CELL, "1", f"P({outcome.long_name})", f"Estimated probability that {condition}.", COUNTED
    )


VENUE_COORDINATES: Final = (
    Variable(
        "venue",
        ("venue",),
        "str",
        "1",
        "venue",
        "A venue on which the book has accounts; `inline` where the plan gives it no name.",
    ),
)

VENUE_VARIABLES: Final = (
    *(variable for outcome in VENUE_OUTCOMES for variable in _of_outcome(outcome)),
    *with_ends(
        "accounts_liquidated_mean",
        VENUE_CELL,
        "1",
        "accounts liquidated",
        "Mean over all paths of how many accounts the venue had closed something of by the horizon, in the "
        "one market that they share. Without contagion: liquidations summed over accounts, over paths.",
        _ANY,
    ),
    *with_ends(
        "socialised_loss_mean",
        VENUE_CELL,
        "USD",
        "socialised loss",
        "Mean over all paths of what bankrupt accounts have cost others than the insurance fund by the "
        "horizon: what others gave up against the mark where positions were closed against them (ADL), and "
        "what accounts closed out still owe.",
        _ANY,
    ),
    *with_ends(
        "closed_notional_mean",
        VENUE_CELL,
        "USD",
        "notional closed by force",
        "Mean over all paths of the notional that the venue has closed by the horizon, each at its own mark "
        "then.",
        _ANY,
    ),
    *with_ends(
        "fund_drawn_mean",
        VENUE_CELL,
        "USD",
        "drawn from the insurance fund",
        "Mean over all paths of what the insurance fund lacks at the horizon of what it began with, fees "
        "that it took counted in; where none is stated, of what it has paid.",
        _ANY,
    ),
    *with_ends(
        "price_pushed_mean",
        VENUE_CELL,
        "1",
        "price pushed",
        "Mean over all paths of the furthest that orders of desks and venues in the book have pushed any "
        "price below its own path by the horizon, as a share of that; moves within a step count. The same "
        "for every venue.",
        _ANY,
    ),
)
