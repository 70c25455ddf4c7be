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
    "distribution-free, by order statistics, out to the edges of their bins; NaN where the paths are too few "
    "to have any beyond it"
)
_CLOSES: Final = "seen at closes by the horizon, after desk and venue, and at as_of before any shock"
_MONEY: Final = (
    "From counts in bins, read by straight lines: 1.6 % of the account's scale wide, the lesser of equity at "
    "as_of and all that prices move, 3.1 % from half a scale off equity at as_of, 6 % and more beyond one "
    "and a half; more than 7.5 scales off it is the end of the bins."
)
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
        f"{_CLOSES}, of the book as desk and venue move it. From counts in bins some 3 % of it wide, read by "
        "straight lines; 0: not above zero; below 1/4 and above 60 there is one bin; infinite: never "
        f"anything that requires margin. {_NOBODY}",
    ),
    (
        "shortfall_q",
        "USD",
        "shortfall",
        "Quantile of what the account's pools are short of zero equity at the horizon, plus what the "
        "insurance fund and the other side have paid by then. Bins half as wide as equity_q's, zero apart. "
        f"{_NOBODY}",
    ),
    (
        "max_drawdown_q",
        "USD",
        "largest drawdown",
        "Quantile of the largest fall of equity, top-ups taken off, from its highest before, "
        f"{_CLOSES}, of the book as desk and venue move it. Bins half as wide as equity_q's, zero apart. "
        f"{_NOBODY}",
    ),
)
_TIMES: Final = ("scenario", "account", "leverage", "quantile")
_WHEN: Final = (
    "Quantile of the time to liquidation of a book that nobody touches, among the paths that meet the "
    "liquidation condition by the last horizon: the end of the step, or of the 1/128 of the last horizon, in "
    "which prices do; an oracle that is late may see it later. NaT where none does."
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
    Variable(
        "discordant_up",
        CELL,
        "int64",
        "1",
        "paths that only the scenario liquidates",
        "Paths on which the book that nobody touches was liquidated by the horizon, and not in the baseline.",
    ),
    Variable(
        "discordant_down",
        CELL,
        "int64",
        "1",
        "paths that only the baseline liquidates",
        "Paths on which the book that nobody touches was liquidated by the horizon in the baseline alone.",
    ),
    *with_ends(
        "p_liquidation_difference",
        CELL,
        "1",
        "P(liquidation), scenario less baseline",
        "Estimated difference of p_liquidation to the baseline, on the same paths.",
        "paired, Bonett and Price; the baseline has 0",
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
