"""The verdict: limits held against the cube, and breaches as records."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import xarray as xr

from pipeline.cube import build_cube
from pipeline.errors import PlanError
from pipeline.plan import Limit, plan_from_document
from pipeline.verdict import Judgement, breaches, find_worst, judge_limits
from tests.cubes import PROVENANCE, plan_document, resolved_cube, small_cube, small_plan, small_tallies

DAY, WEEK = timedelta(days=1), timedelta(days=7)


def judge(cube: xr.Dataset | None = None, **limit: object) -> tuple[Judgement, ...]:
    return judge_limits(small_cube() if cube is None else cube, [Limit.model_validate(limit)])


@pytest.mark.parametrize(
    ("most", "status"),
    [(0.0596, "BREACH"), (0.0606, "WATCH"), (0.0608, "WATCH"), (0.0618, "OK"), (0.0, "BREACH")],
)
def test_status__where_the_interval_lies(most: float, status: str) -> None:
    # 12,140 of 200,000: 0.0607 [0.05967, 0.06176]
    (judgement,) = judge(
        metric="p_liquidation", horizon=WEEK, scenario="baseline", account="directional", max=most
    )
    assert judgement.value == 0.0607
    assert judgement.status == status


def test_status__a_bound_on_the_limit_is_no_breach() -> None:
    (judgement,) = judge(
        metric="p_liquidation", horizon=WEEK, scenario="baseline", account="directional", max=0.5
    )
    assert replace(judgement, low=0.5, high=0.6).status == "WATCH"
    assert replace(judgement, low=0.4, high=0.5).status == "OK"


def test_judge_limits__no_name_means_every_one_at_leverage_1() -> None:
    judgements = judge(metric="p_liquidation", horizon=WEEK, max=0.01)
    assert [(j.account, j.scenario) for j in judgements] == [
        (account, scenario)
        for account in ("basis", "directional", "idle & <cash>")
        for scenario in ("baseline", "gap-down-10", "storm")
    ]
    assert {j.leverage for j in judgements} == {1.0}


def test_judge_limits__picks_the_named_cell() -> None:
    (judgement,) = judge(
        metric="p_bankruptcy", horizon=DAY, scenario="storm", account="directional", leverage=2.0, max=0.1
    )
    cell = small_cube().sel(
        scenario="storm", account="directional", leverage=2.0, horizon=np.timedelta64(DAY)
    )
    assert judgement.value == cell["p_bankruptcy"]
    assert (judgement.low, judgement.high) == (cell["p_bankruptcy_low"], cell["p_bankruptcy_high"])


@pytest.mark.parametrize(
    ("metric", "value"), [("leverage", 450 / 111), ("utilisation", 9 / 111), ("concentration", 4.8 / 111)]
)
def test_judge_limits__snapshots_scale_with_the_multiple(metric: str, value: float) -> None:
    (now,) = judge(metric=metric, account="basis", max=1.0)
    (double,) = judge(metric=metric, account="basis", leverage=2.0, max=1.0)
    assert now.value == now.low == now.high == pytest.approx(value)
    assert double.value == pytest.approx(2 * value)
    assert (now.scenario, now.horizon, now.paths) == (None, None, None)


def test_judge_limits__what_the_cube_does_not_hold_is_said_all_at_once() -> None:
    limits = [
        Limit(metric="p_liquidation", horizon=timedelta(days=2), max=0.1, account="bassis"),
        Limit(metric="p_liquidation", horizon=WEEK, max=0.1, scenario="flood", leverage=7.0),
    ]
    with pytest.raises(PlanError) as error:
        judge_limits(small_cube(), limits)
    said = [(problem.where, problem.got) for problem in error.value.problems]
    assert said == [
        ("limits[0].account", "bassis"),
        ("limits[0].horizon", "2d"),
        ("limits[1].scenario", "flood"),
        ("limits[1].leverage", "7.0"),
    ]
    assert "4h, 1d, 7d" in str(error.value)


def test_breaches__are_plain_records() -> None:
    limits = [
        Limit(metric="p_liquidation", horizon=WEEK, scenario="baseline", max=0.01),
        Limit(metric="leverage", max=5.0),
    ]
    records = breaches(judge_limits(small_cube(), limits))
    assert [record["metric"] for record in records] == ["p_liquidation", "leverage"]
    assert list(records[0]) == [
        *("account", "metric", "scenario", "horizon", "leverage", "value", "low", "high", "max")
    ]
    assert records[0] | {"low": 0, "high": 0} == {
        "account": "directional",
        "metric": "p_liquidation",
        "scenario": "baseline",
        "horizon": "7d",
        "leverage": 1.0,
        "value": 0.0607,
        "low": 0,
        "high": 0,
        "max": 0.01,
    }
    assert (records[1]["scenario"], records[1]["horizon"]) == (None, None)
    assert json.loads(json.dumps(records, allow_nan=False)) == records


def test_breaches__no_equity_is_a_breach_that_json_can_say() -> None:
    accounts = plan_document()["accounts"]
    accounts[1]["collateral"]["USDC"] = 1_000
    cube = build_cube(small_tallies(), small_plan(accounts=accounts), PROVENANCE)
    (record,) = breaches(judge(cube, metric="leverage", account="directional", max=5.0))
    assert record["value"] is None
    assert json.dumps(record, allow_nan=False)


def test_find_worst__one_line_a_status_limit_and_account() -> None:
    findings = find_worst(judge(metric="p_liquidation", horizon=WEEK, max=0.07))
    said = [(f.judgement.status, f.judgement.account, f.judgement.scenario, f.also) for f in findings]
    assert said == [
        ("BREACH", "directional", "gap-down-10", ""),
        ("OK", "basis", "baseline", "and 2 other scenarios"),
        ("OK", "directional", "storm", "and 1 other scenario"),
        ("OK", "idle & <cash>", "baseline", "and 2 other scenarios"),
    ]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("p_forced_liquidation", 0.0607),
        ("p_partial_liquidation", 0.03035),
        ("p_closed_out", 0.03035),
        ("p_managed_bankruptcy", 0.02023),
    ],
)
def test_judge_limits__on_what_follows_a_breach(metric: str, value: float) -> None:
    limit = {"metric": metric, "horizon": WEEK, "max": 0.01, "scenario": "baseline", "account": "directional"}
    (found,) = judge(resolved_cube(), **limit)
    assert (found.value, found.status) == (value, "BREACH")
    with pytest.raises(PlanError, match="does not follow what comes after"):
        judge(small_cube(), **limit)
    document = plan_document(limits=[limit | {"horizon": "7d"}])
    with pytest.raises(PlanError, match=r"limits\[0\].metric\n.*\n.*\n.*resolve: true"):
        plan_from_document(document)
    document["simulation"]["resolve"] = True
    assert plan_from_document(document).limits[0].metric == metric
