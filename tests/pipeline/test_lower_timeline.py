"""Effects one by one, and together, against paths done by hand: the market itself stands still."""

from __future__ import annotations

import json
from math import exp, log
from typing import Any

import numpy as np
import pytest

from kernels.structs import AT_CLOSE, BANKRUPTCY, LIQUIDATION, MARGIN_CALL, THROUGHOUT, UNSEEN
from pipeline.betas import betas, mixed_covariance
from pipeline.blocks import Block
from pipeline.engine import liquidatable_now, simulate_block
from pipeline.lower_book import lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import plan_from_document
from pipeline.scenarios import load_scenario
from tests.pipeline.documents import small_document, tiered_document
from tests.pipeline.still_market import (
    HOURS,
    count,
    hour_of_hit,
    hours_at,
    just_hit,
    liquidated_by_hour,
    still_document,
)
from tests.runs import hit_document

DAY = ("2020-03-12T00:00:00Z", "2020-03-12T04:00:00Z")

HITS_BY_BRIDGE = [[121, 1030, 817, 1021], [78, 1027, 777, 1006], [41, 907, 707, 927]]
HITS_AT_CLOSE = [[101, 1027, 694, 1016], [62, 1027, 652, 983], [34, 877, 600, 904]]

both_ways = pytest.mark.parametrize("monitoring", ["close", "bridge"])


def replay(*returns: float, **rest: Any) -> dict[str, Any]:
    """Returns of A over the four hours of a window; B and C do not move."""
    still = [0.0] * 4
    history = {"A": list(returns), "B": still, "C": still}
    return {"effect": "replay", "start": DAY[0], "end": DAY[1], "returns": history, **rest}


def shock(move: float, at: str = "2h", **rest: Any) -> dict[str, Any]:
    return {"effect": "shock", "at": at, "moves": {"A": move}, **rest}


def prices_of(effects: list[dict[str, Any]], **simulation: Any) -> np.ndarray[Any, Any]:
    """(T, A) factors of shocks at the start of each step, ones where there are none."""
    document = still_document(*effects)
    document["accounts"][0]["positions"] += [
        {"market": f"{name}-USD", "size": 1.0, "entry": 100.0} for name in "BC"
    ]
    document["simulation"] |= simulation
    market = lower_market(plan_from_document(document))
    found = [market.shocks[n] if n >= 0 else np.ones(3) for n in market.shock[1]]
    return np.array(found)


@both_ways
def test_shock__is_met_at_its_hour(monitoring: str) -> None:
    assert hours_at(80.0, shock(-0.2), monitoring=monitoring) == (3, None)
    assert hours_at(120.0, shock(0.2), size=-1.0, monitoring=monitoring) == (3, None)


def test_shock__staggered_by_the_models_order() -> None:
    falls = prices_of([{"effect": "shock", "at": "1h", "moves": {"all": -0.5, "A": 0.0}, "stagger": "2h"}])
    assert falls[1].tolist() == [1.0, 0.5, 1.0]
    assert falls[3].tolist() == [1.0, 1.0, 0.5]
    assert (np.delete(falls, [1, 3], axis=0) == 1.0).all()


def test_shock__classes_from_narrow_to_wide() -> None:
    document = small_document()
    document["model"]["assets"] = ["SOL", "BTC"]
    for regime in document["model"]["regimes"].values():
        for key in ("volatility", "drift", "funding"):
            if key in regime:
                regime[key] = {"SOL" if a == "ETH" else a: x for a, x in regime[key].items()}
        if "jumps" in regime:
            regime["jumps"] |= {"mean": {"SOL": 0, "BTC": 0}, "volatility": {"SOL": 0, "BTC": 0}}
    document["prices"] = {"BTC": 100, "SOL": 100}
    position = {"size": 1, "entry": 100}
    document["accounts"][0]["positions"] = [{"market": f"{a}-USD", **position} for a in ("BTC", "SOL")]
    moves: dict[str, float]
    for moves, expected in (
        ({"first": -0.1, "alts": -0.2, "majors": -0.3}, [0.9, 0.7]),
        ({"alts": -0.2, "all": -0.4}, [0.8, 0.6]),
        ({"SOL": -0.5, "first": -0.1, "all": 0.5}, [0.5, 1.5]),
    ):
        document["scenarios"][2]["effects"] = [{"effect": "shock", "moves": moves}]
        market = lower_market(plan_from_document(document))
        assert market.shocks[market.shock[2, 0]].tolist() == pytest.approx(expected)


