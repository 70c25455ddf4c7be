"""`python -m benchmarks.uncertainty [--model FILE]`: the tables of docs/uncertainty.md anew.

What a model's draws make of examples/desk.yaml, beside what its own figures do; how often the second interval
holds one more draw; how large the file is and how long it takes to read. The table of draws against other
windows is that of a slow test, whose command the page has.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.special import expit, logit

from pipeline.engine import warm_kernels
from pipeline.intervals import over_draws
from pipeline.model import MODELS
from pipeline.plan import Plan, plan_from_document
from pipeline.run import run
from pipeline.yaml_text import load_text

ROOT = Path(__file__).parents[1]
DESK = ROOT / "examples" / "desk.yaml"
SHIPPED = MODELS / "crypto-majors.yaml"
WIDTHS = (0.0, 0.1, 0.3, 0.6, 1.0)  # standard deviations of log odds over draws
CHANCES = (0.3, 0.05, 0.01, 0.001, 0.0002)
DRAWS, PATHS, REPETITIONS = 32, 200_000, 3_000


class Cell(NamedTuple):
    """Where the table looks at the cube, and what it calls it."""

    name: str
    account: str
    leverage: float
    days: int


CELLS = (
    Cell("directional, as it stands", "directional", 1, 7),
    Cell("three-strategies, as it stands", "three-strategies", 1, 7),
    Cell("three-strategies, 3 days", "three-strategies", 1, 3),
    Cell("basis, three times as large", "basis", 3, 7),
    Cell("basis, five times as large", "basis", 5, 7),
)


def plan_desk(model: Path, uncertain: bool, paths: int) -> Plan:
    """The desk of the examples in the baseline, on a model from a file, over its draws or without them."""
    document: dict[str, Any] = dict(load_text(DESK).content)
    simulation = document["simulation"] | {"paths": paths, "parameter_uncertainty": uncertain}
    document |= {"simulation": simulation, "model": str(model), "scenarios": ["baseline"], "limits": []}
    return plan_from_document(document, DESK.parent)


def list_rows(own: xr.Dataset, drawn: xr.Dataset) -> Iterator[str]:
    """The rows of "How much it is", of both cubes, in percent."""
    yield "| | model as given | over draws | simulation | with errors of the parameters |"
    yield "|---|---|---|---|---|"
    for cell in CELLS:
        at = {
            "scenario": "baseline",
            "account": cell.account,
            "leverage": cell.leverage,
            "horizon": np.timedelta64(cell.days, "D"),
        }
        alone, over = own.sel(at), drawn.sel(at)
        ends = [
            f"{_percent(over[f'p_liquidation{kind}_low'])} to {_percent(over[f'p_liquidation{kind}_high'])}"
            for kind in ("", "_model")
        ]
        estimates = _percent(alone.p_liquidation), _percent(over.p_liquidation)
        yield f"| {' | '.join((cell.name, *estimates, *ends))} |"


def list_coverage(repetitions: int) -> Iterator[str]:
    """The rows of "Coverage": how often the interval holds the probability under one more draw."""
    yield f"| p | σ {' | '.join(f'{width:g}' for width in WIDTHS)} |"
    yield "|---" * (len(WIDTHS) + 1) + "|"
    rng = np.random.default_rng(1)
    for p in CHANCES:
        found = []
        for width in WIDTHS:
            true = expit(logit(p) + width * rng.standard_normal((repetitions, DRAWS + 1)))
            shares = rng.binomial(PATHS // DRAWS, true[:, :DRAWS]) * (DRAWS / PATHS)
            low, high = over_draws(shares.mean(axis=1), shares.std(axis=1, ddof=1), DRAWS)
            told = np.isfinite(low)
            one_more = true[:, DRAWS]
            found.append(np.mean((low <= one_more)[told] & (one_more <= high)[told]))
        yield f"| {p:g} | {' | '.join(f'{share:.2f}' for share in found)} |"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--paths", type=int, default=PATHS)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    given = parser.parse_args(arguments)
    model = given.model.resolve()
    start = time.process_time()
    content = load_text(model).content
    seconds = time.process_time() - start
    count, size = len(content.get("parameter_draws") or ()), model.stat().st_size / 1000.0
    print(f"{model.name}: {count} draws, {size:.0f} kB, read in {seconds:.2f} s")
    warm_kernels()
    cubes = []
    for uncertain in (False, True):
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            cubes.append(run(plan_desk(model, uncertain, given.paths), folder).load())
        print(f"{'over draws' if uncertain else 'as given'}: {time.process_time() - start:.1f} s of CPU")
    print(f"\nHow much it is: examples/desk.yaml, baseline, {given.paths:,} paths, in percent\n")
    print("\n".join(list_rows(cubes[0], cubes[1])))
    print(f"\nCoverage: {DRAWS} draws, {PATHS:,} paths, {given.repetitions:,} repetitions\n")
    print("\n".join(list_coverage(given.repetitions)))


def _percent(share: xr.DataArray) -> str:
    """Three digits; a dash where nothing can be told."""
    value = 100.0 * float(share)
    return "–" if np.isnan(value) else f"{value:#.3g}".rstrip(".")


if __name__ == "__main__":
    main()
