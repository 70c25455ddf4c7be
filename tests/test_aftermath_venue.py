"""What a venue does after a breach, in figures worked by hand and held against the chain's integers.

A thousand A at 100 with 10,000 behind them are liquidatable below 90,000 / 970 = 92.78, bankrupt below 90.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from pipeline.dydx.insurance import insurance_fund_delta
from pipeline.dydx.limits import BlockRecord
from pipeline.dydx.liquidation import size_to_liquidate
from pipeline.dydx.prices import bankruptcy_quote, fillable_price
from tests.aftermath_cases import case, chain, happened, long_a, run, short_b, tiered
from tests.aftermath_sight import AS_OF, HALTED, find_sight
from tests.pipeline.dydx.exchange import BTC, ETH, MAINNET, MARKETS, PAIRS, account, coins, subticks, usd

WHOLE = {"max_position_portion_liquidated": 1.0, "max_notional_liquidated_per_block": 1e9}
TWO_SIDED = [
    {"market": "A-USD", "size": 10, "entry": 60_000},
    {"market": "B-USD", "size": -200, "entry": 3_000},
]


def look_at(usdc: float, uniform: float = 0.0, looks: int = 1, **venue: Any) -> Any:
    """10 A long at 60,000 and 200 B short at 3,000, the chain's worked example; one look an instant."""
    plan = case(
        positions=TWO_SIDED,
        collateral=usdc,
        venue=chain(maintenance=0.012, **venue),
        prices={"A": 60_000.0, "B": 3_000.0},
        step="1s",
        steps=2,
    )
    # the first step looks where it starts, and at its close
    closes = [(60_000.0, 3_000.0)] * 2
    found = run(plan, *closes, pick=lambda step, look: uniform)
    return [e for e in found.events if e.kind in ("liquidation", "deleveraging")][:looks], found


@pytest.mark.parametrize("usdc", [13_400, 7_000, 14_399, -500])
@pytest.mark.parametrize("perpetual", [BTC, ETH])
def test_look__of_dydx_is_what_the_chain_computes(usdc: int, perpetual: int) -> None:
    """One look at the mark: size, bankruptcy price and what goes to the fund, in the chain's integers."""
    holder = account(usdc, 10, -200)
    delta = size_to_liquidate(holder, MARKETS[perpetual], PAIRS[perpetual], BlockRecord(), MAINNET)
    price = (60_000, 3_000)[perpetual]
    at = subticks(price, perpetual)
    fund = insurance_fund_delta(holder, MARKETS, perpetual, delta, at, PAIRS[perpetual], MAINNET)
    (event,), _ = look_at(usdc, uniform=0.25 + 0.5 * perpetual)
    assert event.number == perpetual
    assert event.quantity == pytest.approx(delta / coins(1, perpetual), rel=1e-9)
    assert event.price == price
    assert event.money == pytest.approx(fund / usd(1), abs=4e-6)


@pytest.mark.parametrize("usdc", [13_400, 7_000, 100])
def test_look__of_dydx_fills_down_to_the_fillable_price(usdc: int) -> None:
    """In a book of linear impact the last piece fills at the chain's fillable price."""
    holder = account(usdc, 10, -200)
    delta = size_to_liquidate(holder, MARKETS[BTC], PAIRS[BTC], BlockRecord(), MAINNET)
    worst = fillable_price(holder, MARKETS, BTC, delta, MAINNET) * Fraction(10) ** 4  # USD a coin
    depth, impact = 60_000.0, 0.2
    (event,), _ = look_at(usdc, execution={"depth": depth, "impact": impact, "law": "linear"})
    filled = -event.quantity * 60_000
    assert 60_000 * (1 - 2 * impact * filled / depth) == pytest.approx(float(worst), rel=1e-9)
    assert event.price == pytest.approx(0.5 * (60_000 + float(worst)), rel=1e-9)


def test_look__of_dydx_bankruptcy_price_is_the_chains() -> None:
    """Deleveraged at what closing the position brings where it uses up its share of equity."""
    holder = account(-500, 10, -200)
    events, _ = look_at(-500, uniform=0.0, insurance_fund=0.0)
    assert events[0].kind == "deleveraging"
    quote = bankruptcy_quote(holder, MARKETS, BTC, -coins(10))
    assert events[0].price == pytest.approx(quote / usd(1) / 10, abs=1e-6)
    assert events[0].money == pytest.approx(250)  # half of the maintenance margin, half of what is missing