def test_betas__of_the_covariance_mixed_over_regimes() -> None:
    model = plan_from_document(small_document()).model
    p = [0.04 / 0.045, 0.005 / 0.045]
    jumps = 12 * np.array([[0.04**2 + 0.03**2, 0.04 * 0.05 + 0.9 * 0.03 * 0.04], [0, 0.05**2 + 0.04**2]])
    calm = np.array([[0.45**2, 0.8 * 0.45 * 0.6], [0, 0.6**2]])
    crisis = np.array([[1.3**2, 0.95 * 1.3 * 1.6], [0, 1.6**2]]) + jumps
    expected = p[0] * calm + p[1] * crisis
    assert np.triu(mixed_covariance(model)) == pytest.approx(expected)
    assert betas(model, "BTC").tolist() == pytest.approx([1.0, expected[0, 1] / expected[0, 0]])


def test_shock__others_by_their_beta() -> None:
    document = small_document()
    effect = {"effect": "shock", "moves": {"BTC": -0.2}, "beta": "BTC"}
    document["scenarios"][2]["effects"] = [effect]
    plan = plan_from_document(document)
    market = lower_market(plan)
    beta = betas(plan.model, "BTC")[1]
    assert market.shocks[market.shock[2, 0]].tolist() == pytest.approx([0.8, 0.8**beta])
    effect["moves"]["ETH"] = 0.1
    market = lower_market(plan_from_document(document))
    assert market.shocks[market.shock[2, 0]].tolist() == pytest.approx([0.8, 1.1])


def event(**rest: Any) -> dict[str, Any]:
    law = {"up": {"A": 0.1}, "down": {"A": -0.2}, "at": "2h"}
    return {"effect": "event", **law, **rest}


@both_ways
def test_event__goes_one_way_or_the_other(monitoring: str) -> None:
    down, up = event(probability=0.0), event(probability=1.0)
    assert hours_at(100 * exp(-0.2), down, monitoring=monitoring) == (3, None)
    assert hours_at(100 * exp(0.1), up, size=-1.0, monitoring=monitoring) == (3, None)
    assert hours_at(99.0, up, monitoring=monitoring)[0] is None


def test_event__probability_and_the_same_draw_in_every_scenario() -> None:
    document = still_document(event(probability=0.3), collateral=just_hit(90.0))
    document["scenarios"].append({**document["scenarios"][1], "name": "t"})
    document["scenarios"][2]["effects"] = [event(probability=0.3), shock(-0.01, "4h")]
    document["simulation"]["paths"] = 20_000
    hits = count(document).hits[LIQUIDATION, :, 0, 0].sum(axis=-1)
    assert hits[0] == 0
    assert hits[1] == hits[2]  # the shock alone hits nobody
    assert hits[1] / 20_000 == pytest.approx(0.7, abs=4 * (0.21 / 20_000) ** 0.5)


def test_event__size_is_lognormal_about_its_mean() -> None:
    """Hit iff 0.2 exp(v z - v^2/2) > 0.2, z > v/2: Phi(-v/2)."""
    from scipy.stats import norm

    document = still_document(event(probability=0.0, spread=0.5), collateral=just_hit(100 * exp(-0.2)))
    document["simulation"]["paths"] = 20_000
    share = count(document).hits[LIQUIDATION, 1].sum() / 20_000
    assert share == pytest.approx(norm.cdf(-0.25), abs=4 * (0.25 / 20_000) ** 0.5)


def test_drift__of_the_flash_crash_falls_and_comes_back() -> None:
    effects = [e.document() for e in load_scenario("flash-crash").effects]
    assert hours_at(80.0001, *effects) == (2, 2)
    assert hours_at(79.9990, *effects) == (None, None)
    back = 100 * exp(log(0.8) + 4 * 390.95 / 8760)
    assert back == pytest.approx(95.6, abs=0.05)
    late = [*effects, shock(0.0, "6h"), shock(-0.1, "7h")]
    assert hours_at(0.9 * back + 1e-4, *late)[0] == 2  # not by the fall of the eighth hour


