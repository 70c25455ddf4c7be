"""What the cube declares of what follows a breach: there where a plan resolves it, see
docs/after-the-breach.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.variable import CELL, COUNTED, Variable, with_ends


class Outcome(NamedTuple):
    """Something that becomes of an account on a path: how it is counted, how its probability is called."""

    counts: str
    probability: str
    long_name: str
    condition: str


OUTCOMES: Final = (
    Outcome(
        "forced_liquidations",
        "p_forced_liquidation",
        "forced liquidation",
        "the venue closed something of the account by the horizon",
    ),
    Outcome(
        "partial_liquidations",
        "p_partial_liquidation",
        "partial liquidation",
        "the venue had closed something of the account by the horizon, and there, at its close, something "
        "is still open and no pool's equity is below zero",
    ),
    Outcome(
        "closed_out",
        "p_closed_out",
        "closed out",
        "the venue had closed something of the account by the horizon, and there nothing is open",
    ),
    Outcome(
        "managed_bankruptcies",
        "p_managed_bankruptcy",
        "managed bankruptcy",
        "the equity of a pool was below zero, before haircuts, after a look of the venue, or the "
        "insurance fund or the other side paid, by the horizon",
    ),
    Outcome(
        "policy_fired",
        "p_policy_fired",
        "policy fired",
        "a policy of the account acted by the horizon",
    ),
)
COMPONENTS: Final = ("fees", "slippage", "liquidation_fee", "gas", "funding")

_NOTE: Final = " Of the book as desk and venue move it."
_ANY: Final = "normal; no upper end where no path had any"


def _of_outcome(outcome: Outcome) -> Iterator[Variable]:
    p, condition = outcome.probability, outcome.condition
    yield Variable(
        outcome.counts,
        CELL,
        "int64",
        "1",
        f"paths: {outcome.long_name}",
        f"Paths on which {condition}.{_NOTE}",
    )
    yield from with_ends(
        p, CELL, "1", f"P({outcome.long_name})", f"Estimated probability that {condition}.", COUNTED
    )


AFTERMATH_COORDINATES: Final = (
    Variable(
        "component",
        ("component",),
        "str",
        "1",
        "component",
        "What `cost_mean` is made of: taker fees, slippage of the desk's orders and the venue's, liquidation "
        "fees, gas, funding.",
    ),
    Variable(
        "market",
        ("market",),
        "str",
        "1",
        "market",
        "A market that the book has a position in; of one name on several venues they are one.",
    ),
)

_EVEN: Final = "by the interval of funding in cost_mean; infinite where funding may be received"

AFTERMATH_VARIABLES: Final = (
    *(variable for outcome in OUTCOMES for variable in _of_outcome(outcome)),
    Variable(
        "policy_fired_needlessly",
        ("scenario", "account", "leverage"),
        "int64",
        "1",
        "paths: policy fired needlessly",
        "Paths on which a policy of the account acted by the last horizon, though the book that nobody "
        "touches would have come there unliquidated.",
    ),
    *with_ends(
        "shortfall_mean",
        CELL,
        "USD",
        "shortfall",
        "Mean over all paths of what the account's pools are short of zero equity at the horizon, plus what "
        "the insurance fund and the other side have paid by then.",
        _ANY,
    ),
    *with_ends(
        "share_liquidated_mean",
        CELL,
        "1",
        "share liquidated",
        "Mean over all paths of the notional closed by the venue by the horizon, each at its own mark then, "
        "over gross notional at as_of at that leverage. Prices that rise, and positions added, can take it "
        "above 1 on a path.",
        _ANY,
    ),
    *with_ends(
        "cost_mean",
        (*CELL, "component"),
        "USD",
        "cost",
        "Mean over all paths of what desk and venue have cost the account by the horizon; slippage is what "
        "fills were worse than their marks. Funding is what was paid on all paths, whatever happened; below "
        "zero it was received.",
        f"{_ANY}; funding has both ends always",
    ),
    Variable(
        "first_breach",
        ("scenario", "account", "leverage", "market"),
        "int64",
        "1",
        "paths by what goes first",
        "Paths on which the venue closed something by the last horizon, by the market of the position whose "
        "price had cost the account most since as_of when it first did, at the book's sizes. Adds up to "
        "forced_liquidations there.",
    ),
    Variable(
        "closing_cost",
        ("account", "leverage"),
        "float64",
        "USD",
        "cost of closing now",
        "What closing all positions at as_of would cost: taker fee on gross notional, and the slippage of "
        "each market's `execution`, a depth a step; nothing where none is stated.",
    ),
    *with_ends(
        "break_even_days",
        CELL,
        "d",
        "break-even of holding",
        "Days after which holding is dearer than closing now: closing_cost over mean funding paid a day up "
        "to the horizon, of the book as desk and venue move it. Infinite where funding is received, or nil. "
        "NaN where nothing is held.",
        _EVEN,
    ),
)
