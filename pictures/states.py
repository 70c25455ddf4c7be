"""What the model file says of its states and levels: how often, how long, how alike; and how surely.

Ranges are from the lowest to the highest of the model's draws: refits in which months of the window weigh
more or less (docs/uncertainty.md). Without draws a range is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictures.canvas import HISTORY, LEVELS, STATES, grid, open_sheet, svg_text
from pipeline.chain import mean_durations, stationary_law
from pipeline.model import MarketModel
from pipeline.report.figures import INK

Floats = NDArray[np.float64]

STANDS_OUT = 1.25  # a coin this much louder than its fellows, each measured by its own habits


class Estimate(NamedTuple):
    """Figures by state, and the lowest and highest of the draws: (states,) each."""

    value: Floats
    low: Floats
    high: Floats


class States(NamedTuple):
    """The states of one chain: their share of all hours, and the mean length of a visit in hours."""

    names: tuple[str, ...]
    share: Estimate
    hours: Estimate


def read_regimes(model: MarketModel) -> States:
    """The regimes' shares and durations."""
    return _read_chain(model, model.regime_names, MarketModel.transition_matrix)


def read_levels(model: MarketModel) -> States:
    """The levels' shares and durations."""
    return _read_chain(model, model.level_names, MarketModel.level_matrix)


def mean_correlations(model: MarketModel) -> Estimate:
    """By regime: the mean correlation of all pairs of assets."""
    pairs = np.triu_indices(len(model.assets), 1)

    def means(one: MarketModel) -> Floats:
        return np.array([np.array(regime.correlation)[pairs].mean() for regime in one.regimes.values()])

    return _over_draws(model, means)


def standing_out(model: MarketModel) -> dict[str, list[str]]:
    """By regime: the assets that are louder in it than the others, each against its own long run."""
    volatility = np.array([list(regime.volatility.values()) for regime in model.regimes.values()])
    habit = np.sqrt(model.stationary_law() @ volatility**2)
    against = volatility / habit
    against /= np.exp(np.log(against).mean(axis=1, keepdims=True))
    return {
        name: [asset for asset, one in zip(model.assets, row, strict=True) if one >= STANDS_OUT]
        for name, row in zip(model.regime_names, against, strict=True)
    }


def loudness(model: MarketModel) -> Estimate:
    """By regime: the root mean square of the assets' annualised volatilities."""
    return _over_draws(
        model,
        lambda one: np.sqrt(
            [np.square(list(regime.volatility.values())).mean() for regime in one.regimes.values()]
        ),
    )


def scales_of(model: MarketModel) -> Estimate:
    """By level: what it multiplies volatilities by."""
    return _over_draws(model, MarketModel.level_scales)


def _read_chain(
    model: MarketModel, names: tuple[str, ...], matrix: Callable[[MarketModel], Floats]
) -> States:
    hours = model.step.total_seconds() / 3600.0
    return States(
        names,
        _over_draws(model, lambda one: stationary_law(matrix(one))),
        _over_draws(model, lambda one: mean_durations(matrix(one)) * hours),
    )