def test_look__of_dydx_takes_a_tenth_at_a_time() -> None:
    # 600,000 -> 60,000; bankrupt at 59,330, so the account pays min(670, 0.015 x 60,000) of 13,400, and its
    # equity keeps 0.930556 of its maintenance margin: 540,000 -> 54,000, 670 x 0.9; and at the next close
    events, found = look_at(13_400, looks=9)
    assert [round(-e.quantity, 9) for e in events] == [1, 0.9, 0.81]
    assert [e.money for e in events] == [pytest.approx(670 * part) for part in (1, 0.9, 0.81)]
    assert [(e.step, e.instant) for e in events] == [(0, "start"), (0, "close"), (1, "close")]
    last = found.records[-1]
    assert last.equity[0] == pytest.approx(13_400 - 670 * 2.71)
    assert last.share == pytest.approx(60_000 * 2.71 / 1_200_000)
    assert (last.forced, last.partial, last.closed_out, last.bankrupt) == (True, True, False, False)
    assert found.hit == found.untouched == (0, "start")


def test_look__of_dydx_goes_on_until_the_account_stands() -> None:
    # at 92: E = 2,000, MM = 2,760; bankrupt at 90; the fee, 1.5 % of 92 = 1.38 a coin, is less than the 2
    # after s coins are left of 1,000: E = 2,000 - 1.38 (1,000 - s), MM = 2.76 s: it stands from s = 449.3 on
    # nine tenths each down to 478.3 or 430.5: seven looks leave 478.3, the eighth 430.5
    found = run(case(), 92)
    fills = [e for e in found.events if e.kind == "liquidation"]
    assert len(fills) == 8
    assert fills[0].money == pytest.approx(0.015 * 92 * 100)
    left = 1_000 * 0.9**8
    assert found.records[0].sizes == pytest.approx((left,))
    assert found.records[0].equity[0] == pytest.approx(2_000 - 1.38 * (1_000 - left))
    assert found.breach == 0


def test_look__of_dydx_takes_no_more_than_a_block_may() -> None:
    # a tenth of 1,840,000 would be 184,000: 100,000 are sold at 92
    found = run(case(positions=[long_a(20_000)], collateral=200_000, step="1s"), 92)
    assert found.events[0].quantity == pytest.approx(-100_000 / 92)


def test_look__of_dydx_fee_is_a_share_of_the_fill() -> None:
    # 9,200 of a book of a million: 0.01 x 9,200 x 0.0092 = 0.8464 of slippage, 91.991536 a coin, 1.99 of them
    # above bankruptcy: the fee is 0.015 x 9,199.1536
    venue = chain(execution={"depth": 1e6, "impact": 0.01, "law": "linear"})
    first = run(case(venue=venue), 92).events[0]
    assert first.price == pytest.approx(91.991536)
    assert first.money == pytest.approx(137.987304)


def test_look__of_dydx_the_other_side_pays_what_the_market_is_off() -> None:
    # seen two hours late at 89, bankrupt at 90; the market is at 86 by then, no fund: 4 a coin
    late = {"effect": "oracle", "delay": "2h", "for": "6h"}
    plan = case(venue=chain(liquidation=WHOLE, insurance_fund=0.0), effects=[late])
    found = run(plan, 100, 89, 86, 86)
    assert happened(found, "deleveraging") == [(3, "deleveraging", -1_000, 90, 4_000)]
    assert found.records[3].equity == pytest.approx((0,), abs=1e-9)
    assert found.records[3].imbalance(found.equity_before) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("fund", "kind", "price", "left"),
    [(1_500.0, "liquidation", 89, 500), (900.0, "deleveraging", 90, 900), (None, "liquidation", 89, None)],
)
def test_look__of_dydx_fund_pays_or_the_other_side(
    fund: float | None, kind: str, price: float, left: float | None
) -> None:
    # at 89: E = -1,000, all of it sold at 89, bankrupt at 90: 1,000 are missing
    found = run(case(venue=chain(liquidation=WHOLE, insurance_fund=fund)), 89)
    money = -1_000 if kind == "liquidation" else 1_000
    assert happened(found, "liquidation", "deleveraging") == [(0, kind, -1_000, price, money)]
    record = found.records[0]
    assert record.equity[0] == pytest.approx(0, abs=1e-9)
    assert record.shortfall == record.others == pytest.approx(1_000)
    assert record.bankrupt
    assert record.closed_out
    assert not record.partial
    if left is not None:
        assert record.fund == pytest.approx(left)


