"""The figures that the page quotes, as Markdown by the name of the block that they fill."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pictures.forecasts import Grade
from pictures.moves import FURTHEST, HORIZONS, JOINT, LAGS, TAIL, Band, Moves, levels_of
from pictures.page import fingerprint
from pictures.states import (
    States,
    loudness,
    mean_correlations,
    read_levels,
    read_regimes,
    scales_of,
    spoken,
    standing_out,
)
from pictures.timeline import DAY, Timeline
from pipeline.backtest.cells import judged_cells
from pipeline.backtest.judge import Judgement
from pipeline.backtest.scores import EDGES
from pipeline.backtest.summary import score_table
from pipeline.model import MarketModel
from pipeline.units import parse_duration

JOINT_TAIL = 0.02  # of joint falls and rises, the share of days that is spoken of
FAR = 168  # hours apart: the memory that is spoken of


def quote_model(model: MarketModel) -> dict[str, str]:
    """The blocks that the model file alone decides."""
    regimes, levels, scales = read_regimes(model), read_levels(model), scales_of(model)
    loud, alike, apart = loudness(model), mean_correlations(model), standing_out(model)
    window = (model.calibration or {}).get("window")
    from_to = (
        f"from {str(window['start'])[:10]} to {str(window['end'])[:10]}"
        if isinstance(window, dict)
        else "of a window that its file doesn't name"
    )
    origin = (
        f"Model `{model.name}`: {len(model.assets)} coins ({', '.join(model.assets)}), fitted to hourly "
        f"closes {from_to}. In brackets after a figure of the model: the lowest and the highest of "
        f"{len(model.parameter_draws or ())} refits, in each of which months weigh more or less "
        f"([uncertainty.md](uncertainty.md)). Fingerprint of the figures drawn: `{fingerprint(model)}`."
    )
    head = ("state", "share of all hours", "a visit lasts", "volatility a year", "correlation of two coins")
    states = _table(
        (*head, "louder than the rest"),
        (
            (
                f"*{name}*",
                spoken(regimes.share, k, "{:.0f}", 100.0) + " %",
                spoken(regimes.hours, k, "{:.0f}") + " h",
                spoken(loud, k, "{:.0f}", 100.0) + " %",
                spoken(alike, k, "{:.2f}"),
                ", ".join(apart[name]) or "none: all alike",
            )
            for k, name in enumerate(regimes.names)
        ),
    )
    loudest = _table(
        ("level", "multiplies every move by", "share of all hours", "a visit lasts"),
        (
            (
                f"*{name}*",
                spoken(scales, m, "{:.2f}"),
                spoken(levels.share, m, "{:.0f}", 100.0) + " %",
                spoken(levels.hours, m, "{:.1f}", 1.0 / 24.0) + " days",
            )
            for m, name in enumerate(levels.names)
        ),
    )
    lowest, highest = int(np.argmin(alike.value)), int(np.argmax(alike.value))
    together = (
        f"The mean correlation of two coins' hourly moves goes from {spoken(alike, lowest, '{:.2f}')} in "
        f"*{regimes.names[lowest]}* to {spoken(alike, highest, '{:.2f}')} in *{regimes.names[highest]}*."
    )
    bound = _quote_bound(model, levels)
    spoken_of = "This model has none." if model.levels is None else loudest + bound
    return {"origin": origin, "states": states, "levels": spoken_of, "correlations": together}


def _quote_bound(model: MarketModel, levels: States) -> str:
    """A sentence where levels last as short as the fit allows."""
    shortest = (model.calibration or {}).get("shortest_level")
    if not isinstance(shortest, str):
        return ""
    hours = parse_duration(shortest).total_seconds() / 3600.0
    at = [name for name, mean in zip(levels.names, levels.hours.value, strict=True) if mean < 1.01 * hours]
    if not at:
        return ""
    who = "All levels" if len(at) == len(levels.names) else _listed([f"*{name}*" for name in at])
    return (
        f"\n\n{who} last{'s' if len(at) == 1 else ''} the shortest mean time that the fit allows, "
        f"{hours / 24:g} days. That is a choice of ours, not a finding: [calibration.md](calibration.md#how)."
    )


def quote_timeline(model: MarketModel, timeline: Timeline, early: Sequence[str]) -> dict[str, str]:
    """What the two timelines show; `early`: the assets that the first bars have."""
    missing = [asset for asset in model.assets if asset not in early]
    sure = float(timeline.regime.max(axis=1).mean())
    begins = f"The likeliest state of an hour has a probability of {100 * sure:.0f} % on average."
    if missing:
        begins += (
            f" Until bars of {_listed(missing)} begin, the model reads the market from "
            f"{_listed(early)} alone."
        )
    day = slice(timeline.worst + 1 - DAY, timeline.worst + 1)
    regime, level = (each[day].argmax(axis=1) for each in (timeline.regime, timeline.level))
    k, m = (int(np.bincount(each).argmax()) for each in (regime, level))
    ended = np.datetime_as_string(timeline.times[timeline.worst], "m").replace("T", " at ")
    worst = (
        f"The worst 24 hours of all {len(model.assets)} coins in equal parts ended on {ended} UTC: "
        f"{_percent(timeline.fall)}. In {int((regime == k).sum())} of those hours the likeliest state was "
        f"*{model.regime_names[k]}*; in {int((level == m).sum())} the likeliest level was "
        f"*{model.level_names[m]}*."
    )
    return {"timeline": begins, "worst-days": worst}


def quote_moves(moves: Moves) -> dict[str, str]:
    """The tables of quantiles and of joint falls, a sentence on memory, and what lies outside."""
    bands = [band for row in moves.quantiles for band in row]
    outside, count = (
        sum(int(band.outside().sum()) for band in bands),
        sum(band.history.size for band in bands),
    )
    said = (
        f"{outside} of the {count} quantiles in the picture lie outside. Of a right model about "
        f"{round(0.05 * count)} would, now and then many more: those of one panel go together."
    )
    rows = []
    for book, row in zip(moves.books, moves.quantiles, strict=True):
        for number, (horizon, band) in enumerate(zip(HORIZONS, row, strict=True)):
            levels = levels_of(number)
            cells: list[str] = []
            for tail in (TAIL, 1.0 - TAIL):
                at = int(np.argmin(np.abs(levels - tail)))
                verdict = "**outside**" if band.outside()[at] else "inside"
                cells += [_percent(float(band.history[at])), _ranged(band, at, "{:.1f}"), verdict]
            rows.append((book.name, horizon, *cells))
    tails = ("worst 1 in 100", "model (95 %)", "", "best 1 in 100", "model (95 %)", "")
    joint = _table(
        ("", *(f"{100 * level:g} % of days" for level in JOINT)),
        (
            (f"{word} days: {who}", *cells)
            for word, band in (("worst", moves.falls), ("best", moves.rises))
            for who, cells in (
                ("history", [f"{100 * value:.0f} %" for value in band.history]),
                ("model (95 %)", [_ranged(band, at, "{:.0f}") for at in range(len(JOINT))]),
            )
        ),
    )
    return {
        "moves": f"{said}\n\n{_table(('book', 'over', *tails), rows)}",
        "joint": joint,
        "memory": _quote_memory(moves.memory),
        "wrong-moves": "\n".join(_wrong_moves(moves)) or "- Of the moves drawn, nothing lies outside.",
    }


def _quote_memory(band: Band) -> str:
    at = LAGS.index(FAR)
    here, low, high = (
        f"{round(float(each[at]), 2) + 0.0:.2f}" for each in (band.history, band.low, band.high)
    )
    return _minus(
        f"The sizes of two hourly moves a week apart have a correlation of {here} in history, and "
        f"of {low} to {high} in the model's histories."
    )


def _wrong_moves(moves: Moves) -> Iterator[str]:
    """Where history lies outside what the model's histories show, a line each."""
    for book, row in zip(moves.books, moves.quantiles, strict=True):
        for number, (horizon, band) in enumerate(zip(HORIZONS, row, strict=True)):
            for at, word in ((0, "worst"), (-1, "best")):
                if band.outside()[at]:
                    yield (
                        f"- **{book.name}, over {horizon}.** The {word} 1 in "
                        f"{round(1 / FURTHEST[number]):,}: {_percent(float(band.history[at]))} in history, "
                        f"{_ranged(band, at, '{:.1f}')} in the model."
                    )
    at = JOINT.index(JOINT_TAIL)
    for word, band in (("worst", moves.falls), ("best", moves.rises)):
        if band.outside()[at]:
            more = "more" if band.history[at] > band.high[at] else "less"
            yield (
                f"- **Coins share their {word} days {more} than the model believes.** On a coin's {word} "
                f"{100 * JOINT_TAIL:g} % of days another coin has one too in "
                f"{100 * band.history[at]:.0f} % of cases; in the model {_ranged(band, at, '{:.0f}')}."
            )
    if moves.memory.outside()[LAGS.index(FAR)]:
        yield f"- **How long storms are remembered.** {_quote_memory(moves.memory)}"