def rates(*effects: dict[str, Any], **simulation: Any) -> np.ndarray[Any, Any]:
    """(T,) the funding rate of the first asset in each step, in the regime without any of its own."""
    document = small_document()
    document["scenarios"][2]["effects"] = list(effects)
    document["simulation"] |= simulation
    market = lower_market(plan_from_document(document))
    found: np.ndarray[Any, Any] = market.funding[market.parameters[2], 1, 0]
    return found


def test_funding__decays_by_halves_at_its_mean_over_each_piece() -> None:
    found = rates({"effect": "funding", "add": 1.0, "decay": "4h", "at": "2h"}, step="1h")
    hours = np.arange(22)
    mean = 4 * (0.5 ** (hours / 4) - 0.5 ** ((hours + 1) / 4)) / log(2)
    assert found[:2].tolist() == [0.0, 0.0]
    assert found[2:] == pytest.approx(mean)
    short = rates({"effect": "funding", "add": 1.0, "decay": "1h", "for": "3h"})
    assert np.flatnonzero(short).tolist() == [0, 1, 2]
    long = rates({"effect": "funding", "add": 1.0, "decay": "16h"})
    assert long[0] == long[1] != long[2]  # a piece is an eighth of a half-life
    assert long.sum() == pytest.approx(16 * (1 - 0.5**1.5) / log(2))


def test_volatility__decays_towards_the_models_own() -> None:
    document = small_document()
    document["scenarios"][2]["effects"] = [{"effect": "volatility", "multiply": {"BTC": 3}, "decay": "1h"}]
    market = lower_market(plan_from_document(document))
    factors = (
        market.volatility[market.loading_of_set[market.parameters[2]], 0, 0] / market.volatility[0, 0, 0]
    )
    mean = (0.5 ** np.arange(24) - 0.5 ** np.arange(1, 25)) / log(2)
    assert factors[:16] == pytest.approx(1 + 2 * mean[:16])
    assert factors[17:] == pytest.approx(1.0)  # nothing is left after sixteen halvings


@both_ways
def test_replay__stands_in_place_of_the_model(monitoring: str) -> None:
    effect = replay(-0.1, 0.05, -0.2, 0.1, at="1h")
    low = 100 * exp(-0.25)
    document = still_document(effect, collateral=just_hit(low), monitoring=monitoring)
    regime = document["model"]["regimes"]["only"]
    regime |= {"volatility": {"A": 2.0, "B": 2.0, "C": 2.0}, "drift": {"A": 9e4}, "tail": 3}
    regime["jumps"] = {"intensity": 1e4, "mean": {"A": -1, "B": 0, "C": 0}}
    regime["jumps"]["volatility"] = {"A": 0, "B": 0, "C": 0}
    document["simulation"]["horizons"] = ["1h", "5h"]
    document["scenarios"][1]["effects"] += [{"effect": "halt", "for": "1h"}]
    market = lower_market(plan_from_document(document))
    replaced = market.parameters[1, 1:5]
    assert not market.drift[replaced].any()
    assert not market.volatility[market.loading_of_set[replaced]].any()
    assert (market.jump_law[replaced] == 1.0).all()
    assert (market.mixing[replaced] == -1).all()
    assert market.parameters[1, 0] == market.parameters[0, 0]
    assert hours_at(low, effect, monitoring=monitoring) == (4, None)


def test_replay__on_top_of_the_model_and_of_a_shock() -> None:
    """Drift -0.05 an hour, returns of four hours, a shock of -10 % at the third."""
    drift = {"effect": "drift", "add": {"A": -0.05 * 8760}, "for": "4h"}
    effect = replay(0.1, -0.2, 0.1, -0.1, mode="add")
    low = 100 * 0.9 * exp(-4 * 0.05 - 0.1)
    assert hours_at(low, drift, effect, shock(-0.1)) == (4, None)


