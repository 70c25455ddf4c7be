"""What follows a breach, in the few numbers that a person reads."""

from __future__ import annotations

import json

from pipeline.aftermath_summary import aftermath_records, find_worst_after, summarise_accounts_after
from pipeline.wording import Chance
from tests.cubes import PATHS, resolved_cube, small_cube


def test_summarise_accounts_after__figures_are_those_of_the_last_horizon() -> None:
    basis, directional, idle = summarise_accounts_after(resolved_cube())
    assert (directional.account, directional.scenario) == ("directional", "baseline")
    assert directional.forced == directional.liquidation == Chance("6.07 %", "[5.97, 6.18]")
    assert (directional.partial.estimate, directional.closed_out.estimate) == ("3.03 %", "3.03 %")
    assert directional.others_pay.estimate == "2.02 %"
    assert directional.fired == Chance("18.21 %", "[18.04, 18.38]")
    assert directional.needlessly == f"{2 * 12_140:,}"
    assert directional.shortfall.sentence == "2.02 [1.96, 2.08]"  # 400 quanta of 0.25 on 4,046 of 200,000
    assert directional.cost.sentence == "0.850"  # 56 quanta on 12,140
    assert directional.share.sentence == "4.55 % [4.47, 4.63]"
    assert directional.first == "ETH-USD (100 %)"
    assert (basis.first, basis.fired, basis.needlessly) == ("–", None, "")
    assert idle.forced.never


def test_summarise_accounts_after__each_under_a_scenario_of_its_own() -> None:
    found = summarise_accounts_after(resolved_cube(), ("storm", "gap-down-10", "baseline"))
    assert [summary.scenario for summary in found] == ["storm", "gap-down-10", "baseline"]
    assert found[1].forced.estimate == "9.11 %"


def test_find_worst_after__most_forced_closes() -> None:
    assert find_worst_after(resolved_cube()) == ("gap-down-10", "gap-down-10", "gap-down-10")
    assert find_worst_after(resolved_cube().sel(scenario=["baseline", "storm"])) == ("storm",) * 3
    assert find_worst_after(resolved_cube().sel(scenario=["baseline"])) == ("baseline",) * 3


def test_goes_first__a_hundred_percent_is_all_of_them() -> None:
    cube = resolved_cube().sel(leverage=[1.0, 5.0]).copy(deep=True)
    cube["first_breach"].loc["baseline", "directional", 1.0] = [1, 12_139]
    assert summarise_accounts_after(cube)[1].first == "ETH-USD (99 %)"


def test_aftermath_records__are_json_and_none_without_an_upper_end() -> None:
    basis, directional, _ = json.loads(json.dumps(aftermath_records(resolved_cube()), allow_nan=False))
    assert (directional["account"], directional["horizon"], directional["paths"]) == (
        "directional",
        "7d",
        PATHS,
    )
    assert directional["forced_liquidations"] == 12_140
    assert directional["p_forced_liquidation"] == 0.0607
    assert directional["cost_mean"]["slippage"]["mean"] == 12_140 * 8 / PATHS
    assert directional["cost_mean"]["gas"] == {"mean": 0.0, "low": 0.0, "high": None}
    assert directional["first_breach"] == {"BTC-USD": 0, "ETH-USD": 12_140}
    assert basis["shortfall_mean_high"] is None
    assert basis["p_forced_liquidation_high"] > 0


def test_aftermath_records__none_where_nothing_is_followed() -> None:
    assert aftermath_records(small_cube()) == []
    assert summarise_accounts_after(small_cube()) == ()