@pytest.mark.parametrize("most", [400.0, 700.0])
def test_look__of_dydx_stays_where_nothing_fills_and_equity_is_there(most: float) -> None:
    # at 90.5: E = 500, MM = 2,715: a = 0.815838, the spread 0.815838 x 0.045 = 0.036713, bankrupt at 90
    # the book takes 0.036713 / 0.1 of its depth of 100,000, 36,712.71, at 90.5 (1 - 0.018356) = 88.84 on
    # average, 1.16 below bankruptcy for 405.7 coins: the fund would pay 471.08
    venue = chain(
        execution={"depth": 100_000, "impact": 0.05, "law": "linear"},
        liquidation=WHOLE | {"max_insurance_lost_per_block": most},
    )
    looks: list[int] = []

    def pick(step: int, look: int) -> float:
        looks.append(look)
        return 0.0

    found = run(case(venue=venue, steps=1), 90.5, pick=pick)
    if most < 471.08:
        assert not found.events
        assert found.records[0].equity[0] == pytest.approx(500)
        assert found.hit == (0, "close")
        assert not found.records[0].forced
        assert looks == [0]
    else:
        first = found.events[0]
        assert -first.quantity * 90.5 == pytest.approx(36_712.707)
        assert first.money == pytest.approx(-471.08, abs=0.01)
        assert found.records[0].bankrupt


def test_look__of_dydx_draws_from_what_is_open_in_the_books_order() -> None:
    """Two positions: below one half the first; and with one left, that one whatever is drawn."""
    positions = [long_a(500), short_b()]
    drawn = iter([0.6, 0.6])
    plan = case(positions=positions, collateral=1_000, venue=chain(liquidation=WHOLE))
    found = run(plan, (95, 106), pick=lambda step, look: next(drawn))
    assert [e.number for e in found.events if e.kind == "liquidation"] == [1, 0]


def test_look__tiered_full_closes_everything_and_the_fund_pays_the_rest() -> None:
    # 500 A at 92 and 500 B short at 110: E = 8,000 - 4,000 - 5,000 = -1,000; fee 0.01 x (46,000 + 55,000)
    venue = tiered("full", 0.01, insurance_fund=300.0)
    found = run(case(positions=[long_a(500), short_b()], collateral=8_000, venue=venue), (92, 110))
    assert happened(found, "liquidation", "fund") == [
        (0, "liquidation", -500, 92, 460),
        (0, "liquidation", 500, 110, 550),
        # the fund had 300 and took 1,010; what is missing is 2,010
        (0, "fund", 0, 0, 1_310),
    ]
    record = found.records[0]
    assert record.equity == pytest.approx((-700,))
    assert record.shortfall == pytest.approx(700 + 1_310)
    assert record.fund == pytest.approx(0)
    assert record.share == pytest.approx(1.01)
    assert record.closed_out
    assert record.bankrupt
    assert found.breach == 1  # 5,000 of the 9,000


def test_look__tiered_partial_closes_what_lost_most_first() -> None:
    # A has lost 7,000 since it was entered at 106, B 500: E = 9,600 - 7,500 = 2,100 < MM = 1,380 + 1,515
    # without A 2,100 - 92 x 5 > 1,515. By what was lost since as_of, 4,000 and 500, it is A as well
    positions = [long_a(500, entry=106.0), short_b()]
    found = run(case(positions=positions, collateral=9_600, venue=tiered("partial", 0.01)), (92, 101))
    assert happened(found, "liquidation") == [(0, "liquidation", -500, 92, 460)]
    assert found.records[0].partial
    assert found.records[0].sizes == (0.0, -500.0)
    # since its entry B has lost more, though since as_of it is A
    positions = [long_a(500, entry=95.0), short_b(entry=92.0)]
    found = run(case(positions=positions, collateral=7_200, venue=tiered("partial")), (94, 100))
    assert [e.number for e in found.events] == [1]
    assert found.breach == 0