def test_replay__assets_without_history_move_by_beta() -> None:
    document = small_document()
    history = {"BTC": [0.1, -0.2, 0.0, 0.05]}
    effect = {"effect": "replay", "start": DAY[0], "end": DAY[1], "returns": history, "at": "1h"}
    document["scenarios"][2]["effects"] = [{**effect, "missing": "beta", "beta": "BTC"}]
    plan = plan_from_document(document)
    market = lower_market(plan)
    found = np.array([market.replays[n] if n >= 0 else [9, 9] for n in market.replay[2, :6]])
    expected = np.outer(history["BTC"], betas(plan.model, "BTC"))
    assert found[1:5] == pytest.approx(expected)
    assert found[[0, 5]].tolist() == [[9, 9], [9, 9]]
    assert [w for w in plan.warnings() if "no history of ETH" in w]


@both_ways
def test_depeg__of_a_coin_falls_and_comes_back(monitoring: str) -> None:
    effect = {"effect": "depeg", "asset": "A", "move": -0.2, "at": "2h", "for": "2h"}
    factors = prices_of([effect])[:, 0]
    assert factors[[2, 4]].tolist() == pytest.approx([0.8, 1.25])
    assert (np.delete(factors, [2, 4]) == 1.0).all()
    assert hours_at(80.0, effect, monitoring=monitoring) == (3, None)


@both_ways
@pytest.mark.parametrize("asset", ["quote", "USDC"])
def test_depeg__of_the_quote_currency_takes_from_cash(monitoring: str, asset: str) -> None:
    """40 of cash at 0.88: 35.2 in hand; a fall of 35 with maintenance 0.78 is too much."""
    effect = {"effect": "depeg", "asset": asset, "move": -0.12, "at": "3h", "for": "2h"}
    fall = shock(-0.35, "1h")
    collateral = (0.012 * 65 + 35) / 0.88
    for more, hour in ((-1e-6, 4), (1e-6, None)):
        document = still_document(effect, fall, collateral=collateral + more, monitoring=monitoring)
        assert hour_of_hit(document) == hour
    # before it begins and after its end cash is whole
    early, late = shock(-0.35, "1h"), shock(-0.35, "6h")
    assert hour_of_hit(still_document(effect, early, collateral=collateral, monitoring="close")) is None
    assert hour_of_hit(still_document(effect, late, collateral=collateral - 1e-3, monitoring="close")) is None


def test_depeg__of_the_quote_currency_weighs_on_debt_too() -> None:
    """Equity 15 with a debt of 5; at twice its worth 10, less 9 of a fall to 91, below 1.092."""
    effect = {"effect": "depeg", "asset": "USDC", "move": 1.0, "at": "1h"}
    document = still_document(effect, shock(-0.09), collateral=-5.0)
    document["accounts"][0]["positions"][0]["entry"] = 80.0
    assert hour_of_hit(document) == 3
    document["scenarios"][1]["effects"] = [shock(-0.09)]
    assert hour_of_hit(document) is None


def test_loss__at_every_leverage_and_with_a_second_one() -> None:
    """Half of 60, then half of that: 30, then 15 against l (0.012 P + 100 - P) with P = 80: 20.96 l."""
    effects = [
        {"effect": "loss", "share": 0.5, "at": "1h"},
        {"effect": "loss", "share": 0.5, "at": "4h", "for": "2h"},
        shock(-0.2, "2h"),
    ]
    document = still_document(*effects, collateral=60.0)
    document["simulation"]["leverage"] = [0.5, 1, 1.4, 1.5, 3]
    assert [hour_of_hit(document, leverage=j) for j in range(5)] == [None, 5, 5, 3, 3]
    baseline = count(document).hits[LIQUIDATION, 0]
    assert not baseline.any()


