"""The report's figures, as SVG text: the same bytes for the same cube, on any machine."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from math import floor, log10
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.summary import BASELINE
from pipeline.wording import cell, duration, multiple

if TYPE_CHECKING:
    import xarray as xr

INK, FAINT = "#1b2430", "#8a939e"
# Okabe and Ito's colours, which the common colour-blindnesses keep apart; markers differ as well
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = "osD^vPX*"
AFTER = {
    "p_liquidation": "liquidated, if untouched",
    "p_forced_liquidation": "something closed by force",
    "p_closed_out": "closed out",
    "p_managed_bankruptcy": "others pay",
}
FLOOR = 1e-5  # where the colours begin, as a fraction

STYLE = {
    "svg.hashsalt": "seawall",
    "svg.fonttype": "none",
    "text.parse_math": False,  # an account may have a dollar sign in its name
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is the same everywhere
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
}


def draw_by_horizon(cube: xr.Dataset, accounts: Sequence[str], worst: Sequence[str]) -> str:
    """P(liquidation) at leverage 1 against the horizon, a line per account: in the baseline, and in the
    worst scenario of each, `worst`, in the order of `accounts` (at most eight). An open marker is an upper
    bound: no path was liquidated.
    """
    horizons = [duration(horizon) for horizon in cube["horizon"].values]
    at_one = cube.sel(leverage=1.0)
    drawn = np.where(at_one["p_liquidation"] > 0, at_one["p_liquidation"], at_one["p_liquidation_high"])
    ticks = [10.0**power for power in range(floor(log10(drawn.min())), 1)]
    with open_figure(7.4, 3.1) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        panels[0].set_title("baseline")
        panels[1].set_title("worst scenario of each account")
        for index, account in enumerate(accounts):
            # side by side a little, or accounts with the same number would hide one another
            shift = 0.09 * (index - (len(accounts) - 1) / 2)
            for axes, scenario in zip(panels, (BASELINE, worst[index]), strict=True):
                _draw_line(axes, at_one.sel(account=account, scenario=scenario), index, shift)
        for axes in panels:
            axes.set_yscale("log")
            axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
            axes.set_ylim(0.7 * ticks[0], 1.6)
            axes.set_xticks(range(len(horizons)), horizons)
            axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.5)
            axes.set_xlabel("horizon")
        panels[0].set_ylabel("P(liquidation by the horizon)")
        lines = [line for line in panels[0].get_lines() if line.get_gid() == "account"]
        figure.legend(lines, accounts, loc="outside lower center", ncols=min(len(accounts), 4), frameon=False)
        return write_svg(figure, "P(liquidation) against horizon, by account")


def _draw_line(axes: Any, line: xr.Dataset, index: int, shift: float, event: str = "p_liquidation") -> None:
    p, low, high = (line[f"{event}{end}"].values for end in ("", "_low", "_high"))
    colour, marker = LINES[index % len(LINES)], MARKERS[index % len(MARKERS)]
    at = np.arange(p.size) + shift
    seen = p > 0
    axes.plot(at[seen], p[seen], color=colour, marker=marker, gid="account")
    axes.vlines(at[seen], low[seen], high[seen], color=colour, linewidth=1)
    axes.plot(at[~seen], high[~seen], color=colour, marker=marker, linestyle="none", markerfacecolor="white")


def draw_heat_maps(cube: xr.Dataset, account: str, scenarios: Sequence[str]) -> str:
    """P(liquidation) in percent over leverage and horizon, one panel a scenario; the row of the book as it
    stands is framed.
    """
    horizons = [duration(horizon) for horizon in cube["horizon"].values]
    leverages = cube["leverage"].values
    wide = len(horizons) <= 6
    rows, columns = (1, 2) if wide else (len(scenarios), 1)
    with open_figure(7.4, rows * (0.85 + 0.235 * len(leverages))) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
        for unused in panels[len(scenarios) :]:
            unused.set_axis_off()
        for axes, scenario in zip(panels, scenarios, strict=False):
            cells = cube.sel(account=account, scenario=scenario).transpose("leverage", "horizon", ...)
            _draw_cells(axes, cells, leverages)
            axes.set_title(scenario)
            axes.set_xticks(np.arange(len(horizons)) + 0.5, horizons)
            axes.set_xlabel("horizon")
        gross = cube["gross_leverage"].sel(account=account).values
        labels = [f"{size:g}  ({multiple(carried)})" for size, carried in zip(leverages, gross, strict=True)]
        figure.axes[0].set_yticks(np.arange(leverages.size) + 0.5, labels)
        figure.axes[0].set_ylabel("multiple of the book (gross leverage)")
        return write_svg(figure, f"P(liquidation) of {account} by leverage and horizon, percent")


def _draw_cells(axes: Any, cells: xr.Dataset, leverages: NDArray[np.float64]) -> None:
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.patches import Rectangle

    # light to dark in one hue, so that it also reads in grey
    ramp = matplotlib.colormaps["YlOrBr"](np.linspace(0.0, 0.92, 128))
    colours = LinearSegmentedColormap.from_list("seawall", ramp)
    scale = LogNorm(FLOOR, 1.0, clip=True)
    p, low, high = (
        cells[name].values for name in ("p_liquidation", "p_liquidation_low", "p_liquidation_high")
    )
    # vector rectangles rather than an image: sharp in print, and no picture inside the SVG
    axes.pcolormesh(np.maximum(p, FLOOR), cmap=colours, norm=scale, edgecolors="white", linewidth=1.2)
    for here in np.ndindex(p.shape):
        row, column = here
        ink = "white" if scale(p[here]) > 0.72 else INK
        text = cell(float(p[here]), float(low[here]), float(high[here]))
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=8)
    now = int(np.flatnonzero(leverages == 1)[0])
    frame = Rectangle(
        (0, now), p.shape[1], 1, fill=False, edgecolor=INK, linewidth=1.6, clip_on=False, zorder=3
    )
    axes.add_patch(frame)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_after(cube: xr.Dataset, accounts: Sequence[str]) -> str:
    """What becomes of at most four accounts in the baseline by the longest horizon, against the multiple of
    the book: liquidated if nobody touched it, closed by force in part or whole, closed out, others pay.

    Bars are 95 % intervals; an open marker is an upper bound: it happened on no path.
    """
    at_end = cube.sel(scenario=BASELINE).isel(horizon=-1)
    cells = {name: at_end.sel(account=name).transpose("leverage", ...) for name in accounts}
    leverages = [f"{size:g}" for size in cube["leverage"].values]
    drawn = [
        np.where(cell[event] > 0, cell[event], cell[f"{event}_high"])
        for cell in cells.values()
        for event in AFTER
    ]
    ticks = [10.0**power for power in range(floor(log10(np.min(drawn))), 1)]
    columns = min(len(accounts), 2)
    rows = -(-len(accounts) // columns)
    with open_figure(7.4, 0.5 + 2.4 * rows) as figure:
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
        for unused in panels[len(accounts) :]:
            unused.set_axis_off()
        for axes, (name, cell) in zip(panels, cells.items(), strict=False):
            axes.set_title(name)
            for index, event in enumerate(AFTER):
                _draw_line(axes, cell, index, 0.09 * (index - (len(AFTER) - 1) / 2), event)
            axes.set_yscale("log")
            axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
            axes.set_ylim(0.7 * ticks[0], 1.6)
            axes.set_xticks(range(len(leverages)), leverages)
            axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.5)
            axes.set_xlabel("multiple of the book")
        figure.axes[0].set_ylabel(f"probability within {duration(cube['horizon'].values[-1])}")
        from matplotlib.lines import Line2D

        lines = [Line2D([], [], color=LINES[i], marker=MARKERS[i]) for i in range(len(AFTER))]
        figure.legend(lines, AFTER.values(), loc="outside lower center", ncols=len(AFTER), frameon=False)
        return write_svg(figure, "What follows a breach, against the multiple of the book, by account")


def draw_reliability(bins: Mapping[str, Sequence[tuple[float, float, int]]], floor: float = 1e-3) -> str:
    """Reliability diagram: realised share against mean forecast, on logarithmic axes, a line per forecaster.

    `bins` maps a forecaster to its bins as (mean forecast, realised share, count); below it, how many
    forecasts lie where. An open marker at the floor: nothing came true there.
    """
    with open_figure(7.4, 4.6) as figure:
        panels = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        panels[0].plot([floor, 1.0], [floor, 1.0], color=FAINT, linewidth=0.8)
        for index, (name, found) in enumerate(bins.items()):
            forecast, realised, count = (np.array(column, np.float64) for column in zip(*found, strict=True))
            at, seen = np.maximum(forecast, floor), realised >= floor
            style = {"color": LINES[index], "marker": MARKERS[index]}
            panels[0].plot(at[seen], realised[seen], label=name, **style)
            low = np.full(int((~seen).sum()), floor)
            panels[0].plot(at[~seen], low, linestyle="none", markerfacecolor="white", **style)
            panels[1].plot(at, count, **style)
        panels[0].set_ylabel("realised share")
        panels[0].legend(frameon=False)
        panels[1].set_ylabel("windows")
        panels[1].set_xlabel("forecast P(liquidation)")
        ticks = [10.0**power for power in range(round(log10(floor)), 1)]
        for axes in panels:
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.grid(color=FAINT, alpha=0.3, linewidth=0.5)
        panels[0].set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        panels[1].set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        return write_svg(figure, "Realised share of liquidations against forecast probability")


@contextmanager
def open_figure(width: float, height: float) -> Iterator[Any]:
    """A figure in inches, untouched by the settings of whoever calls."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield Figure(figsize=(width, height), layout="constrained")


def write_svg(figure: Any, label: str) -> str:
    """The figure as an `svg` element to stand inside a page: no prologue, no ids to collide, scalable."""
    text = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # letters that DejaVu lacks are measured as boxes, and drawn by the reader's own fonts
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(text, format="svg", metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(
        r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-label="{escape(label)}">',
        svg,
    )
    svg = svg.replace("'DejaVu Sans'", "sans-serif")
    return svg.strip()
