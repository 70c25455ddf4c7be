"""The shipped storms: what they do to simulated correlations, and how they compare with history."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.jit import njit
from kernels.market import draw_step, mix_tails, move_prices, select_regime, switch_levels, switch_regimes
from kernels.structs import LANES, Draws, Floats, Key, Market, Step
from kernels.walk import apply_shock
from pipeline.lower_market import lower_market
from pipeline.plan import plan_from_document
from pipeline.scenarios import SCENARIOS
from tests.kernels.lowered import room_for
from tests.pipeline.documents import small_document

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[2] / "../shared/data"))
HOURS = 24


@njit
def walk(
    market: Market, scenario: int, key: Key, draws: Draws, now: Step, state: Any, closes: Floats
) -> None:
    """Prices (T + 1, A, LANES) of one set of lanes: shocks are part of the hour that they begin.

    state (2, LANES): level and regime.
    """
    level, regime = state[0], state[1]
    closes[0] = market.spot.reshape(-1, 1)
    for step in range(closes.shape[0] - 1):
        here = Key(key.seed, key.path, np.uint64(step))
        price = closes[step + 1]
        price[:] = closes[step]
        draw_step(market, here, 0, draws)
        if market.level_scale.shape[0] > 1:
            switch_levels(market, step, draws.uniform, level)
        switch_regimes(market, scenario, step, draws.uniform, level, regime)
        parameters = market.parameters[scenario, step]
        mix_tails(market, parameters, level, regime, draws.uniform, now.weight)
        select_regime(market, parameters, draws.noise, regime, now)
        if market.shock[scenario, step] >= 0:
            apply_shock(market, market.shock[scenario, step], price)
        move_prices(market, now, price)


def simulate_returns(market: Market, scenario: int, rounds: int = 20) -> Floats:
    """(paths, T, A) hourly log returns."""
    draws, now = room_for(market)
    still = np.zeros((2, LANES), np.int64)
    found = []
    for n in range(rounds):
        closes = np.zeros((HOURS + 1, market.spot.size, LANES))
        key = Key(np.uint64(5), np.uint64(n * LANES), np.uint64(0))
        walk(market, scenario, key, draws, now, still.copy(), closes)
        found.append(np.diff(np.log(closes), axis=0).transpose(2, 0, 1))
    return np.concatenate(found)


def correlations(returns: Floats) -> float:
    """Mean over paths and pairs of the correlation of a day's hourly returns."""
    pairs = np.triu_indices(returns.shape[2], 1)
    return float(np.mean([np.corrcoef(path.T)[pairs].mean() for path in returns]))


def test_scenarios__both_tail_regimes_in_simulated_correlations() -> None:
    """All together: correlations above 0.9, as in March 2020. One by one: below the baseline's, in a fall."""
    document = small_document()
    document["model"] = "crypto-majors"
    names = ["BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "LINK"]
    fractions = {"initial_margin": 0.02, "maintenance_margin": 0.012}
    document["venue"]["markets"] = {f"{a}-USD": {"asset": a, **fractions} for a in names}
    document["prices"] = dict.fromkeys(names, 100.0)
    positions = [{"market": f"{a}-USD", "size": 1.0, "entry": 100.0} for a in names]
    document["accounts"] = [{"name": "one", "collateral": {"USDC": 900}, "positions": positions}]
    document["scenarios"] = ["baseline", "correlation-one", "alt-collapse"]
    document["limits"] = []
    market = lower_market(plan_from_document(document))._replace(has_jumps=0)
    returns = [simulate_returns(market, s) for s in range(3)]
    calm, together, apart = (correlations(each) for each in returns)
    assert 0.5 < calm < 0.75
    assert together > 0.92
    assert apart < calm - 0.15
    fall = np.exp(returns[2].sum(axis=1)).mean(axis=0) - 1.0
    assert (fall[:2] < -0.08).all()
    assert (fall[2:] < -0.45).all()
    # one an hour, in the model's order, from the third hour on
    assert returns[2].mean(axis=0).argmin(axis=0).tolist() == [1, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.slow
def test_scenarios__severities_are_historys_figures() -> None:
    """Every figure of a narrative's severity that is of the files at hand, computed anew."""
    if not (DATA / "spot_1h.parquet").exists():
        pytest.skip(f"no market history at {DATA}; name its folder in SEAWALL_DATA")
    import yaml

    from tests.pipeline.severities import find_severities

    found = find_severities(DATA)
    for name, texts in QUOTED.items():
        severity = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())["severity"]
        for key, text in texts.items():
            assert text in severity, (name, text)
            figure = re.findall(r"[-+]?\d+(?:\.\d+)?", text)[0]
            assert figure.lstrip("+") in found[key], (name, key, found[key])


# by scenario: what its severity says, by the figure that it is
QUOTED = {
    "gap-down-10": {"share_of_days_below_-10": "0.73 %", "worst_hour": "-18.2 % (2020-03-12 10:00)"},
    "gap-down-20": {"share_of_days_below_-20": "0.046 %", "worst_hour": "-18.2 % (2020-03-12 10:00)"},
    "gap-down-30": {"share_of_days_below_-30": "0.014 %", "worst_day": "-46.4 %"},
    "gap-up-20": {"best_hour": "+17.4 % (2020-03-13 02:00)", "best_day": "+34.8 % (2019-10-26 01:00)"},
    "flash-crash": {"worst_hour": "-18.2 %", "worst_low_in_hour": "-24.5 %"},
    "slow-grind": {"worst_month": "-59.7 %", "worst_week": "-54.2 %"},
    "volatility-storm": {
        "median_week_volatility": "51 %",
        "wildest_week_volatility": "337 %",
        "median_dvol": "60 in the median",
        "highest_dvol": "168 at its highest",
    },
    "correlation-one": {
        "correlation_overall": "0.63",
        "correlation_days_95_percent": "0.89",
        "correlation_highest_day": "0.97",
    },
    "correlation-break": {
        "correlation_overall": "0.63",
        "correlation_days_5_percent": "0.41",
        "correlation_lowest_day": "0.07",
    },
    "funding-spike": {"median_funding": "+1.0", "highest_funding": "+30.0", "lowest_funding": "-30.0"},
    "funding-flip": {"lowest_funding": "-30.0", "longest_negative_funding": "24 settlements"},
    "basis-blowout": {
        "lowest_basis_BTC": "-3.5 % for BTC (2019-09-08 17:00)",
        "lowest_basis_ETH": "-8.3 % for ETH (2019-11-27 08:00)",
        "lowest_basis_XRP": "-6.7 % for XRP (2020-12-11 23:00)",
    },
    "alt-collapse": {"median_alt_worst_day": "-45.3 %"},
    "oracle-lag": {"worst_2_hours": "-19.8 %"},
    "oracle-outlier": {"worst_low_in_hour": "-24.5 %"},
    "chain-halt": {"worst_6_hours": "-31.6 %"},
    "stablecoin-depeg": {"usdc_below_0.99": "46 hours", "lowest_UST": "0.225"},
}
