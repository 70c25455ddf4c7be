"""The cube, declared once: every dimension, coordinate, variable and attribute, its unit and its meaning."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.aftermath_schema import AFTERMATH_COORDINATES, AFTERMATH_VARIABLES
from pipeline.quantiles_schema import QUANTILE_COORDINATES, QUANTILE_VARIABLES
from pipeline.variable import CELL, COUNTED, LEVEL, Variable, with_ends
from pipeline.venue_schema import VENUE_COORDINATES, VENUE_VARIABLES

__all__ = [
    "ATTRIBUTES",
    "CELL",
    "COORDINATES",
    "DECLARED",
    "EVENTS",
    "GROUP_CELL",
    "LEVEL",
    "MOST_JOINT_ACCOUNTS",
    "QUANTITIES",
    "VARIABLES",
    "Event",
    "Quantity",
    "Variable",
]

GROUP_CELL: Final = ("scenario", "group", "leverage", "horizon")
MOST_JOINT_ACCOUNTS: Final = 256  # pairs grow with the square of the accounts


class Event(NamedTuple):
    """Something that happens to an account on a path: how it is counted, how its probability is called."""

    counts: str
    probability: str
    long_name: str
    condition: str


class Quantity(NamedTuple):
    """One entry of `margin_now`."""

    name: str
    units: str
    definition: str


EVENTS: Final = (
    Event(
        "liquidations",
        "p_liquidation",
        "liquidation",
        "met the venue's liquidation condition, MM > 0 and E < MM",
    ),
    Event("margin_calls", "p_margin_call", "margin call", "had equity below initial margin, E < IM"),
    Event("bankruptcies", "p_bankruptcy", "bankruptcy", "had equity below zero, before haircuts"),
)

QUANTITIES: Final = (
    Quantity(
        "equity",
        "USD",
        "collateral less haircuts, plus unrealised profit: sum of size × (price − entry); over all pools",
    ),
    Quantity("initial_margin", "USD", "IM, what the venue asks for to open these positions; over all pools"),
    Quantity("maintenance_margin", "USD", "MM, what it asks for to let them stand; over all pools"),
    Quantity("free_collateral", "USD", "equity less initial margin"),
    Quantity(
        "margin_ratio",
        "1",
        "equity over maintenance margin, of the pool where it is lowest; undefined where none is required",
    ),
    Quantity("gross_notional", "USD", "sum of |size| × price"),
    Quantity("net_notional", "USD", "sum of size × price"),
    Quantity("leverage", "1", "gross notional over equity; infinite where no equity carries it"),
    Quantity("utilisation", "1", "initial margin over equity; infinite where no equity carries it"),
    Quantity("concentration", "1", "largest initial margin of a position over equity"),
)

COORDINATES: Final = (
    Variable("scenario", ("scenario",), "str", "1", "scenario", "What is done to the market model."),
    Variable("account", ("account",), "str", "1", "account", "An account of the book."),
    Variable(
        "leverage",
        ("leverage",),
        "float64",
        "1",
        "leverage multiple",
        "Every position's size times this; collateral and equity at as_of stay. 1 is the book as it stands.",
    ),
    Variable("horizon", ("horizon",), "timedelta64[ns]", "ns", "horizon", "Time since as_of, inclusive."),
    Variable("group", ("group",), "str", "1", "group", "Accounts of the book that belong together."),
    Variable("account_other", ("account_other",), "str", "1", "other account", "The second of a pair."),
    *AFTERMATH_COORDINATES,
    *VENUE_COORDINATES,
    *QUANTILE_COORDINATES,
    Variable("quantity", ("quantity",), "str", "1", "quantity", "What `margin_now` holds."),
    Variable(
        "gross_leverage",
        ("account", "leverage"),
        "float64",
        "1",
        "gross leverage",
        "Gross notional over equity at as_of, at this multiple; infinite where equity is not positive.",
    ),
    Variable(
        "net_leverage",
        ("account", "leverage"),
        "float64",
        "1",
        "net leverage",
        "Net notional (negative: short) over equity at as_of, at this multiple.",
    ),
    Variable(
        "openable",
        ("account", "leverage"),
        "bool",
        "1",
        "openable",
        "Whether equity at as_of covers initial margin at this multiple, E >= IM in every pool.",
    ),
)


_OVER_DRAWS: Final = (
    "Student's prediction interval for one more draw of the parameters, on log odds; at least as wide as "
    "that of the simulation. NaN where fewer paths than draws met the event, or did not. Absent where the "
    "model was taken as given."
)


def _of_event(event: Event) -> tuple[Variable, ...]:
    """The count of an event, its probability and the two ends of the interval."""
    by = "by the horizon"
    p, name = event.probability, event.long_name
    certain = " 1 where the account is liquidatable at as_of."
    end = f"95 % interval of {p}: Wilson; Clopper-Pearson where it happened on none or on all of the paths."
    return (
        Variable(
            event.counts,
            CELL,
            "int64",
            "1",
            f"paths with a {name}",
            f"Paths on which the account {event.condition}, at any monitored instant {by}.",
        ),
        Variable(
            p,
            CELL,
            "float64",
            "1",
            f"P({name})",
            f"Estimated probability that the account {event.condition}, {by}."
            + (certain if event.counts != "bankruptcies" else ""),
        ),
        Variable(f"{p}_low", CELL, "float64", "1", f"P({name}), lower end", f"Lower end of the {end}"),
        Variable(f"{p}_high", CELL, "float64", "1", f"P({name}), upper end", f"Upper end of the {end}"),
        *(
            Variable(
                f"{p}_model_{key}",
                CELL,
                "float64",
                "1",
                f"P({name}) over draws, {words} end",
                f"{words.capitalize()} end of the 95 % interval of {p} that allows for errors of the model's "
                f"parameters and of the simulation: {_OVER_DRAWS}",
            )
            for key, words in (("low", "lower"), ("high", "upper"))
        ),
    )


_OF_GROUPS: Final = (
    Variable(
        "group_any_liquidated",
        GROUP_CELL,
        "int64",
        "1",
        "paths with an account of the group liquidated",
        "Paths on which at least one account of the group was liquidated by the horizon.",
    ),
    Variable(
        "group_all_liquidated",
        GROUP_CELL,
        "int64",
        "1",
        "paths with all accounts of the group liquidated",
        "Paths on which every account of the group that has maintenance margin was liquidated by the "
        "horizon.",
    ),
    *with_ends(
        "p_group_any",
        GROUP_CELL,
        "1",
        "P(any account of the group is liquidated)",
        "Estimated probability that at least one account of the group is liquidated by the horizon.",
        COUNTED,
    ),
    *with_ends(
        "p_group_all",
        GROUP_CELL,
        "1",
        "P(all accounts of the group are liquidated)",
        "Estimated probability that every account of the group that has maintenance margin is liquidated by "
        "the horizon.",
        COUNTED,
    ),
    *with_ends(
        "group_liquidated_mean",
        GROUP_CELL,
        "1",
        "accounts of the group liquidated",
        "Mean number of the group's accounts liquidated by the horizon.",
        "normal; where none was, up to what p_group_any_high allows for",
    ),
    *with_ends(
        "group_equity_mean",
        GROUP_CELL,
        "USD",
        "equity of the group",
        "Mean equity of the group's accounts at the horizon, debts counted, of a book that nobody touches: "
        "positions stay open after liquidation would have closed them.",
        "normal",
    ),
    *with_ends(
        "group_shortfall_mean",
        GROUP_CELL,
        "USD",
        "shortfall of the group",
        "Mean at the horizon of what the group's pools of margin are short of zero equity, each by itself, "
        "in a book that nobody touches.",
        "normal; no upper end where no path had any",
    ),
)

VARIABLES: Final = (
    Variable("paths", CELL, "int64", "1", "paths", "Simulated paths behind the numbers of this cell."),
    *(variable for event in EVENTS for variable in _of_event(event)),
    Variable(
        "joint_liquidations",
        ("scenario", "horizon", "account", "account_other"),
        "int64",
        "1",
        "paths with both liquidated",
        "Paths on which both accounts were liquidated by the horizon, at leverage 1."
        f" Absent in books of more than {MOST_JOINT_ACCOUNTS} accounts.",
    ),
    Variable(
        "all_pools_liquidated",
        CELL,
        "int64",
        "1",
        "paths with all pools liquidated",
        "Paths on which every pool of the account that has maintenance margin was liquidated by the horizon;"
        " liquidations has those with any. Absent where every account is one pool.",
    ),
    *_OF_GROUPS,
    *AFTERMATH_VARIABLES,
    *VENUE_VARIABLES,
    *QUANTILE_VARIABLES,
    Variable(
        "liquidatable_now",
        ("scenario", "account", "leverage"),
        "int8",
        "1",
        "liquidatable at as_of",
        "1 where the account meets the liquidation condition at as_of, after shocks at time zero.",
    ),
    Variable(
        "margin_now",
        ("account", "quantity"),
        "float64",
        "USD or 1",
        "margin at as_of",
        "The account as it stands at as_of, before any shock: "
        + "; ".join(f"{q.name} ({q.units}): {q.definition}" for q in QUANTITIES)
        + ".",
    ),
)

DECLARED: Final = {variable.name: variable for variable in (*COORDINATES, *VARIABLES)}

ATTRIBUTES: Final = {
    "title": "the plan's name",
    "plan": "the plan as resolved, without its limits, JSON text",
    "plan_hash": "sha256 of what the run depends on",
    "warnings": "what a reader should know about the plan, JSON list of sentences",
    "run_id": "name of the run",
    "seed": "seed of the random numbers",
    "monitoring": "when accounts are looked at: close, bridge between closes, or wick on top of that",
    "walk": "which code walked the paths: the fast walk, or the general one and why",
    "draws": "draws of the model's parameters that share the paths; 0: the model was taken as given",
    "model_hash": "sha256 of the market model",
    "venue_hash": "sha256 of the venue's rules",
    "versions": "software the run used, JSON text",
    "created": "when the run was asked for, UTC ISO 8601",
}