def test_loss__of_debt_is_none_and_of_named_accounts_only() -> None:
    document = still_document({"effect": "loss", "share": 0.9, "at": "1h", "accounts": ["one"]})
    document["accounts"].append({**document["accounts"][0], "name": "two"})
    document["accounts"].append({**document["accounts"][0], "name": "owes", "collateral": {"USDC": -5}})
    document["accounts"][2]["positions"] = [{"market": "A-USD", "size": 1.0, "entry": 80.0}]
    document["accounts"][0]["positions"] = [{"market": "A-USD", "size": 5.0, "entry": 100.0}]
    assert hour_of_hit(document) == 2
    assert hour_of_hit(document, account=1) is None
    document["scenarios"][1]["effects"][0]["accounts"] = ["one", "two", "owes"]
    assert hour_of_hit(document, account=2) is None


def test_loss__at_time_zero_is_liquidatable_now() -> None:
    document = still_document({"effect": "loss", "share": 0.99})
    assert liquidatable_now(plan_from_document(document))[:, 0, 0].tolist() == [False, True]
    assert hour_of_hit(document) == 1


def test_loss__of_an_account_with_coins_and_isolated_pools() -> None:
    """Cash goes from every pool, coins stay; equal to a plan that has the smaller cash from the start."""
    document = tiered_document()
    document["simulation"] |= {"paths": 512, "monitoring": "bridge"}
    document["scenarios"] = [
        "baseline",
        {"name": "s", "narrative": "S.", "effects": [{"effect": "loss", "share": 0.8}]},
    ]
    document["accounts"][1]["positions"][0]["size"] = 12
    lost = count(document).hits[:, 1, 1]
    document["accounts"][1]["collateral"]["USDT"] *= 0.2
    document["accounts"][1]["positions"][2]["collateral"] *= 0.2
    document["scenarios"] = ["baseline", {"name": "s", "narrative": "S.", "effects": []}]
    np.testing.assert_array_equal(lost, count(document).hits[:, 1, 1])
    assert lost[LIQUIDATION].any()


@both_ways
def test_halt__nobody_is_looked_at_until_its_end(monitoring: str) -> None:
    halt = {"effect": "halt", "at": "1h", "for": "4h"}
    assert hours_at(80.0, shock(-0.2), halt, monitoring=monitoring) == (5, None)
    there_and_back = [shock(-0.2), shock(0.25, "4h"), halt]
    assert hours_at(85.0, *there_and_back, monitoring=monitoring) == (None, None)
    still_down = [shock(-0.2), shock(0.25, "5h"), halt]
    assert hours_at(85.0, *still_down, monitoring=monitoring) == (5, 5)
    for_good = {"effect": "halt", "at": "1h"}
    assert hours_at(80.0, shock(-0.5), for_good, monitoring=monitoring) == (None, None)
    assert hours_at(80.0, shock(-0.2, "0h"), halt | {"at": "0h"}, monitoring=monitoring) == (4, None)


def test_halt__a_wick_in_it_is_not_seen() -> None:
    """Wicks in every step, deep enough to liquidate; prices end their steps near where they were."""
    document = still_document({"effect": "halt", "at": "0h", "for": "4h"}, collateral=20.0)
    regime = document["model"]["regimes"]["only"]
    names = document["model"]["assets"]
    way = {"common": 0.0, "probability": dict.fromkeys(names, 1.0), "tail": dict.fromkeys(names, 0.0)}
    regime["wick"] = {
        "down": way | {"scale": dict.fromkeys(names, 900.0)},
        "up": way | {"scale": dict.fromkeys(names, 0.0)},
    }
    regime["volatility"] = dict.fromkeys(names, 0.2)  # 0.2 % an hour: a wick of 20 % takes 0.1 scales
    document["simulation"]["monitoring"] = "wick"
    hits = count(document).hits[LIQUIDATION, :, 0, 0]
    assert hits[0, 0] > 32
    assert hits[1, :4].tolist() == [0, 0, 0, 0]
    assert hits[1, 4] > 32


def test_halt__at_time_zero_puts_off_what_is_liquidatable() -> None:
    document = still_document(shock(-0.4, "0h"), {"effect": "halt", "for": "2h"}, collateral=20.0)
    assert not liquidatable_now(plan_from_document(document)).any()
    assert hour_of_hit(document) == 2
    hits = count(document).hits[:, 1, 0, 0].argmax(axis=-1)
    assert hits[[MARGIN_CALL, LIQUIDATION, BANKRUPTCY]].tolist() == [1, 1, 1]