def quote_backtest(judgement: Judgement, grades: Sequence[Grade]) -> dict[str, str]:
    """The table of reliability, the scores, and where forecasts and events part."""
    rows, wrong = [], []
    for grade in grades:
        b = int(np.searchsorted(EDGES, grade.forecast, side="right")) - 1
        came = f"{_plain(grade.realised)} ({_plain(grade.low)} to {_plain(grade.high)})"
        inside = grade.low <= grade.forecast <= grade.high
        often = "more often" if grade.realised > grade.forecast else "less often"
        span = f"{100 * EDGES[b]:g} to {100 * EDGES[b + 1]:g}"
        verdict = "as forecast" if inside else f"**{often}**"
        rows.append((span, f"{grade.n:,}", _plain(grade.forecast), came, verdict))
        if not inside:
            wrong.append(f"- **When it said {_plain(grade.forecast)} %** on average, {came} % came true.")
    everything = judged_cells(judgement)
    cells = [cell for cell in everything if cell.judged]
    kept = sum(cell.low <= cell.realised <= cell.high for cell in cells)
    own, gaussian, shuffled, on_gaussian, on_shuffled = score_table(judgement).rows[0][1:]
    first, last = (np.datetime_as_string(judgement.times[i], "D") for i in (0, -1))
    settings = judgement.settings
    scores = (
        f"{len(judgement.times):,} starts from {first} to {last}; {len(settings.books)} books, "
        f"{len(settings.leverages)} leverages, {len(settings.horizons)} horizons. {kept} of the {len(cells)} "
        "combinations that have enough events to be judged came true as often as a right model would allow. "
        f"The other {len(everything) - len(cells)} expect too few events to be judged one by one; together "
        "they make most of the upper rows of the table. "
        f"Log score x 10,000, nearer to 0 is better: the model {own}, the Gaussian law {gaussian}, shuffled "
        f"history {shuffled}. The model's lead on the Gaussian law is {on_gaussian}, on shuffled history "
        f"{on_shuffled}; in brackets 95 % intervals. A lead whose interval holds 0 may be luck."
    )
    return {
        "reliability": _table(
            ("forecast, %", "forecasts", "said on average, %", "came true, % (95 %)", ""), rows
        ),
        "scores": _minus(scores),
        "wrong-forecasts": "\n".join(wrong) or "- No size of forecast is off by more than its interval.",
    }


def _ranged(band: Band, at: int, form: str) -> str:
    """The model's figure and its range, fractions in percent: "−3.2 % (−3.5 to −2.9)"."""
    value, low, high = (form.format(100 * float(each[at])) for each in (band.model, band.low, band.high))
    return _minus(f"{value} % ({low} to {high})")


def _percent(fraction: float) -> str:
    return _minus(f"{100 * fraction:.1f} %")


def _plain(fraction: float) -> str:
    """Percent without its sign, to two digits."""
    percent = 100.0 * fraction
    return f"{percent:.0f}" if percent >= 9.95 or percent == 0 else f"{percent:#.2g}"


def _minus(text: str) -> str:
    """Proper minus signs before numbers; dates keep their hyphens."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, tuple("---" for _ in head), *rows))
