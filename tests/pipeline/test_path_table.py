"""What a person reads of one path."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from pipeline.path_events import Event
from pipeline.path_replay import PathReplay, replay_path
from pipeline.path_table import find_kept, gather_pieces, moment, path_table, tell_untouched
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.desk_paths import busy_document, pooled_document


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_from_document(busy_document())


@pytest.fixture(scope="module")
def told(plan: Plan) -> PathReplay:
    return replay_path(plan, "storm", "directional", 1, 5)


def printed(replay: PathReplay, whole: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(path_table(replay, whole), highlight=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_path_table__every_path_fits_and_adds_up(plan: Plan) -> None:
    pooled = plan_from_document(pooled_document())
    replays = [replay_path(pooled, "fall", "hedger", 2, path) for path in range(10)]
    replays += [replay_path(plan, "storm", "basis", 2, path) for path in range(10)]
    for replay in replays:
        lines = printed(replay)
        assert max(map(len, lines)) <= 100
        assert not any("collateral" in line and "ratio" not in line for line in lines[:6])
        assert lines[-1] == "The parts add up, to the cent."
        total = sum(
            float(line.rsplit(maxsplit=1)[1].replace(",", "").replace("−", "-").lstrip("+"))
            for line in lines[lines.index("What became of the equity") + 1 : -2]
        )
        assert total == pytest.approx(replay.bridge.ended, abs=0.06)  # nine figures, each rounded


def test_path_table__says_where_parts_do_not_add_up(told: PathReplay) -> None:
    lost = replace(told, bridge=told.bridge._replace(fees=told.bridge.fees + 2.5))
    assert "do NOT add up: 2.50 are missing" in printed(lost)[-1]


def test_path_table__says_that_the_run_did_not_follow(told: PathReplay) -> None:
    assert not any("float32" in line for line in printed(told))
    assert any("float32" in line for line in printed(replace(told, resolved=False)))


def test_find_kept__events_ends_the_lowest_and_short_stretches(told: PathReplay) -> None:
    ratios = np.full((25, 1), 10.0)
    ratios[20] = 2.0
    events = (Event(3, "close", "policy", "x"), Event(8, "close", "policy", "y"))
    replay = replace(
        told,
        events=events,
        equity=ratios,
        maintenance=np.ones((25, 1)),
        haircuts=np.zeros((25, 1)),
    )
    kept = np.flatnonzero(find_kept(replay)).tolist()
    # as_of; rows 3 and 4 with the event of step 3, and two before them; 8 and 9; the lowest; the end
    assert kept == [0, 1, 2, 3, 4, 8, 9, 20, 24]


def test_gather_pieces__one_line_a_position() -> None:
    def piece(subject: str, quantity: float, at: float, fee: float, others: float = 0.0) -> Event:
        money = {"slippage": 1.0, "liquidation_fee": fee, "others": others}
        return Event(2, "within", "liquidated", "...", subject, quantity, at, money)

    acted = Event(2, "close", "policy", "ladder")
    few = [piece("BTC-USD", -1, 60_000, 5.0) for _ in range(3)]
    assert gather_pieces(few) == few
    many = [*few, piece("ETH-USD", 4, 3_000, 2.0), piece("BTC-USD", -0.5, 59_000, 0.0, 7.25), acted]
    assert [event.words for event in gather_pieces(many)] == [
        "the venue sells 3.5 BTC-USD in 4 pieces at 60,000.00 to 59,000.00, slippage 4.00; "
        "fee to the insurance fund 15.00; the insurance fund pays 7.25",
        "...",
        "ladder",
    ]


def test_tell_untouched__with_and_without(told: PathReplay) -> None:
    said = tell_untouched(told)
    assert said.startswith("margin call within 1d, liquidation within 1d")
    assert "in the step to 2026-05-15 " in said
    nothing = replace(told, untouched=dict.fromkeys(told.untouched), breached=None)
    assert tell_untouched(nothing) == "meets none of margin call, liquidation and bankruptcy within 1d."


def test_moment__seconds_where_there_are_any() -> None:
    assert moment(np.datetime64("2026-05-15T03:00:00")) == "2026-05-15 03:00"
    assert moment(np.datetime64("2026-05-15T03:00:30")) == "2026-05-15 03:00:30"
