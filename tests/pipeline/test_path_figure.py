"""The picture of one path."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.path_replay import replay_path
from pipeline.plan import plan_from_document
from pipeline.report.path_figure import draw_path
from tests.pipeline.desk_paths import busy_document, pooled_document


def test_draw_path__is_the_same_each_time_and_tells_what_happened(tmp_path: Path) -> None:
    plan = plan_from_document(busy_document())
    replays = (replay_path(plan, "storm", "directional", 1, path) for path in range(40))
    kinds = {"top_up", "untouched_liquidation"}
    replay = next(each for each in replays if kinds <= {event.kind for event in each.events})
    files = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for file in files:
        draw_path(replay, file)
    svg = files[0].read_text()
    assert svg == files[1].read_text()
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", svg)
    assert f"directional on path {replay.path} of small, scenario storm" in texts
    assert {"mark since as_of, %", "equity", "maintenance", "initial margin", "crisis"} <= set(texts)
    assert any("the untouched book is liquidatable" in text for text in texts)
    assert any("top-up of 3,000.00 arrives" in text for text in texts)


def test_draw_path__coins_pools_and_png(tmp_path: Path) -> None:
    replay = replay_path(plan_from_document(pooled_document()), "fall", "hedger", 2, 10)
    file = tmp_path / "a.svg"
    draw_path(replay, file)
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", file.read_text())
    assert {"BTCUSDT", "ETHUSDT", "after haircuts", "BTCUSDT long", "BTCUSDT short"} <= set(texts)
    assert "BTC" not in texts  # the coin has the perpetual's mark
    draw_path(replay, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
