"""Answers to the dYdX vectors of one formula or predicate each, by the name of their function."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from pipeline.dydx import funding, limits, prices
from pipeline.dydx.account import Account, Position
from pipeline.dydx.deleveraging import deleveraging_prices
from pipeline.dydx.errors import DydxError
from pipeline.dydx.insurance import InsuranceFund, insurance_fund_delta
from pipeline.dydx.liquidation import size_to_liquidate
from pipeline.dydx.market import Market
from pipeline.dydx.risk import Risk, account_risk, settled_risk, under_margin_result
from pipeline.dydx.tier import Tier
from pipeline.dydx.units import base_to_quote, divide_up, quote_to_base
from pipeline.dydx.update import Update, apply_update, open_interest_deltas
from tests.conformance import dydx_records as read
from tests.conformance.inputs import Inputs

Answers = Iterator[dict[str, Any]]


def base_to_quote_quantums(inputs: Inputs) -> Answers:
    yield {"quote_quantums": base_to_quote(inputs.need("base_quantums"), *_price(inputs))}


def quote_to_base_quantums(inputs: Inputs) -> Answers:
    yield {"base_quantums": quote_to_base(inputs.need("quote_quantums"), *_price(inputs))}


def maintenance_margin_ppm(inputs: Inputs) -> Answers:
    yield {"maintenance_margin_ppm": _tier(inputs).maintenance_margin_ppm}


def funding_clamp_ppm(inputs: Inputs) -> Answers:
    yield {"max_abs_ppm": _tier(inputs).funding_clamp_ppm(inputs.need("clamp_factor_ppm"))}


def effective_imf_ppm(inputs: Inputs) -> Answers:
    open_interest = inputs.need("open_interest_notional")
    yield {"effective_imf_ppm": _tier(inputs).effective_initial_margin_ppm(open_interest)}


def initial_margin(inputs: Inputs) -> Answers:
    notional, open_interest = inputs.need("notional"), inputs.need("open_interest_notional")
    yield {"imr": _tier(inputs).initial_margin(notional, open_interest, inputs.take("custom_imf_ppm", 0))}


def margin_requirements(inputs: Inputs) -> Answers:
    market = Market(0, *_price(inputs), _tier(inputs), inputs.take("open_interest", 0))
    initial, maintenance = market.margins(inputs.need("quantums"), inputs.take("custom_imf_ppm", 0))
    yield {"imr": initial, "mmr": maintenance}


def is_initial_collateralized(inputs: Inputs) -> Answers:
    yield {"result": _risk(inputs).is_initial_collateralized}


def is_maintenance_collateralized(inputs: Inputs) -> Answers:
    yield {"result": _risk(inputs).is_maintenance_collateralized}


def is_liquidatable_risk(inputs: Inputs) -> Answers:
    yield {"result": _risk(inputs).is_liquidatable}


def is_liquidatable(inputs: Inputs) -> Answers:
    yield {"result": account_risk(read.account_in(inputs), read.markets_of(inputs)).is_liquidatable}


def subaccount_risk(inputs: Inputs) -> Answers:
    markets = read.markets_of(inputs)
    account, _ = funding.settle(read.account_in(inputs), markets)
    update = read.update_of(inputs.take("update", {"asset_updates": [], "perpetual_updates": []}))
    risk = settled_risk(apply_update(account, update, markets), markets)
    yield {"nc": risk.equity, "imr": risk.initial_margin, "mmr": risk.maintenance_margin}


def valid_state_transition(inputs: Inputs) -> Answers:
    before, after = (_risk(Inputs(dict(inputs.need(key)))) for key in ("cur", "new"))
    yield {"result": str(under_margin_result(before, after))}


def open_interest_delta(inputs: Inputs) -> Answers:
    changes = []
    for record in inputs.need("updates"):
        read.only(record, "prev_quantums", "delta", "perpetual_id")
        perpetual_id = record.get("perpetual_id", 0)
        account = Account(positions={perpetual_id: Position(record["prev_quantums"])})
        changes.append((account, Update({}, {perpetual_id: record["delta"]})))
    is_match = inputs.need("update_type") == "Match"
    yield {"open_interest_delta": sum(open_interest_deltas(changes).values()) if is_match else 0}


def funding_settlement_ppm(inputs: Inputs) -> Answers:
    indices = inputs.need("perpetual_funding_index"), inputs.need("position_funding_index")
    yield {"net_settlement_ppm": funding.settlement_ppm(inputs.need("quantums"), *indices)}


def funding_index_delta(inputs: Inputs) -> Answers:
    market = Market(0, *_price(inputs), Tier(0, 0))
    delta = funding.index_delta(market, inputs.need("funding_rate_8h_ppm"), inputs.need("seconds"))
    yield {"index_delta": delta}


def funding_sample_median(inputs: Inputs) -> Answers:
    votes = inputs.need("votes_ppm"), inputs.need("num_votes"), inputs.need("min_votes")
    yield {"sample_ppm": funding.sample_ppm(*votes)}


def funding_tick(inputs: Inputs) -> Answers:
    tick_s, factor = inputs.need("tick_seconds"), inputs.need("funding_rate_clamp_factor_ppm")
    least = divide_up(tick_s, inputs.need("sample_seconds"))
    premium = funding.premium_ppm(inputs.need("samples_ppm"), inputs.need("num_premiums"), least)
    ticks = []
    for market in read.markets_of(inputs).values():
        rate, delta = funding.funding_tick(market, premium, tick_s, factor)
        ticks.append({"perpetual_id": market.perpetual_id, "funding_rate_8h_ppm": rate, "index_delta": delta})
    yield {"markets": ticks}


def price_premium(inputs: Inputs) -> Answers:
    resolution = inputs.need("atomic_resolution")
    market = Market(
        0, resolution, inputs.need("index_price"), inputs.need("index_price_exponent"), Tier(0, 0)
    )
    premium = funding.price_premium_ppm(
        list(read.book_of(inputs.need("orders")).resting.values()),
        read.pair_of(inputs.need("clob_pair")),
        market,
        inputs.need("impact_notional"),
        inputs.need("max_abs_premium_vote_ppm"),
    )
    yield {"premium_ppm": premium}


def liquidation_price(inputs: Inputs) -> Answers:
    keys = ("equity", "size", "price", "mmf", "other_mmr")
    yield {"liquidation_price": prices.liquidation_price(*(Fraction(inputs.need(key)) for key in keys))}


def bankruptcy_price(inputs: Inputs) -> Answers:
    yield {"quote_quantums": prices.bankruptcy_quote(*_position(inputs), inputs.need("delta_quantums"))}


def fillable_price(inputs: Inputs) -> Answers:
    delta, config = inputs.need("delta_quantums"), read.config_of(inputs)
    price = prices.fillable_price(*_position(inputs), delta, config)
    yield {"quote_quantums_per_base_quantum": price}


def fillable_price_to_subticks(inputs: Inputs) -> Answers:
    price, pair = Fraction(inputs.need("fillable_price")), read.pair_of(inputs.need("clob_pair"))
    yield {"subticks": prices.fillable_subticks(price, inputs.need("is_liquidating_long"), pair)}


def insurance_fund_delta_(inputs: Inputs) -> Answers:
    sign = 1 if inputs.need("is_buy") else -1
    delta = insurance_fund_delta(
        *_position(inputs),
        sign * inputs.need("fill_amount"),
        inputs.need("subticks"),
        read.pair_of(inputs.need("clob_pair")),
        read.config_of(inputs),
    )
    yield {"insurance_fund_delta": delta}


def insurance_fund_delta_valid(inputs: Inputs) -> Answers:
    yield {"result": InsuranceFund(inputs.need("balance")).covers(inputs.need("delta"))}


def position_notional_limits(inputs: Inputs) -> Answers:
    market, position = read.market_of(inputs.need("market")), read.position_of(inputs.need("position"))
    least, most = limits.position_limits(market, position.quantums, read.config_of(inputs))
    yield {"min": least, "max": most}


def liquidatable_size_delta(inputs: Inputs) -> Answers:
    account, markets, perpetual_id = _position(inputs)
    record = limits.BlockRecord(inputs.take("prior_notional_liquidated", 0))
    pair, config = read.pair_of(inputs.need("clob_pair")), read.config_of(inputs)
    delta = size_to_liquidate(account, markets[perpetual_id], pair, record, config)
    yield {"delta_quantums": delta, "perpetual_id": perpetual_id}


def subaccount_block_limits(inputs: Inputs) -> Answers:
    record = limits.BlockRecord(
        inputs.take("previous_notional_liquidated", 0),
        inputs.take("previous_insurance_lost", 0),
        {inputs.take("previously_liquidated_perpetual_id")} - {None},
    )
    perpetual_id, config = inputs.need("perpetual_id"), read.config_of(inputs)
    left = {"max_notional": limits.notional_left, "max_insurance_lost": limits.insurance_left}
    answer: dict[str, Any] = {}
    for key, formula in left.items():
        try:
            answer[key] = formula(record, perpetual_id, config)
        except DydxError as error:
            answer[key] = error
    yield answer


def can_deleverage(inputs: Inputs) -> Answers:
    account, markets = read.account_in(inputs), read.markets_of(inputs)
    final = inputs.need("market_in_final_settlement")
    at_bankruptcy, at_oracle = deleveraging_prices(account, markets, final)
    yield {"at_bankruptcy_price": at_bankruptcy, "at_oracle_price": at_oracle}


def _price(inputs: Inputs) -> tuple[int, int, int]:
    return inputs.need("atomic_resolution"), inputs.need("price"), inputs.need("price_exponent")


def _tier(inputs: Inputs) -> Tier:
    return Tier(
        inputs.need("initial_margin_ppm"),
        inputs.take("maintenance_fraction_ppm", 0),
        inputs.take("open_interest_lower_cap", 0),
        inputs.take("open_interest_upper_cap", 0),
    )


def _risk(inputs: Inputs) -> Risk:
    return Risk(inputs.need("nc"), inputs.take("imr", 0), inputs.take("mmr", 0))


def _position(inputs: Inputs) -> tuple[Account, dict[int, Market], int]:
    return read.account_in(inputs), read.markets_of(inputs), inputs.need("perpetual_id")
