"""Numbers as people should read them: never a bare zero, as many digits as the interval supports."""

from __future__ import annotations

from datetime import timedelta
from math import floor, isinf, isnan, log10
from typing import NamedTuple

import numpy as np

from pipeline.units import format_duration

MOST_DECIMALS = 8  # of a percentage
SHOWN = 5  # names in a sentence; a book may have thousands


class Chance(NamedTuple):
    """A probability in words: "3.10 %" and "[3.02, 3.18]", or "0 of 200,000" and "below 0.0018 %"."""

    estimate: str
    interval: str
    counted: bool = False
    """Whether the estimate is a count of paths, not a percentage."""
    never: bool = False
    """Whether it happened on no path."""
    model: str = ""
    """What errors of the model's parameters allow for: "model [2.10, 4.55]"; empty where not assessed."""

    @property
    def sentence(self) -> str:
        """Both on one line, as a sentence wants them."""
        if self.counted:
            return f"{self.estimate} paths ({self.interval})"
        said = f"{self.estimate} {self.interval}".strip()
        return f"{said}, {self.model}" if self.model else said


Ends = tuple[float, float]


def chance(p: float, low: float, high: float, paths: int, model: Ends | None = None) -> Chance:
    """The words for an estimate and its interval, given as fractions, out of this many paths.

    `model`: the interval that allows for errors of the model's parameters too, where they were assessed; NaN
    where paths are too few to tell.
    """
    if low == high == 1:
        return Chance("already", "at as_of")
    if p == 0:
        return Chance(f"0 of {paths:,}", f"below {100 * high:.{_decimals(high)}f} %", True, True)
    if p == 1:
        bound = f"above {100 * low:.{_decimals(1 - low)}f} %"
        return Chance(f"{paths:,} of {paths:,}", bound, counted=True)
    around = "" if model is None or isnan(model[0]) else f"model {_interval(*model)}"
    return Chance(f"{100 * p:.{_decimals(high - low)}f} %", _interval(low, high), model=around)


def average(mean: float, low: float, high: float, paths: int, in_percent: bool = False) -> Chance:
    """The words for a mean over paths that can't be negative, of money or (`in_percent`) of a share.

    No upper end (NaN): no path had any, or too few were simulated. Both ends at the mean: it has no interval.
    """
    if mean == 0:
        return Chance("none", f"on {paths:,} paths", never=True)
    scale, unit = (100.0, " %") if in_percent else (1.0, "")
    told = not isnan(high) and low < high
    digits = _digits(scale * (high - low) if told else 0.1 * scale * mean)
    text = f"{scale * mean:,.{digits}f}{unit}"
    return Chance(text, f"[{scale * low:,.{digits}f}, {scale * high:,.{digits}f}]" if told else "")


def _interval(low: float, high: float) -> str:
    """In percent, to as many digits as the width supports, and enough for the lower end to be none."""
    digits = _decimals(high - low)
    while digits < MOST_DECIMALS and 0 < 100 * low < 0.5 * 10.0**-digits:
        digits += 1
    return f"[{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def _decimals(width: float) -> int:
    """Decimals of a percentage that show a width (a fraction) to two significant digits."""
    return _digits(100 * width)


def _digits(width: float) -> int:
    """Decimals that show a width to two significant digits."""
    return max(0, 1 - floor(log10(width)))


def percent(fraction: float) -> str:
    """A fraction that was given, not measured, with the digits it was given in: "1 %", "0.05 %"."""
    return f"{100 * fraction:.6g} %"


def share(fraction: float) -> str:
    """A fraction that was measured: "28.71 %", "none" for zero, "no equity" where it is infinite."""
    if fraction == 0:
        return "none"
    return "no equity" if isinf(fraction) else f"{100 * fraction:.2f} %"


def multiple(value: float) -> str:
    """Leverage that was measured, in times the equity: "4.13x", "no equity" where it is infinite."""
    return "no equity" if isinf(value) else f"{value:,.{2 if value < 100 else 0}f}x"


def book(size: float) -> str:
    """A multiple of the book, which is not its leverage: "2 × book"."""
    return f"{size:g} × book"


def ratio(value: float) -> str:
    """A plain ratio to two decimals, "none" where it is undefined."""
    return "none" if isnan(value) else f"{value:,.2f}".replace("-", "−")


def money(value: float) -> str:
    """Whole dollars, with a proper minus sign."""
    text = f"{value:,.0f}"
    return "0" if text == "-0" else text.replace("-", "−")


def cents(value: float) -> str:
    """Money to the cent, with a proper minus sign."""
    return f"{round(value, 2) + 0.0:,.2f}".replace("-", "−")


def price(value: float) -> str:
    """Cents from a thousand up, six significant digits below."""
    return f"{value:,.2f}" if value >= 1_000 else f"{value:.6g}"


def size(units: float) -> str:
    """A position, or an order, in units of its asset: six significant digits, whole units all."""
    if units == 0:
        return "0"
    decimals = min(max(0, 5 - floor(log10(abs(units)))), MOST_DECIMALS)
    text = f"{units:,.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if decimals else text).replace("-", "−")


def duration(span: timedelta | np.timedelta64) -> str:
    """The shortest exact form of whole seconds: "15m", "36h", "7d"."""
    return format_duration(timedelta(seconds=int(np.timedelta64(span, "s").astype(int))))


def cell(p: float, low: float, high: float) -> str:
    """A probability in percent, as short as the cell of a heat map asks for: "3.1", "<0.0018", "now"."""
    if low == high == 1:
        return "now"
    if p == 0:
        return f"<{100 * high:.2g}"
    if p == 1:
        return f">{100 * low:.{_decimals(1 - low)}f}"
    return f"{100 * p:.{_decimals(high - low)}f}"


def some(names: list[str]) -> str:
    """The first few of many names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
