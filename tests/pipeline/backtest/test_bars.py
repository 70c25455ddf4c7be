from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.backtest.bars import load_bars
from pipeline.errors import DataError
from tests.pipeline.backtest.markets import draw_bars, write_bars


def write_rows(folder, rows):
    columns = dict(zip(("ts", "symbol", "high", "low", "close"), zip(*rows, strict=True), strict=True))
    parquet.write_table(
        pa.table({name: list(values) for name, values in columns.items()}), folder / "perp_1h.parquet"
    )


H = 3_600_000


def test_load_bars__gives_back_what_was_written(tmp_path):
    bars = draw_bars(50, 1)
    found = load_bars(write_bars(bars, tmp_path), ("BTC", "ETH", "SOL"))
    assert found.assets == ("BTC", "ETH")
    assert np.array_equal(found.close, bars.close)
    assert np.array_equal(found.low, bars.low)
    assert np.array_equal(found.times, bars.times)
    assert found.remarks == ("SOL: not in perp_1h.parquet",)


def test_load_bars__wild_rows_are_missing_bars_and_told(tmp_path):
    rows = [
        (2 * H, "A", 11.0, 9.0, 10.0),  # before the first: rows may be in any order
        (1 * H, "A", 11.0, 9.0, 10.5),
        (3 * H, "A", 11.0, 9.0, -1.0),  # no price
        (4 * H, "A", 11.0, 10.8, 10.0),  # a low above the close
        (5 * H, "A", 11.0, 9.0, 10.0),
        (5 * H, "A", 12.0, 9.0, 11.5),  # twice: the last counts
        (5 * H + 60_000, "A", 11.0, 9.0, 10.0),  # off the hour
        (8 * H, "A", 11.0, 9.0, 10.0),
        (2_000_000 * H, "A", 11.0, 9.0, 10.0),  # the year 2198
        (9 * H, "B", 2.0, 1.0, 1.5),
        (10 * H, "B", 2.0, 1.0, float("nan")),
    ]
    write_rows(tmp_path, rows)
    bars = load_bars(tmp_path, ("A", "B"))
    expected = [10.5, 10.0, np.nan, np.nan, 11.5, np.nan, np.nan, 10.0, np.nan]
    assert np.array_equal(bars.close[:, 0], expected, equal_nan=True)
    assert np.array_equal(bars.close[:, 1], [np.nan] * 8 + [1.5], equal_nan=True)
    told = [text[:22] for text in bars.remarks]
    assert told == [
        "A: 5 rows not used (tw",
        "B: 1 rows not used (tw",
        "A: 4 hours missing bet",
        "A: ends at 1970-01-01T",
    ]


@pytest.mark.parametrize("kind", ["no folder", "no parquet", "no column", "other assets"])
def test_load_bars__what_cannot_be_read_is_refused(tmp_path, kind):
    if kind == "no parquet":
        (tmp_path / "perp_1h.parquet").write_text("ts,close")
    elif kind == "no column":
        parquet.write_table(pa.table({"ts": [1], "close": [1.0]}), tmp_path / "perp_1h.parquet")
    elif kind == "other assets":
        write_bars(replace(draw_bars(5, 1), assets=("X", "Y")), tmp_path)
    with pytest.raises(DataError, match="fix"):
        load_bars(tmp_path if kind != "no folder" else tmp_path / "none", ("BTC",))


def test_prices__of_some_rows_and_assets_with_highs_and_lows():
    bars = draw_bars(50, 1)
    prices = bars.prices(10, 30, ("ETH",))
    assert np.array_equal(prices.times, bars.times[10:30])
    for found, panel in ((prices.close, bars.close), (prices.high, bars.high), (prices.low, bars.low)):
        assert np.array_equal(found, panel[10:30, 1:])


def test_bars_until__counts_bars_that_have_closed():
    bars = draw_bars(5, 1)
    assert bars.bars_until(datetime(2030, 1, 1, 2, tzinfo=UTC)) == 2
    assert bars.bars_until(datetime(2030, 1, 1, 1, 59, tzinfo=UTC)) == 1
    assert bars.bars_until(datetime(2029, 1, 1, tzinfo=UTC)) == 0
    assert bars.bars_until(datetime(2031, 1, 1, tzinfo=UTC)) == 5
