"""What hourly steps with bridge monitoring leave out on books of several assets, against 5-minute steps.

The law is the same on both grids: regimes and Student-t mixing belong to the model's hour, and inside it
prices are a Brownian motion. What differs is what the bridge takes for granted over one step: that an
account's excess margin moves in a straight line with log prices (`p_liquidation` of a book of several
assets), and how the dips of two accounts go together (`joint_liquidations`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

from pipeline.plan import plan_from_document
from pipeline.run import run

PATHS = 3_000_000
LEVERAGES = (1.0, 1.5, 2.0, 3.0)
PAIRS = (
    ("long one", "long three"),
    ("long one", "hedged pair"),
    ("hedged pair", "hedged three"),
    ("long one", "short one"),
)


class Difference(NamedTuple):
    """A probability on two grids, and how many standard errors lie between."""

    what: str
    close: float
    hourly: float
    fine: float
    error: float

    @property
    def score(self) -> float:
        """The difference of hourly and fine bridges, in standard errors."""
        return (self.hourly - self.fine) / self.error


def plan_books(step: str, monitoring: str) -> dict[str, Any]:
    """Books of one, two and three assets over a day, in a market with a wild, heavy-tailed regime."""

    def account(name: str, **notional: float) -> dict[str, Any]:
        positions = [
            {"market": f"{asset}-USD", "size": money / 100.0, "entry": 100}
            for asset, money in notional.items()
        ]
        return {"name": name, "collateral": {"USDC": 100_000}, "positions": positions}

    return {
        "name": "bias",
        "as_of": "2026-01-01T00:00:00Z",
        "simulation": {
            "seed": 41 if step == "1h" else 42,
            "paths": PATHS,
            "step": step,
            "horizons": ["1d"],
            "leverage": list(LEVERAGES),
            "monitoring": monitoring,
        },
        "venue": {
            "rules": "dydx_v4",
            "as_of": "2026-01-01",
            "taker_fee": 0.0005,
            "markets": {
                f"{asset}-USD": {"asset": asset, "initial_margin": 0.05, "maintenance_margin": 0.03}
                for asset in "ABC"
            },
        },
        "prices": dict.fromkeys("ABC", 100),
        "model": {
            "step": "1h",
            "assets": list("ABC"),
            "initial": "stationary",
            "regimes": {
                "calm": {
                    "volatility": {"A": 0.5, "B": 0.7, "C": 0.9},
                    "correlation": [[1, 0.7, 0.6], [0.7, 1, 0.65], [0.6, 0.65, 1]],
                },
                "wild": {
                    "volatility": {"A": 1.2, "B": 1.6, "C": 2.0},
                    "correlation": [[1, 0.8, 0.7], [0.8, 1, 0.75], [0.7, 0.75, 1]],
                    "tail": 4,
                },
            },
            "transitions": {"calm": {"calm": 0.97, "wild": 0.03}, "wild": {"calm": 0.06, "wild": 0.94}},
        },
        "scenarios": ["baseline"],
        "accounts": [
            account("long one", A=600_000),
            account("short one", A=-600_000),
            account("long three", A=250_000, B=200_000, C=150_000),
            account("hedged pair", A=600_000, B=-450_000),
            account("hedged three", A=500_000, B=-650_000, C=200_000),
        ],
    }


def measure(step: str, monitoring: str, folder: Any) -> xr.Dataset:
    """The cube of the books on a grid."""
    return run(plan_from_document(plan_books(step, monitoring)), folder).squeeze(["scenario", "horizon"])


def compare(close: xr.Dataset, hourly: xr.Dataset, fine: xr.Dataset) -> list[Difference]:
    """Every probability of interest on the grids."""

    def difference(what: str, counts: list[int]) -> Difference:
        p_close, p_hourly, p_fine = (count / PATHS for count in counts)
        pooled = 0.5 * (p_hourly + p_fine)
        return Difference(what, p_close, p_hourly, p_fine, np.sqrt(2.0 * pooled * (1.0 - pooled) / PATHS))

    cubes = (close, hourly, fine)
    single = [
        difference(
            f"{account} x {leverage:g}",
            [int(c["liquidations"].sel(account=account, leverage=leverage)) for c in cubes],
        )
        for account in hourly["account"].values.tolist()
        for leverage in LEVERAGES
    ]
    joint = [
        difference(
            f"{one} and {other}",
            [int(c["joint_liquidations"].sel(account=one, account_other=other)) for c in cubes],
        )
        for one, other in PAIRS
    ]
    return [d for d in single + joint if 50 < d.fine * PATHS < PATHS - 50]


@pytest.mark.slow
def test_run__hourly_bridge_agrees_with_a_fine_grid(tmp_path: Any) -> None:
    differences = compare(
        measure("1h", "close", tmp_path), measure("1h", "bridge", tmp_path), measure("5m", "bridge", tmp_path)
    )
    print(f"\n{'percent':28}{'close, 1h':>12}{'bridge, 1h':>12}{'bridge, 5m':>12}{'difference':>20}{'z':>7}")
    for d in differences:
        values = "".join(f"{100 * p:12.4f}" for p in (d.close, d.hourly, d.fine))
        change = f"{100 * (d.hourly - d.fine):+.4f} +- {100 * d.error:.4f}"
        print(f"{d.what:28}{values}{change:>20}{d.score:7.1f}")
    for d in differences:
        assert abs(d.hourly - d.fine) < 4.0 * d.error + 0.01 * d.fine, d
    # without the bridge the same grid is off by far more, or this test would show nothing
    assert sum(d.fine - d.close > 10.0 * d.error for d in differences) > len(differences) // 2
