from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.dydx.account import Account, Position
from pipeline.dydx.gate import Gate, pools_in_debt, transfer_results
from pipeline.dydx.isolated import CROSS_POOL
from pipeline.dydx.risk import UpdateResult
from pipeline.dydx.update import Update
from tests.pipeline.dydx.exchange import PLAIN

LONE = replace(PLAIN, perpetual_id=9, isolated=True)
MARKETS = {7: PLAIN, 9: LONE}
BLOCKED, SUCCESS = UpdateResult.WITHDRAWALS_AND_TRANSFERS_BLOCKED, UpdateResult.SUCCESS


def holding(usdc: int, **sizes: int) -> Account:
    return Account({0: usdc}, {int(key[1:]): Position(size) for key, size in sizes.items()})


@pytest.mark.parametrize(("block", "closed"), [(100, True), (149, True), (150, False), (1_000, False)])
def test_is_closed__for_fifty_blocks(block: int, closed: bool) -> None:
    assert Gate().with_debt(["cross"], 100).is_closed(["cross"], block) is closed
    assert Gate().after_pause(300, 100).is_closed(["cross"], block) is closed


def test_is_closed__by_the_last_sighting_of_the_pool() -> None:
    gate = Gate().with_debt(["cross", "isolated:9"], 100).with_debt(["cross"], 130)
    assert gate.is_closed(["cross"], 179)
    assert gate.is_closed(["isolated:9"], 149)
    assert not gate.is_closed(["isolated:9"], 150)
    assert gate.is_closed(["isolated:9", "cross"], 150)
    assert not gate.is_closed(["isolated:10"], 131)


def test_after_pause__only_a_long_one_closes_it_and_then_to_all() -> None:
    assert not Gate().after_pause(299, 100).is_closed(["cross"], 100)
    gate = Gate().with_debt(["cross"], 90).after_pause(300, 100)
    assert gate.is_closed(["isolated:9"], 100)
    assert gate.debt_seen == {"cross": 90}


def test_pools_in_debt__of_those_with_positions_and_negative_equity() -> None:
    indebted, even = holding(-101, p7=100), holding(-100, p7=100)
    assert pools_in_debt([even, holding(50), holding(-5)], MARKETS) == set()
    assert pools_in_debt([even, indebted], MARKETS) == {CROSS_POOL}
    assert pools_in_debt([holding(-101, p9=100)], MARKETS) == {"isolated:9"}


def test_transfer_results__blocked_whole_where_any_pool_is() -> None:
    out, into = Update({0: -5}, {}), Update({0: 5}, {})
    gate = Gate().with_debt(["isolated:9"], 100)
    to_isolated = [(holding(1_000), out), (holding(0, p9=100), into)]
    assert transfer_results(to_isolated, MARKETS, gate, 149) == (BLOCKED, BLOCKED)
    assert transfer_results(to_isolated, MARKETS, gate, 150) == (SUCCESS, SUCCESS)
    assert transfer_results([(holding(1_000, p7=10), out)], MARKETS, gate, 100) == (SUCCESS,)


def test_transfer_results__leaves_initial_margin_behind() -> None:
    # 100 of notional need 10; of an equity of 30, 20 may go
    account = holding(-70, p7=100)
    for amount, result in ((20, SUCCESS), (21, UpdateResult.NEWLY_UNDERCOLLATERALIZED)):
        change = (account, Update({0: -amount}, {}))
        assert transfer_results([change], MARKETS, Gate(), 1) == (result,)
    chosen = replace(account, custom_imf_ppm={7: 200_000})
    assert transfer_results([(chosen, Update({0: -11}, {}))], MARKETS, Gate(), 1) == (
        UpdateResult.NEWLY_UNDERCOLLATERALIZED,
    )