@both_ways
def test_oracle__freeze_is_as_a_halt(monitoring: str) -> None:
    freeze = {"effect": "oracle", "freeze": True, "at": "1h", "for": "4h"}
    assert hours_at(80.0, shock(-0.2), freeze, monitoring=monitoring) == (5, None)
    assert hours_at(85.0, shock(-0.2), shock(0.25, "4h"), freeze, monitoring=monitoring) == (None, None)


@both_ways
def test_oracle__delay_judges_later_what_was(monitoring: str) -> None:
    delay = {"effect": "oracle", "delay": "3h", "at": "1h", "for": "6h"}
    assert hours_at(80.0, shock(-0.2), delay, monitoring=monitoring) == (6, None)
    # a fall that is gone again is seen all the same, as long as the delay lasts
    assert hours_at(85.0, shock(-0.2), shock(0.25, "3h"), delay, monitoring=monitoring) == (6, 6)
    # what is not yet seen when the delay ends is seen then, if it is still there
    assert hours_at(80.0, shock(-0.2, "5h"), delay, monitoring=monitoring) == (7, None)
    back = [shock(-0.2, "5h"), shock(0.25, "6h"), delay]
    assert hours_at(85.0, *back, monitoring=monitoring) == (None, None)
    # what was before the delay began has been seen in time
    assert hours_at(80.0, shock(-0.2, "0h"), delay, monitoring=monitoring) == (1, None)
    assert hours_at(80.0, shock(-0.2), delay | {"for": "20h"}, monitoring=monitoring) == (6, None)
    assert hours_at(80.0, shock(-0.2, "6h"), delay | {"for": "20h"}, monitoring=monitoring)[0] is None


def test_oracle__delay_in_groups_counts_when_it_is_seen() -> None:
    delay = {"effect": "oracle", "delay": "3h", "at": "1h", "for": "6h"}
    document = still_document(shock(-0.2), delay, collateral=just_hit(85.0))
    document["accounts"][0]["group"] = "desk"
    assert liquidated_by_hour(document) == [0, 0, 0, 0, 0, 64, 64, 64]
    document = still_document(shock(-0.2), collateral=just_hit(85.0))
    document["accounts"][0]["group"] = "desk"
    assert liquidated_by_hour(document) == [0, 0, 64, 64, 64, 64, 64, 64]


@both_ways
def test_oracle__outlier_liquidates_though_the_price_never_moved(monitoring: str) -> None:
    wrong = {"effect": "oracle", "multiply": {"first": 0.75}, "at": "2h", "for": "2h"}
    assert hours_at(75.0, wrong, monitoring=monitoring) == (3, None)
    confirmed = wrong | {"confirm": "1h"}
    assert hours_at(75.0, confirmed, monitoring=monitoring) == (4, None)
    too_short = wrong | {"confirm": "2h"}
    assert hours_at(75.0, too_short, monitoring=monitoring) == (None, None)
    plan = plan_from_document(still_document(too_short))
    assert [w for w in plan.warnings() if "shorter than its confirmation" in w]


@both_ways
def test_oracle__outlier_as_a_median_or_a_mean_over_time_has_it(monitoring: str) -> None:
    wrong = {"effect": "oracle", "multiply": {"first": 0.6}, "at": "2h", "for": "3h"}
    few = wrong | {"sources": {"of": 5, "wrong": 2}}
    assert hours_at(60.0, few, monitoring=monitoring) == (None, None)
    assert hours_at(60.0, wrong | {"sources": {"of": 5, "wrong": 3}}, monitoring=monitoring) == (3, None)
    half = wrong | {"sources": {"of": 4, "wrong": 2}}
    assert hours_at(80.0, half, monitoring=monitoring) == (3, None)
    # 0.9, 0.8 and 0.7 of its price with the closes of hours 3, 4 and 5
    for low, hour in ((90.0, 3), (80.0, 4), (70.0, 5), (69.0, None)):
        assert hours_at(low, wrong | {"average": "4h"}, monitoring=monitoring)[0] == hour
    plan = plan_from_document(still_document(few))
    assert [w for w in plan.warnings() if "2 of 5 sources is not in their median" in w]


