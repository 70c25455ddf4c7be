"""What contagion adds, as a picture: how many accounts are liquidated apart, and in one market."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.report.figures import FAINT, LINES, MARKERS, open_figure, write_svg
from pipeline.summary import BASELINE
from pipeline.venue_summary import count_untouched, find_worst_scenario
from pipeline.wording import duration

if TYPE_CHECKING:
    import xarray as xr

MOST_VENUES = 4
APART, TOGETHER = "untouched", "together"


def draw_venues(cube: xr.Dataset) -> str:
    """Accounts liquidated at leverage 1 against the horizon, untouched and together, in the baseline and in
    the scenario that liquidates most; a pair of lines for each of at most four venues. Bars: 95 % intervals.
    """
    horizons = [duration(horizon) for horizon in cube["horizon"].values]
    names = cube["scenario"].values.tolist()
    venues = cube["venue"].values.tolist()[:MOST_VENUES]
    at_one = cube.sel(leverage=1.0)
    scenarios = list(dict.fromkeys((BASELINE, find_worst_scenario(cube))))
    with open_figure(7.4, 3.0) as figure:
        panels = figure.subplots(1, 2, squeeze=False).flat
        for unused in panels[len(scenarios) :]:
            unused.set_axis_off()
        for axes, scenario in zip(panels, scenarios, strict=False):
            s = names.index(scenario)
            for v, venue in enumerate(venues):
                apart = [figures[s] for figures in count_untouched(cube, venue)]
                cell = at_one.sel(scenario=scenario, venue=venue)
                together = [cell[f"accounts_liquidated_mean{end}"].values for end in ("", "_low", "_high")]
                of = f", {venue}" if len(venues) > 1 else ""
                for k, (figures, words) in enumerate(((apart, APART), (together, TOGETHER))):
                    _draw_line(axes, figures, 2 * v + k, words + of)
            axes.set_title(scenario)
            axes.set_ylim(bottom=0)
            axes.set_xticks(range(len(horizons)), horizons)
            axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.5)
            axes.set_xlabel("horizon")
        figure.axes[0].set_ylabel("accounts liquidated")
        lines, words = figure.axes[0].get_legend_handles_labels()
        figure.legend(lines, words, loc="outside lower center", ncols=min(len(words), 4), frameon=False)
        return write_svg(figure, "Accounts liquidated against horizon, untouched and together")


def _draw_line(axes: Any, figures: list[NDArray[np.float64]], index: int, words: str) -> None:
    mean, low, high = figures
    colour, marker = LINES[index % len(LINES)], MARKERS[index % len(MARKERS)]
    at = np.arange(len(mean)) + (0.04 if index % 2 else -0.04)
    axes.plot(at, mean, color=colour, marker=marker, linestyle="-" if index % 2 else "--", label=words)
    told = np.isfinite(low) & np.isfinite(high)
    axes.vlines(at[told], low[told], high[told], color=colour, linewidth=1)