def test_look__tiered_orders_beyond_the_depth_are_not_kept() -> None:
    # 92,000 to be closed, 40,000 taken at 92: 434.78. At 95 the rest is out of danger: 2,000 less slippage of
    # 400 + 1,695.65 against 1,610.87: nothing more is closed
    venue = tiered("full", execution={"depth": 40_000, "impact": 0.01, "law": "linear"})
    found = run(case(venue=venue), 92, 95)
    assert happened(found, "liquidation") == [(0, "liquidation", -434.782609, 91.08, 0)]
    assert found.records[-1].sizes[0] == pytest.approx(565.217391)
    # and where it is still in danger the venue orders again
    found = run(case(venue=venue), 92, 91.5)
    assert [e.step for e in found.events] == [0, 1]


def test_look__isolated_pools_fall_alone() -> None:
    positions = [long_a(collateral=10_000), short_b(collateral=10_000)]
    plan = case(positions=positions, collateral={}, margin="isolated", venue=chain(liquidation=WHOLE))
    found = run(plan, (92, 100))
    assert {e.number for e in found.events if e.kind == "liquidation"} == {0}
    assert found.records[0].equity[1] == 10_000


def test_look__a_freeze_judges_by_old_prices() -> None:
    # liquidatable at 92 from the first close on; seen where the freeze ends, with what is there then
    freeze = {"effect": "oracle", "freeze": True, "for": "3h"}
    found = run(case(venue=tiered("full"), effects=[freeze]), 92, 91, 90.5)
    assert happened(found, "liquidation") == [(2, "liquidation", -1_000, 90.5, 0)]
    assert not run(case(venue=tiered("full"), effects=[freeze]), 92, 91, 94).events


def test_look__a_delay_judges_late_and_fills_at_the_market() -> None:
    # what it closes at in step 1 is seen in step 3, when the market is back
    late = {"effect": "oracle", "delay": "2h", "for": "6h"}
    found = run(case(venue=tiered("full"), effects=[late]), 95, 92, 99)
    assert happened(found, "liquidation") == [(3, "liquidation", -1_000, 99, 0)]
    assert found.records[-1].equity == pytest.approx((9_000,))
    assert found.hit == found.untouched == (3, "close")


def test_look__an_outlier_is_judged_by_and_not_filled_at() -> None:
    # 75 at the oracle, 100 in the market: sold there, and nothing is lost; the desk's stop at 80 sees 100
    wrong = {"effect": "oracle", "multiply": {"A": 0.75}, "at": "1h", "for": "1h"}
    stop = {"kind": "stop", "market": "A-USD", "price": 80.0}
    plan = case(stop, venue=tiered("full", 0.01), effects=[wrong])
    found = run(plan, 100, 75, 100)
    assert happened(found, "liquidation", "order") == [(1, "liquidation", -1_000, 100, 1_000)]
    assert [record.equity[0] for record in found.records] == pytest.approx([10_000] + [9_000] * 7)
    assert not found.records[1].bankrupt  # it would be, by what the venue sees: but it is sold by then
    assert found.records[-1].shortfall == 0


def test_look__an_outlier_that_is_better_than_the_market_hides_it() -> None:
    # 96.8 at the oracle while the market is at 88: it stands, and is looked at when it is 2,000 short
    wrong = {"effect": "oracle", "multiply": {"A": 1.1}, "for": "2h"}
    found = run(case(venue=tiered("full"), effects=[wrong]), 110, 96.8, 88)
    assert happened(found, "liquidation") == [(2, "liquidation", -1_000, 88, 0)]
    assert [record.equity[0] for record in found.records[:2]] == pytest.approx([10_000, -2_000])
    assert [record.shortfall for record in found.records[:3]] == pytest.approx([0, 2_000, 2_000])


def test_look__in_a_halt_there_is_none() -> None:
    halt = {"effect": "halt", "for": "3h"}
    found = run(case(venue=tiered("full"), effects=[halt]), 92, 92, 94)
    assert not found.events
    assert found.hit is None
    assert [e.step for e in run(case(venue=tiered("full"), effects=[halt]), 92, 92, 92).events] == [2]


def test_look__at_as_of_sees_what_falls_there() -> None:
    found = run(case(venue=tiered("full")), 100, start=92)
    assert found.hit == (0, "start")
    assert [(e.instant, e.price) for e in found.events] == [("start", 92)]


