"""Every vector of the chain's own tables, of its documentation, and worked by hand, through pipeline.dydx."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

from pipeline.dydx.errors import DydxError
from tests.conformance import dydx_events as events
from tests.conformance import dydx_formulae as formulae
from tests.conformance.cases import FOLDER
from tests.conformance.inputs import Inputs, Unsupported

Answer = Callable[[Inputs], Iterator[dict[str, Any]]]

ANSWERS: dict[str, Answer] = {
    "base_to_quote_quantums": formulae.base_to_quote_quantums,
    "quote_to_base_quantums": formulae.quote_to_base_quantums,
    "maintenance_margin_ppm": formulae.maintenance_margin_ppm,
    "funding_clamp_ppm": formulae.funding_clamp_ppm,
    "effective_imf_ppm": formulae.effective_imf_ppm,
    "initial_margin": formulae.initial_margin,
    "margin_requirements": formulae.margin_requirements,
    "is_initial_collateralized": formulae.is_initial_collateralized,
    "is_maintenance_collateralized": formulae.is_maintenance_collateralized,
    "is_liquidatable_risk": formulae.is_liquidatable_risk,
    "is_liquidatable": formulae.is_liquidatable,
    "subaccount_risk": formulae.subaccount_risk,
    "valid_state_transition": formulae.valid_state_transition,
    "open_interest_delta": formulae.open_interest_delta,
    "funding_settlement_ppm": formulae.funding_settlement_ppm,
    "funding_index_delta": formulae.funding_index_delta,
    "funding_sample_median": formulae.funding_sample_median,
    "funding_tick": formulae.funding_tick,
    "price_premium": formulae.price_premium,
    "liquidation_price": formulae.liquidation_price,
    "bankruptcy_price": formulae.bankruptcy_price,
    "fillable_price": formulae.fillable_price,
    "fillable_price_to_subticks": formulae.fillable_price_to_subticks,
    "insurance_fund_delta": formulae.insurance_fund_delta_,
    "insurance_fund_delta_valid": formulae.insurance_fund_delta_valid,
    "position_notional_limits": formulae.position_notional_limits,
    "liquidatable_size_delta": formulae.liquidatable_size_delta,
    "subaccount_block_limits": formulae.subaccount_block_limits,
    "can_deleverage": formulae.can_deleverage,
    "update_subaccounts": events.update_subaccounts,
    "can_update_subaccounts": events.can_update_subaccounts,
    "sort_liquidation_orders": events.sort_liquidation_orders,
    "process_deleveraging": events.process_deleveraging,
    "offset_position": events.offset_position_,
    "liquidation_fills": events.liquidation_fills,
    "liquidation_order_match": events.liquidation_order_match,
    "liquidation_block": events.liquidation_block,
}


def load_vectors() -> list[dict[str, Any]]:
    """Every vector there is, of whatever list; where the file is missing the module is skipped."""
    path = FOLDER / "dydx_vectors.json"
    if not path.is_file():
        pytest.skip(f"no vectors: {path} is not there (set SEAWALL_CONFORMANCE)", allow_module_level=True)
    lists = (value for value in json.loads(path.read_text()).values() if isinstance(value, list))
    return [vector for vectors in lists for vector in vectors]


VECTORS = load_vectors()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector__agrees(vector: dict[str, Any]) -> None:
    answer = ANSWERS.get(vector["function"])
    if answer is None:
        pytest.skip(f"{vector['id']}: function {vector['function']!r} is not supported")
    try:
        differences = judge(vector, answer)
    except Unsupported as reason:
        pytest.skip(f"{vector['id']}: {reason}")
    assert not differences, f"{vector['id']}: " + "; ".join(differences)


def judge(vector: dict[str, Any], answer: Answer) -> list[str]:
    """How the answer differs from what is expected; of several orders, how the first does if all differ."""
    inputs, expected = Inputs(vector["raw"]["inputs"]), vector["raw"]["expected"]
    tolerance = Fraction(vector.get("tolerance", 0))
    if vector.get("expect_error"):
        try:
            given = next(answer(inputs))
        except DydxError:
            return []
        inputs.check_all_read()
        return [f"expected to be refused, got {given}"]
    if not expected:
        raise Unsupported("nothing is expected")
    first: list[str] | None = None
    for given in answer(inputs):
        inputs.check_all_read()
        differences = list(differing("", expected, given, tolerance))
        if not differences or not vector.get("order_dependent"):
            return differences
        first = differences if first is None else first
    return first or []


def differing(where: str, expected: Any, given: Any, tolerance: Fraction) -> Iterator[str]:
    """Where what is given is not what is expected; it may say more than was asked, but in lists no more."""
    if isinstance(expected, dict) and isinstance(given, dict):
        for key, value in expected.items():
            if not where and key not in given:
                raise Unsupported(f"{key!r} is not answered")
            yield from differing(f"{where}.{key}", value, given.get(key), tolerance)
    elif isinstance(expected, list) and isinstance(given, list) and len(expected) == len(given):
        for index, (one, other) in enumerate(zip(expected, given, strict=True)):
            yield from differing(f"{where}[{index}]", one, other, tolerance)
    elif not is_same(expected, given, tolerance):
        yield f"{where[1:]}: expected {expected}, got {given}"


def is_same(expected: Any, given: Any, tolerance: Fraction) -> bool:
    """Whether two values agree: exactly, but for a tolerance that the vector states."""
    if isinstance(given, DydxError):
        return isinstance(expected, str) and expected.startswith("error:")
    if isinstance(given, Fraction) and isinstance(expected, str | int):
        return abs(Fraction(expected) - given) <= tolerance
    return type(expected) is type(given) and bool(expected == given)
