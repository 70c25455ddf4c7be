"""Prices now, from a file of bars."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import PlanError
from pipeline.prices import load_prices

NOON = datetime(2026, 5, 15, 12, tzinfo=UTC)
HISTORY = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[2] / "../shared/data"))


def bars(tmp_path: Path, closes: dict[int, float], symbol: str = "BTC") -> Path:
    """Bars that open so many hours from noon."""
    path = tmp_path / "bars.parquet"
    table = pa.table(
        {
            "ts": pa.array([NOON + timedelta(hours=hour) for hour in closes], pa.timestamp("ms", "UTC")),
            "symbol": [symbol] * len(closes),
            "close": pa.array(closes.values(), pa.float32()),
        }
    )
    pq.write_table(table, path)
    return path


def test_load_prices__last_close_known(tmp_path: Path) -> None:
    path = bars(tmp_path, {-3: 1.0, -2: 2.0, -1: 3.0, 0: 4.0})
    # the bar that opens at 11:00 closes at noon
    assert load_prices(path, NOON, ["BTC"]) == {"BTC": 3.0}
    assert load_prices(path, NOON - timedelta(minutes=1), ["BTC"]) == {"BTC": 2.0}
    assert load_prices(path, NOON + timedelta(hours=1), ["BTC"]) == {"BTC": 4.0}


def test_load_prices__order_of_rows_and_gaps_mean_nothing(tmp_path: Path) -> None:
    assert load_prices(bars(tmp_path, {-2: 2.0, -9: 1.0, -3: 1.5}), NOON, ["BTC"]) == {"BTC": 2.0}


def test_load_prices__length_of_bars_may_be_given(tmp_path: Path) -> None:
    path = bars(tmp_path, {-4: 1.0})
    with pytest.raises(PlanError, match="`bar:`"):
        load_prices(path, NOON, ["BTC"])
    assert load_prices(path, NOON, ["BTC"], timedelta(hours=4)) == {"BTC": 1.0}
    with pytest.raises(PlanError, match="none by then"):
        load_prices(path, NOON, ["BTC"], timedelta(hours=5))


def test_load_prices__refuses_old_closes(tmp_path: Path) -> None:
    path = bars(tmp_path, {-26: 1.0, -25: 2.0})
    assert load_prices(path, NOON, ["BTC"]) == {"BTC": 2.0}
    with pytest.raises(PlanError, match="within 1d before 2026-05-15T12:01:00Z"):
        load_prices(path, NOON + timedelta(minutes=1), ["BTC"])


def test_load_prices__tells_every_asset_without_one(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load_prices(bars(tmp_path, {-2: 1.0, -1: 1.0}), NOON, ["BTC", "ETH", "SOL"])
    assert [problem.expected.split(" within")[0] for problem in caught.value.problems] == [
        "a close of ETH",
        "a close of SOL",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ts,symbol,price\n2026-05-15T00:00:00Z,BTC,1\n", "column close"),
        ("ts,symbol,close\n2026-05-15T00:00:00Z,BTC,much\n", "check the file"),
        ("ts,symbol,close\nyesterday,BTC,1\n", "check the file"),
        ("ts,symbol,close\n2026-05-15T00:00:00Z,BTC,\n", "empty cells"),
        ("ts,symbol,close\n", "no rows"),
        ("", "check the file"),
    ],
)
def test_load_prices__refuses_files(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(text)
    with pytest.raises(PlanError, match=words):
        load_prices(path, NOON, ["BTC"])


def test_load_prices__real_history() -> None:
    path = HISTORY / "perp_1h.parquet"
    if not path.exists():
        pytest.skip(f"no market history at {path}; name its folder in SEAWALL_DATA")
    prices = load_prices(path, datetime(2025, 7, 1, tzinfo=UTC), ["BTC", "SOL"])
    assert prices == pytest.approx({"BTC": 107_087.4, "SOL": 154.73}, rel=1e-5)
