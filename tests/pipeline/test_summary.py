"""Summaries: the worst scenario, and the leverage that keeps the account's own limit."""

from __future__ import annotations

from datetime import timedelta

from pipeline.plan import Limit
from pipeline.summary import summarise_accounts
from pipeline.verdict import judge_limits
from tests.cubes import small_cube

DAY, WEEK = timedelta(days=1), timedelta(days=7)
ON_WEEK = Limit(metric="p_liquidation", horizon=WEEK, max=0.01)


def test_summarise_accounts__worst_scenario_and_the_leverage_that_keeps() -> None:
    basis, directional, idle = summarise_accounts(small_cube(), judge_limits(small_cube(), [ON_WEEK]))
    assert (basis.keeps, basis.keeping) == (2.0, "2 × book (8.11x)")
    assert (directional.keeps, directional.worst_scenario) == (0.5, "gap-down-10")
    assert directional.worst.estimate == "9.11 %"
    assert [number.estimate for number in directional.chances] == ["0 of 200,000", "0.600 %", "6.07 %"]
    assert idle.keeping == "5 × book (0.00x) or more"
    assert basis.limit == directional.limit == 0.01


def test_summarise_accounts__the_account_s_own_limit_counts() -> None:
    def keeps(*limits: Limit) -> tuple[float | None, float]:
        summary = summarise_accounts(small_cube(), judge_limits(small_cube(), limits))[1]
        return summary.keeps, summary.limit

    own = ON_WEEK.model_copy(update={"account": "directional", "max": 0.1})
    assert keeps(own) == (1.0, 0.1)
    assert keeps(own, ON_WEEK) == (0.5, 0.01)
    assert keeps(own.model_copy(update={"max": 1e-6})) == (None, 1e-6)
    for other in ({"scenario": "storm"}, {"horizon": DAY}, {"leverage": 2.0}, {"metric": "p_bankruptcy"}):
        assert keeps(own.model_copy(update=other)) == (0.5, 0.01)
