"""`seawall calibrate`: from market history to a model file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from flows.console import open_console
from pipeline.calibrate import calibrate_files
from pipeline.errors import InputError, Problem
from pipeline.model_file import write_model
from pipeline.units import parse_instant


def calibrate_model(
    prices: str,
    funding: str | None,
    assets: tuple[str, ...],
    regimes: int | None,
    start: str | None,
    end: str | None,
    seed: int,
    draws: int,
    spot: str | None,
    implied_volatility: str | None,
    output: Path,
) -> None:
    """Fit, write the model file, and say what was found. Raises SeawallError."""
    words = open_console(stderr=True)
    model = calibrate_files(
        prices,
        funding,
        assets,
        regimes,
        _instant("--start", start),
        _instant("--end", end),
        seed,
        name=output.stem,
        draws=draws,
        spot_path=spot,
        index_path=implied_volatility,
        progress=lambda text: words.print(text, highlight=False),
    )
    write_model(model, output)
    words.print(f"model   {output}: {len(model.regimes)} regimes, {', '.join(model.regime_names)}")


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        fix = "write it like 2023-01-01T00:00:00Z"
        raise InputError([Problem(option, "a time, UTC, ISO 8601", text, fix)]) from error
