"""The sheet that pictures are drawn on: SVG that stands alone and is the same bytes each time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import Any

from pipeline.report.figures import FAINT, INK, STYLE

PAPER = "#ffffff"  # of its own, so that a page with a dark background leaves it readable
HISTORY, MODEL, OFF = "#1b2430", "#0072B2", "#D55E00"  # what was, what the model says, where they part
# Okabe and Ito's, which the common colour-blindnesses keep apart; in the order of the regimes
STATES = ("#56B4E9", "#009E73", "#E69F00", "#A33B00")
LEVELS = ("#e3edf6", "#b4cfe6", "#7da9cf", "#3f76ac")  # one hue, light to dark: an order
WIDTH = 7.4  # inches
MARGINS = {f"figure.constrained_layout.{side}": 0.08 for side in ("w_pad", "h_pad")}


@contextmanager
def open_sheet(height: float, width: float = WIDTH) -> Iterator[Any]:
    """A figure in inches, untouched by the settings of whoever calls."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | MARGINS)
        yield Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)


def svg_text(sheet: Any, title: str, description: str) -> str:
    """The sheet as the text of an SVG file, with words for those who can't see it."""
    text = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    sheet.savefig(text, format="svg", metadata=nothing, facecolor=PAPER)
    svg = text.getvalue().replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    # two decimals of a point are below what a screen shows, and take half the bytes
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)
    words = f"<title>{escape(title)}</title>\n <desc>{escape(description)}</desc>"
    return re.sub(r"(<svg [^>]*)>", rf'\1 role="img">\n {words}', svg, count=1).rstrip() + "\n"


def grid(axes: Any, which: str = "both") -> None:
    """Faint lines behind the drawing."""
    axes.grid(axis=which, color=FAINT, alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)


def patches(names: Sequence[str], colours: Sequence[str], alpha: float = 1.0) -> list[Any]:
    """Squares of colour for a legend."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=(colour, alpha), edgecolor=INK, linewidth=0.4, label=name)
        for name, colour in zip(names, colours, strict=False)
    ]