@pytest.mark.parametrize(
    ("effect", "watch", "seen"),
    [
        ({"effect": "halt", "at": "1h", "for": "3h"}, [2, 0, 0, 1, 2, 2, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"effect": "halt", "at": "6h", "for": "9h"}, [2, 2, 2, 2, 2, 2, 0, 0], [0, 1, 2, 3, 4, 5, 6, 7]),
        (
            {"effect": "oracle", "delay": "2h", "at": "1h", "for": "5h"},
            [2, 2, 2, 2, 0, 1, 2, 2],
            [0, 3, 4, 5, 4, 5, 6, 7],
        ),
        ({"effect": "oracle", "delay": "4h", "at": "1h", "for": "2h"}, [2, 0, 1, 2, 2, 2, 2, 2], [*range(8)]),
    ],
)
def test_find_sight__who_is_seen_when(effect: dict[str, Any], watch: list[int], seen: list[int]) -> None:
    clock = lower_clock(plan_from_document(still_document(effect)))
    assert {UNSEEN, AT_CLOSE, THROUGHOUT} == {0, 1, 2}
    assert clock.watch[0].tolist() == [THROUGHOUT] * HOURS
    assert clock.watch[1].tolist() == watch
    assert clock.seen[0].tolist() == list(range(HOURS))
    assert [s for s, w in zip(clock.seen[1], watch, strict=True) if w] == [
        s for s, w in zip(seen, watch, strict=True) if w
    ]


def test_effects__together_replay_loss_and_halt() -> None:
    """Half of the cash gone at 1 h; prices fall to 100 exp(-0.3) within a halt of hours 1 to 5."""
    effects = [
        replay(-0.1, -0.1, -0.05, -0.05, at="1h"),
        {"effect": "loss", "share": 0.5, "at": "1h"},
        {"effect": "halt", "at": "1h", "for": "5h"},
    ]
    needed = 2 * just_hit(100 * exp(-0.3))
    assert hour_of_hit(still_document(*effects, collateral=needed)) == 6
    assert hour_of_hit(still_document(*effects, collateral=needed + 4e-6)) is None
    assert hour_of_hit(still_document(*effects[:2], collateral=needed)) == 5


def test_baseline__is_untouched_by_the_scenarios_beside_it() -> None:
    """Counts of the baseline alone, and beside every effect that has a number of its own."""
    document = small_document()
    document["simulation"] |= {"paths": 512, "monitoring": "bridge"}
    document["accounts"][1]["positions"][0]["size"] = 4
    document["scenarios"] = ["baseline"]
    document["limits"] = []
    alone = count(document).hits[:, 0]
    document["scenarios"] = [
        "baseline",
        *("flash-crash", "alt-collapse", "oracle-lag", "oracle-outlier", "chain-halt", "stablecoin-depeg"),
        {"name": "e", "narrative": "E.", "effects": [event(up={"all": 0.1}, down={"all": -0.1})]},
    ]
    found = count(document).hits
    np.testing.assert_array_equal(found[:, 0], alone)
    assert alone[LIQUIDATION].any()
    for s in range(1, 8):
        assert (found[:, s] != alone).any()


@pytest.mark.parametrize(
    ("monitoring", "expected"),
    [("bridge", HITS_BY_BRIDGE), ("close", HITS_AT_CLOSE)],
)
def test_counts__of_a_plan_are_those_of_the_versions_before(
    monitoring: str, expected: list[list[int]]
) -> None:
    """Hits of 512 paths by mark and scenario, as they were when normals became float32 (decision 52)."""
    document = hit_document()
    document["simulation"]["monitoring"] = monitoring
    for account in document["accounts"]:
        account["group"] = "a"
    later = {"effect": "shock", "at": "3h", "moves": {"all": -0.1}}
    effects = [later, {"effect": "funding", "add": 3}]
    document["scenarios"].append({"name": "x", "narrative": "x", "effects": effects})
    text = json.dumps(plan_from_document(document).document())
    hits = simulate_block(text, Block(0, 0, 512, 0)).hits
    assert hits.sum(axis=(2, 3, 4)).tolist() == expected
