"""What a desk does after a breach, in figures worked by hand: the oracle that the kernels are held against.

As a rule a thousand A at 100 with 10,000 behind them: E = 10,000 - 1,000 (100 - p), MM = 30 p for all of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.aftermath_cases import case, chain, happened, long_a, run, short_b, tiered

LADDER = {"kind": "ladder", "rungs": [{"below": 2.5, "close": 0.25}, {"below": 1.8, "close": 0.5}]}
TOP_UP = {"kind": "top_up", "below": 2.0, "amount": 1_000, "reserve": 1_500, "delay": "90m"}
HALF = {"kind": "override", "below": 2.5, "close": 0.5}


def test_follow__ladder_closes_each_rung_once() -> None:
    # at 96: 6,000 / 2,880 = 2.08. 250 are sold, 0.0005 x 24,000 = 12 paid: 5,988 / 2,160 = 2.77
    # at 95: 5,238 / 2,137.5 = 2.45 is below the rung that is gone, above the other
    # at 93: 3,738 / 2,092.5 = 1.79. Half of what is left: 375, fee 0.0005 x 34,875 = 17.4375
    found = run(case(LADDER), 96, 95, 93)
    assert happened(found, "order", "acted") == [
        (0, "acted", 0, 0, 0),
        (0, "order", -250, 96, 12),
        (2, "acted", 0, 0, 0),
        (2, "order", -375, 93, 17.4375),
    ]
    assert found.records[-1].sizes == (375.0,)
    assert found.records[-1].equity[0] == pytest.approx(10_000 - 4 * 250 - 7 * 750 - 12 - 17.4375)
    assert found.records[-1].fired
    assert not found.records[-1].forced
    assert found.needless  # 93 is above (100,000 - 10,000) / (1,000 - 30) = 92.78


def test_follow__ladder_of_named_markets_leaves_others() -> None:
    # 1,000 A and 500 B short: MM = 30 x 94 + 15 x 100; 4,000 / 4,320 < 1.8: both rungs, one after the other,
    # as the first leaves 3,988.25 / (22.5 x 94 + 1,500)
    ladder = LADDER | {"markets": ["B-USD"]}
    found = run(case(ladder, positions=[long_a(), short_b()], collateral=10_500), (94, 100))
    assert happened(found, "order") == [(0, "order", 125, 100, 6.25), (0, "order", 187.5, 100, 9.375)]


def test_follow__top_up_arrives_late_from_what_is_left() -> None:
    # at 95: 5,000 / 2,850 = 1.75: 1,000 are sent, and arrive two steps (of 90 minutes) later: 6,000 / 2,850
    # at 94: 5,000 / 2,820 = 1.77: the 500 left are sent in step 4, and arrive in step 6. Then none is left
    found = run(case(TOP_UP, venue=chain(gas_cost=3.0)), 96, 95, 95, 95, 94)
    assert happened(found, "seen", "top_up", "acted") == [
        (1, "seen", 0, 0, 1_000),
        (3, "top_up", 0, 0, 1_000),
        (3, "acted", 0, 0, 3),
        (4, "seen", 0, 0, 500),
        (6, "top_up", 0, 0, 500),
        (6, "acted", 0, 0, 3),
    ]
    assert found.records[-1].put_in == 1_500
    assert found.records[-1].gas == 6
    assert found.records[-1].equity == pytest.approx((4_000 + 1_500 - 6,))


def test_follow__top_up_goes_to_the_pool_with_the_lowest_ratio() -> None:
    # A alone on 5,000: at 97 2,000 / 2,910; B short alone on 5,000: 5,000 / 1,500
    positions = [short_b(collateral=5_000), long_a(collateral=5_000)]
    plan = case(TOP_UP | {"delay": "0s"}, positions=positions, collateral={}, margin="isolated")
    found = run(plan, (98, 100), (98, 100), (98, 100))
    # 3,000 / 2,940 = 1.02; 4,000 / 2,940 = 1.36; 4,500 / 2,940
    assert found.records[0].equity == pytest.approx((5_000, 4_000))
    assert found.records[1].equity == pytest.approx((5_000, 4_500))
    assert found.records[2].put_in == 1_500


@pytest.mark.parametrize(
    ("closes", "position", "quantity"),
    [((95.5, 94.9), long_a(), -1_000), ((104.5, 105.1), long_a(-1_000), 1_000)],
)
def test_follow__stop_at_a_price(closes: Any, position: Any, quantity: float) -> None:
    stop = {"kind": "stop", "market": "A-USD", "price": 95 if quantity < 0 else 105}
    found = run(case(stop, positions=[position]), *closes)
    fee = 0.0005 * 1_000 * closes[1]
    assert happened(found, "order") == [(1, "order", quantity, closes[1], round(fee, 6))]
    assert found.records[-1].equity[0] == pytest.approx(10_000 - 5_100 - fee)


def test_follow__stop_of_a_market_held_both_ways_closes_its_side() -> None:
    stop = {"kind": "stop", "market": "A-USD", "price": 95}
    positions = [long_a(), long_a(-400)]
    plan = case(stop, positions=positions, position_mode="hedge", venue=tiered("full"))
    found = run(plan, 94.9)
    assert [(e.number, e.quantity) for e in found.events if e.kind == "order"] == [(0, -1_000)]


def test_follow__stop_by_drawdown_closes_all_after_its_delay() -> None:
    # equity at as_of 10,500; half of it is lost below 94.75; seen at 94.5, acted upon two steps later at 96
    stop = {"kind": "stop", "drawdown": 0.5, "delay": "2h"}
    found = run(
        case(stop, positions=[long_a(), short_b()], collateral=10_500), (95, 100), (94.5, 100), (96, 100)
    )
    assert happened(found, "seen", "order") == [
        (1, "seen", 0, 0, 0),
        (3, "order", -1_000, 96, 48),
        (3, "order", 500, 100, 25),
    ]
    assert found.records[-1].sizes == (0.0, 0.0)


@pytest.mark.parametrize(("rate", "closes"), [(0.0, (96.1, 95.9)), (8.76, (97.2, 96.5))])
def test_follow__strategy_cap_counts_funding(rate: float, closes: tuple[float, float]) -> None:
    # 500 A have lost 2,050 at 95.9. With 0.001 an hour of 500 p in funding: 48.6 and 1,400 at 97.2, and 48.25
    # more and 1,750 at 96.5 are 1,846.85: not above 2,000, so there the cap is 1,840
    cap = {"kind": "strategy_cap", "strategy": "carry", "loss": 1_840 if rate else 2_000}
    positions = [long_a(500, strategy="carry"), short_b(strategy="trend")]
    found = run(case(cap, positions=positions), (closes[0], 100), (closes[1], 100), rate=rate)
    assert happened(found, "order") == [(1, "order", -500, closes[1], round(0.25 * closes[1], 6))]
    assert found.records[1].sizes == (0.0, -500.0)


def test_follow__rebalance_goes_back_to_its_target_either_way() -> None:
    # at 98: 98,000 / 8,000 = 12.25 > 12: 80,000 / 98 = 816.326531 are left, fee 0.0005 x 18,000 = 9
    # at 103: 7,991 + 5 x 816.326531 = 12,072.632653 stand behind 84,081.632653, 6.96 < 8: to 120,726.326531,
    # by 36,644.693878 / 103 = 355.773727
    band = {"kind": "rebalance", "low": 8, "target": 10, "high": 12}
    found = run(case(band), 98, 103)
    assert happened(found, "order") == [
        (0, "order", -183.673469, 98, 9),
        (1, "order", 355.773727, 103, 18.322347),
    ]


def test_follow__rebalance_needs_equity() -> None:
    # seen at 98, due at 89, where equity is -1,000
    band = {"kind": "rebalance", "low": 8, "target": 10, "high": 12, "delay": "1h"}
    found = run(case(band), 98, 89)
    assert (found.events[0].step, found.events[0].kind) == (0, "seen")
    assert not happened(found, "order", "acted")


@pytest.mark.parametrize(("uniform", "orders"), [(0.29, 1), (0.31, 0)])
def test_follow__override_where_somebody_is_there(uniform: float, orders: int) -> None:
    there = HALF | {"delay": "2h", "probability": 0.3}
    found = run(case(there), 96, 97, 98, 96, attends=lambda policy: uniform)
    assert happened(found, "order") == [(2, "order", -500, 98, 24.5)][:orders]
    assert found.records[-1].fired == bool(orders)


@pytest.mark.parametrize(
    ("law", "first", "second"),
    # 0.01 x 48,000 x sqrt(0.48) and 0.01 x 96,000 x sqrt(0.96), less the first; 0.01 x 48,000 x 0.48 ...
    [("square_root", 332.553755, 608.050532), ("linear", 230.4, 691.2)],
)
def test_follow__an_order_cut_in_two_costs_what_it_costs_whole(law: str, first: float, second: float) -> None:
    execution = {"depth": 100_000, "impact": 0.01, "law": law}
    venue = chain(execution=execution, taker_fee=0.0)
    cut = run(case(HALF, {"kind": "stop", "market": "A-USD", "price": 97}, venue=venue), 96)
    orders = [e for e in cut.events if e.kind == "order"]
    assert [500 * (96 - e.price) for e in orders] == [pytest.approx(first), pytest.approx(second)]
    whole = run(case(HALF | {"close": 1.0}, venue=venue), 96)
    assert cut.records[0].slippage == pytest.approx(first + second)
    assert whole.records[0].slippage == pytest.approx(first + second)
    assert whole.records[0].equity[0] == pytest.approx(6_000 - first - second)


def test_follow__an_order_beyond_the_depth_waits_for_the_next_close() -> None:
    # 48,000 wanted, 30,000 taken at 96: 312.5; at 97 the other 187.5, 18,187.5 of notional
    # slippage 0.01 x 30,000, then 0.01 x 18,187.5 x 18,187.5 / 30,000 = 110.261719
    venue = chain(execution={"depth": 30_000, "impact": 0.01, "law": "linear"})
    found = run(case(HALF, venue=venue), 96, 97, 98)
    assert [(e.step, e.quantity) for e in found.events if e.kind == "order"] == [(0, -312.5), (1, -187.5)]
    assert found.records[0].slippage == pytest.approx(300)
    assert found.records[1].slippage == pytest.approx(410.261719)
    assert found.records[-1].sizes == (500.0,)


def test_follow__fee_is_that_of_the_tier() -> None:
    venue = chain(fee_tiers={"vip": {"taker": 0.0002, "maker": 0.0}})
    assert run(case(HALF, venue=venue, fee_tier="vip"), 96).records[0].fees == pytest.approx(9.6)


def test_follow__cash_lost_is_gone_while_it_is() -> None:
    # a fifth of 10,000 for two hours: 7,000 / 2,970 = 2.36 at 99, instead of 3.03
    loss = {"effect": "loss", "share": 0.2, "at": "1h", "for": "2h"}
    found = run(case(HALF, effects=[loss]), 99)
    assert happened(found, "order") == [(1, "order", -500, 99, 24.75)]
    assert [r.changes for r in found.records[:4]] == pytest.approx([0, -2_000, -2_000, 0])
    assert found.records[1].equity[0] == pytest.approx(7_000 - 24.75)
    assert [abs(r.imbalance(10_000)) < 1e-9 for r in found.records] == [True] * 8


def test_follow__depth_is_that_of_regime_and_scenario() -> None:
    venue = chain(execution={"depth": 60_000, "impact": 0.01, "law": "linear"})
    thin = {"effect": "depth", "multiply": {"all": 0.5}, "for": "1h"}
    half = run(case(HALF, venue=venue, book=0.5), 96)
    assert [(e.step, e.quantity) for e in half.events if e.kind == "order"] == [(0, -312.5), (1, -187.5)]
    found = run(case(HALF, venue=venue, effects=[thin]), 96)
    assert [(e.step, e.quantity) for e in found.events if e.kind == "order"] == [(0, -312.5), (1, -187.5)]
    # the rest, 18,000 at 96, then finds 60,000 again
    assert found.records[1].slippage == pytest.approx(300 + 0.01 * 18_000 * 0.3)


def test_follow__in_a_halt_nobody_acts_and_funding_is_paid() -> None:
    # seen at 96 in the last step of the halt, not before; 0.001 an hour of 96,000 in each step
    halt = {"effect": "halt", "for": "3h"}
    found = run(case(HALF, effects=[halt]), 96, 80, 96, rate=8.76)
    assert happened(found, "order") == [(2, "order", -500, 96, 24)]
    assert found.records[1].funding == pytest.approx(96 + 80)
    assert not found.records[-1].forced


def test_follow__a_top_up_does_not_arrive_in_a_halt() -> None:
    halt = {"effect": "halt", "at": "2h", "for": "4h"}
    found = run(case(TOP_UP, effects=[halt]), 96, 95)
    assert [(e.step, e.kind) for e in found.events] == [
        (1, "seen"),
        (5, "top_up"),
        (5, "acted"),
    ]


def test_follow__gas_makes_actions_late_and_dear() -> None:
    # an hour later, and ten times 3; the delay is that of when it is seen, the price that of when it acts
    gas = {"effect": "gas", "multiply": 10, "delay": "1h", "for": "1h"}
    for hours, paid in ((1, 3), (2, 30)):
        plan = case(HALF, venue=chain(gas_cost=3.0), effects=[gas | {"for": f"{hours}h"}])
        assert happened(run(plan, 96, 97), "acted", "order") == [
            (1, "acted", 0, 0, paid),
            (1, "order", -500, 97, 24.25),
        ]


def test_follow__an_order_waiting_closes_no_more_than_is_left() -> None:
    # 96 x 500 wanted, 9,600 a step taken: 100 a step. In step 2 the rest is ordered by a stop: all 700 left
    venue = chain(execution={"depth": 9_600, "impact": 0.0}, taker_fee=0.0)
    stop = {"kind": "stop", "market": "A-USD", "price": 95.5}
    found = run(case(HALF, stop, venue=venue, steps=12), 96, 96, 95, 96)
    assert found.records[1].sizes[0] == pytest.approx(800)
    assert found.records[-1].sizes == (0.0,)
    assert all(e.quantity < 0 for e in found.events if e.kind == "order")


def test_act__isolate_takes_the_position_and_what_can_be_spared() -> None:
    # 1,000 A long and 1,000 B short on 12,000; A at 110 and B at 80: 3,300 of 5,700, E = 42,000
    policy = {"kind": "isolate", "market": "A-USD", "above": 0.55, "collateral": 5_000}
    plan = case(policy, positions=[long_a(), short_b(1_000)], collateral=12_000, venue=chain(gas_cost=7))
    found = run(plan, 100, (110, 80), (104, 80))
    assert happened(found, "moved") == [(1, "moved", 1_000, 110, 0)]
    assert found.records[1].equity == pytest.approx((36_993, 5_000))
    # 6,000 less: the new pool is closed, the other stands where it stood
    assert found.records[2].equity[0] == pytest.approx(36_993)
    assert found.records[2].forced
    assert found.records[2].sizes[1] == -1_000


def test_act__isolate_waits_where_too_little_can_go() -> None:
    # E - H - MM of B = 5,800 - 3,000 is less than the 2,760 of A and the gas of 100: seen again in hour 4
    policy = {"kind": "isolate", "market": "A-USD", "above": 0.45, "collateral": 5_000, "delay": "2h"}
    venue = chain(gas_cost=100)
    plan = case(policy, positions=[long_a(), short_b(1_000)], collateral=13_800, venue=venue)
    found = run(plan, 100, (92, 100), (92, 100), (92, 100), (92.5, 100))
    assert happened(found, "moved") == [(5, "moved", 1_000, 92.5, 0)]
    assert found.records[5].equity == pytest.approx((3_000, 3_200))
    assert found.records[4].gas == 0
