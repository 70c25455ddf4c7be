"""What the cube declares of quantiles: there where a plan asks for them, see docs/cube.md."""

from __future__ import annotations

from typing import Final

from pipeline.variable import CELL, Variable, with_ends

QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TAILS: Final = (0.95, 0.99)

QUANTILE_COORDINATES: Final = (
    Variable(
        "quantile",
        ("quantile",),
        "float64",
        "1",
        "quantile",
        "The share of paths that have that much or less.",
    ),
    Variable(
        "tail",
        ("tail",),
        "float64",
        "1",
        "tail",
        "The share of paths that do better than those of `expected_shortfall`.",
    ),
)

_RANKS: Final = (
    "distribution-free, by order statistics, read off the same bins; NaN where the paths are too few to have "
    "any beyond it"
)
_CLOSES: Final = "seen at closes by the horizon, after desk and venue, and at as_of before any shock"
_MONEY: Final = "From counts in bins."
_NOBODY: Final = "NaN for accounts that hold nothing."

_OF_CELLS: Final = (
    (
        "equity_q",
        "USD",
        "equity",
        f"Quantile of the account's equity at the horizon, over its pools, without haircuts, top-ups "
        f"included, of the book as desk and venue move it. {_MONEY} {_NOBODY}",
    ),
    (
        "min_equity_q",
        "USD",
        "lowest equity",
        f"Quantile of the lowest equity of the account, as in equity_q, {_CLOSES}. {_MONEY} {_NOBODY}",
    ),
    (
        "min_margin_ratio_q",
        "1",
        "lowest margin ratio",
        "Quantile of the lowest margin ratio, (E - H) / MM of the account's lowest pool, "
        f"{_CLOSES}, of the book as desk and venue move it. From counts in bins, within 1 % of it; 0: not "
        f"above zero; infinite: never anything that requires margin. {_NOBODY}",
    ),
    (
        "shortfall_q",
        "USD",
        "shortfall",
        "Quantile of what the account's pools are short of zero equity at the horizon, plus what the "
        "insurance fund and the other side have paid by then. From counts in bins, within 3 % of it. "
        f"{_NOBODY}",
    ),
    (
        "max_drawdown_q",
        "USD",
        "largest drawdown",
        "Quantile of the largest fall of equity, top-ups taken off, from its highest before, "
        f"{_CLOSES}, of the book as desk and venue move it. From counts in bins, within 3 % of it. {_NOBODY}",
    ),
)
_TIMES: Final = ("scenario", "account", "leverage", "quantile")
_WHEN: Final = (
    "Quantile of the time to liquidation of a book that nobody touches, among the paths that meet the "
    "liquidation condition by the last horizon: the end of the step, or of the 1/128 of the last horizon, in "
    "which they do. NaT where none does."
)

QUANTILE_VARIABLES: Final = (
    *(
        variable
        for name, units, long_name, definition in _OF_CELLS
        for variable in with_ends(name, (*CELL, "quantile"), units, long_name, definition, _RANKS)
    ),
    *with_ends(
        "expected_shortfall",
        (*CELL, "tail"),
        "USD",
        "expected shortfall",
        "Mean over the worst 1 - tail share of paths of the loss by the horizon, equity at as_of less equity "
        f"there, top-ups taken off, of the book as desk and venue move it; below zero a gain. {_NOBODY}",
        "normal, the error of the tail's own edge included; too short where the tail has few paths; NaN "
        "below two",
    ),
    *(
        Variable(
            f"time_to_liquidation_q{end}",
            _TIMES,
            "timedelta64[ns]",
            "ns",
            f"time to liquidation{words}",
            text,
        )
        for end, words, text in (
            ("", "", _WHEN),
            (
                "_low",
                ", lower end",
                f"Lower end of the 95 % interval of time_to_liquidation_q: {_RANKS.replace('NaN', 'NaT')}.",
            ),
            (
                "_high",
                ", upper end",
                f"Upper end of the 95 % interval of time_to_liquidation_q: {_RANKS.replace('NaN', 'NaT')}.",
            ),
        )
    ),
)