def test_look__the_desk_comes_first_at_a_close() -> None:
    # 94 -> 92: a rung that closes it all leaves the venue nothing, and the account its 2,000 less the fee
    ladder = {"kind": "ladder", "rungs": [{"below": 1.0, "close": 1.0}]}
    found = run(case(ladder, venue=tiered("full", 0.01)), 94, 92)
    assert [e.kind for e in found.events] == ["acted", "order"]
    assert found.records[-1].equity[0] == pytest.approx(2_000 - 46)
    assert found.untouched == (1, "close")
    assert not found.needless


def test_look__coins_count_less_their_haircut_and_stay() -> None:
    # a coin B of 100 at 10 % off for 20 of them: H = 200. At 94: E = 5,000 - 3,000 + 2,000 = 4,000... with
    # 1,000 A entered at 100 and 5,000 in cash: liquidatable iff 7,000 - 1,000 (100 - p) - 200 < 30 p,
    # that is below 93,200 / 970 = 96.08
    venue = tiered("full", haircuts={"B": 0.1})
    plan = case(collateral={"USD": 5_000, "B": 20}, venue=venue)
    assert not run(plan, (96.1, 100)).events
    found = run(plan, (96, 100), (96, 50))
    assert happened(found, "liquidation") == [(0, "liquidation", -1_000, 96, 0)]
    assert [record.equity[0] for record in found.records[:2]] == [3_000, 2_000]


def test_look__a_tie_stands() -> None:
    # E = MM at 100 exactly, with figures that binary fractions hold
    plan = case(positions=[long_a(1_024)], collateral=3_072.0, venue=tiered("full"))
    assert not run(plan, 100).events
    assert run(plan, 99.999).events
    # 0.8199 and 0.8199 in decimals, of which rounding makes a breach
    plan = case(positions=[long_a(0.3)], collateral=3.4899, venue=tiered("full"))
    assert not run(plan, 91.1).events


def test_look__brackets_are_those_of_what_is_left() -> None:
    # 1 % of the first 50,000, 5 % beyond, by a maintenance amount of 2,000: liquidatable below 88,000 / 950
    brackets = [
        {"up_to": 50_000, "maintenance_margin": 0.01, "max_leverage": 50},
        {"up_to": 1e9, "maintenance_margin": 0.05, "max_leverage": 10},
    ]
    venue = tiered("full", execution={"depth": 46_300, "impact": 0.0})
    for market in venue["markets"].values():
        market["brackets"] = brackets
    assert not run(case(venue=venue), 92.7).events
    # 46,300 / 92.6 = 500 are closed, and 46,300 need 463 of 2,600
    found = run(case(venue=venue), 92.6)
    assert [e.step for e in found.events] == [0]
    assert found.events[0].quantity == pytest.approx(-500)


def test_look__what_is_owed_has_no_haircut() -> None:
    # 20 B owed at 100, 12,000 in cash: as 10,000, liquidatable below 92.78
    plan = case(collateral={"USD": 12_000, "B": -20}, venue=tiered("full", haircuts={"B": 0.1}))
    assert not run(plan, (92.8, 100)).events
    assert run(plan, (92.7, 100)).events


def test_find_sight__what_the_venue_has_in_each_step() -> None:
    def sight(**effect: Any) -> list[int]:
        scenario = case(effects=[effect]).scenarios[1]
        return find_sight(scenario.effects, timedelta(hours=1), 8)[0]

    # none older than it had when the delay began
    assert sight(effect="oracle", delay="2h", at="1h", **{"for": "6h"}) == [0, 0, 0, 1, 2, 3, 6, 7]
    assert sight(effect="oracle", delay="2h", **{"for": "4h"}) == [AS_OF, AS_OF, 0, 3, 4, 5, 6, 7]
    assert sight(effect="oracle", freeze=True, at="2h", **{"for": "3h"}) == [0, 1, 1, 1, 4, 5, 6, 7]
    assert sight(effect="halt", at="2h", **{"for": "3h"}) == [0, 1, HALTED, HALTED, 4, 5, 6, 7]
    assert sight(effect="halt", at="5h") == [0, 1, 2, 3, 4, HALTED, HALTED, HALTED]
    assert sight(effect="halt", at="5h", **{"for": "9h"}) == [0, 1, 2, 3, 4, HALTED, HALTED, HALTED]