def _over_draws(model: MarketModel, figure: Callable[[MarketModel], Floats]) -> Estimate:
    value = np.asarray(figure(model), np.float64)
    draws = len(model.parameter_draws or ())
    if not draws:
        return Estimate(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    found = np.array([figure(model.drawn(number)) for number in range(draws)])
    return Estimate(value, found.min(axis=0), found.max(axis=0))


def draw_states(regimes: States, levels: States) -> str:
    """Shares and mean visits, with the draws' ranges, of each chain that has more than one state."""
    chains = [(regimes, STATES, "state", 1.0), (levels, LEVELS, "level", 24.0)]
    chains = [chain for chain in chains if len(chain[0].names) > 1]
    with open_sheet(sum(0.55 + 0.26 * len(chain[0].names) for chain in chains)) as sheet:
        panels = sheet.subplots(len(chains), 2, squeeze=False)
        for line, (states, colours, word, unit) in zip(panels, chains, strict=True):
            at = np.arange(len(states.names))
            share = Estimate(*(100.0 * each for each in states.share))
            _draw_bars(line[0], at, share, colours, "{:.0f} %")
            line[0].set_xlim(0, 100)
            line[0].set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
            length = Estimate(*(each / unit for each in states.hours))
            _draw_bars(line[1], at, length, colours, "{:.0f} h" if unit == 1.0 else "{:.1f} days")
            line[1].set_xlim(0, 1.45 * np.nanmax([length.value, length.high]))
            line[0].set_title(f"share of all hours in each {word}")
            line[1].set_title(f"mean length of a visit, {'hours' if unit == 1.0 else 'days'}")
            line[1].xaxis.get_major_locator().set_params(integer=True)
            for axes in line:
                axes.set_yticks(at, states.names)
                axes.invert_yaxis()
                axes.tick_params(axis="y", length=0)
                grid(axes, "x")
        return svg_text(
            sheet,
            "How often and how long the model is in each state and level",
            "; ".join(
                f"{name}: {100 * share:.0f} % of hours, {length:.0f} hours a visit"
                for states, *_ in chains
                for name, share, length in zip(
                    states.names, states.share.value, states.hours.value, strict=True
                )
            ),
        )


def _draw_bars(
    axes: Any, at: NDArray[np.int64], found: Estimate, colours: tuple[str, ...], form: str
) -> None:
    axes.barh(at, found.value, 0.62, color=colours[: len(at)], edgecolor=INK, linewidth=0.4)
    axes.hlines(at, found.low, found.high, color=HISTORY, linewidth=1.4)
    for end in (found.low, found.high):
        axes.plot(end, at, linestyle="none", marker="|", color=HISTORY, markersize=6)
    right = np.fmax(found.value, found.high)
    for row, value, edge in zip(at, found.value, right, strict=True):
        axes.annotate(
            form.format(value), (edge, row), (5, 0), textcoords="offset points", va="center", fontsize=8
        )


def draw_correlations(model: MarketModel, means: Estimate) -> str:
    """A matrix of correlations for each regime, on one scale."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    names, assets = model.regime_names, model.assets
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    size = len(assets)
    with open_sheet(0.35 + rows * 3.35) as sheet:
        panels = sheet.subplots(rows, columns, squeeze=False).flat
        # light to dark in one hue, so that it also reads in grey
        ramp = matplotlib.colormaps["YlGnBu"](np.linspace(0.0, 0.95, 128))
        colours, scale = LinearSegmentedColormap.from_list("seawall", ramp), Normalize(0.2, 1.0, clip=True)
        for unused in panels[len(names) :]:
            unused.set_axis_off()
        for k, (axes, regime) in enumerate(zip(panels, model.regimes.values(), strict=False)):
            matrix = np.array(regime.correlation)
            axes.pcolormesh(matrix, cmap=colours, norm=scale, edgecolors="white", linewidth=1.0)
            for i, j in np.ndindex(matrix.shape):
                if i != j:
                    ink = "white" if scale(matrix[i, j]) > 0.62 else INK
                    axes.text(
                        j + 0.5,
                        i + 0.5,
                        f"{matrix[i, j]:.2f}",
                        ha="center",
                        va="center",
                        color=ink,
                        fontsize=7,
                    )
            axes.set_title(f"{names[k]}: mean of pairs {spoken(means, k, '{:.2f}')}")
            axes.set_xticks(np.arange(size) + 0.5, assets, fontsize=7.5)
            axes.set_yticks(np.arange(size) + 0.5, assets, fontsize=7.5)
            axes.invert_yaxis()
            axes.set_aspect("equal")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        return svg_text(
            sheet,
            "Correlations of hourly moves in each state",
            "; ".join(f"{name}: mean {value:.2f}" for name, value in zip(names, means.value, strict=True)),
        )


def spoken(found: Estimate, number: int, form: str, scale: float = 1.0) -> str:
    """A figure and its range: "0.77 (0.74 to 0.79)"."""
    value, low, high = (form.format(scale * each[number]) for each in found)
    return value if np.isnan(found.low[number]) else f"{value} ({low} to {high})"
