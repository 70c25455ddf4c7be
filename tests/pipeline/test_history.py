"""Files of history as people have them, and what is refused in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

from pipeline.errors import DataError
from pipeline.history import Settlements, infer_intervals, load_funding, load_prices

Row = tuple[str, float, float | None]

HOUR = np.timedelta64(3_600_000, "ms")
START = np.datetime64("2024-03-01T00:00", "ms")


def hours(*numbers: float) -> Any:
    return START + (np.array(numbers) * 3_600_000).astype("timedelta64[ms]")


def bars(rows: list[Row]) -> pa.Table:
    """A long table from (symbol, hour, close)."""
    return pa.table(
        {
            "ts": pa.array(hours(*(row[1] for row in rows)), pa.timestamp("ms", "UTC")),
            "symbol": [row[0] for row in rows],
            "close": pa.array([row[2] for row in rows], pa.float32()),
        }
    )


GOOD: list[Row] = [(name, hour, 100.0 + hour) for name in ("BTC", "ETH") for hour in range(6)]


def write(folder: Path, rows: list[Row]) -> Path:
    path = folder / "prices.parquet"
    parquet.write_table(bars(rows), path)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "feather", "csv"])
def test_load_prices__the_same_from_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"prices.{suffix}"
    writer = {"parquet": parquet.write_table, "feather": feather.write_feather, "csv": csv.write_csv}[suffix]
    writer(bars(GOOD), path)
    prices = load_prices(path, ["ETH", "BTC"])
    assert prices.assets == ("ETH", "BTC")
    assert prices.step == timedelta(hours=1)
    np.testing.assert_array_equal(prices.close, np.column_stack([np.arange(100.0, 106.0)] * 2))
    assert prices.start == datetime(2024, 3, 1, tzinfo=UTC)
    assert prices.end == datetime(2024, 3, 1, 6, tzinfo=UTC)
    assert prices.sources[0].file == path.name
    np.testing.assert_allclose(prices.log_returns()[0], np.log(101.0 / 100.0))


@pytest.mark.parametrize("unit", [1, 1000])
def test_load_prices__whole_numbers_are_seconds_or_milliseconds(tmp_path: Path, unit: int) -> None:
    seconds = [1_709_251_200 + 3600 * hour for hour in range(4)]
    table = pa.table(
        {"timestamp": [unit * s for s in seconds], "pair": ["BTC/USDT:USDT"] * 4, "close": [1, 2, 3, 4]}
    )
    csv.write_csv(table, tmp_path / "x.csv")
    assert load_prices(tmp_path / "x.csv", ["BTC"]).start == datetime(2024, 3, 1, tzinfo=UTC)


def test_load_prices__a_folder_as_freqtrade_keeps_it(tmp_path: Path) -> None:
    times = pa.array(hours(0, 1, 2), pa.timestamp("ms", "UTC"))
    for name, first in (("BTC", 10.0), ("ETH", 20.0)):
        table = pa.table({"date": times, "open": [1.0] * 3, "close": [first, first + 1, first + 2]})
        feather.write_feather(table, tmp_path / f"{name}_USDT_USDT-1h-futures.feather")
        feather.write_feather(table, tmp_path / f"{name}_USDT_USDT-1h-mark.feather")
        feather.write_feather(table, tmp_path / f"{name}_USDT_USDT-8h-funding_rate.feather")
    prices = load_prices(tmp_path, ["BTC", "ETH"])
    np.testing.assert_array_equal(prices.close, [[10, 20], [11, 21], [12, 22]])
    assert len(prices.sources) == 2
    with pytest.raises(DataError, match="one file whose name begins with it"):
        load_prices(tmp_path, ["BTC", "SOL"])


def test_load_prices__missing_bars_stay_missing(tmp_path: Path) -> None:
    rows = [row for row in GOOD if row[:2] != ("ETH", 3)]
    rows[1] = ("BTC", 1, None)
    prices = load_prices(write(tmp_path, rows), ["BTC", "ETH"])
    missing = np.isnan(prices.close)
    assert np.argwhere(missing).tolist() == [[1, 0], [3, 1]]
    # one missing price costs the return into it and the one out of it
    assert np.isnan(prices.log_returns()).sum(axis=0).tolist() == [2, 2]


def test_load_prices__window(tmp_path: Path) -> None:
    rows = [row for row in GOOD if row[:2] != ("ETH", 0)]
    path = write(tmp_path, rows)
    common = load_prices(path, ["BTC", "ETH"])
    assert common.start == datetime(2024, 3, 1, 1, tzinfo=UTC)
    cut = load_prices(path, ["BTC", "ETH"], datetime(2024, 3, 1, 1, 30), datetime(2024, 3, 1, 5))
    assert (cut.start.hour, cut.end.hour) == (2, 5)
    with pytest.raises(DataError) as refused:
        load_prices(path, ["BTC", "ETH"], datetime(2024, 3, 1), datetime(2024, 3, 2, tzinfo=UTC))
    assert len(refused.value.problems) == 2
    with pytest.raises(DataError, match="several bars"):
        load_prices(path, ["BTC", "ETH"], datetime(2024, 3, 1, 5))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({1: ("BTC", 0, 5.0)}, "same time twice"),
        ({1: ("BTC", 2, 5.0), 2: ("BTC", 1, 5.0)}, "a time before the last"),
        ({1: ("BTC", 1, 0.0)}, r"row 2 .*\n.*above zero\n.*a price of 0"),
        ({1: ("BTC", 1, -3.0)}, "a price of -3"),
        ({1: ("BTC", 1, np.inf)}, "infinity"),
        ({1: ("BTC", 1.5, 5.0)}, "on one grid"),
    ],
)
def test_load_prices__refuses_bad_rows(tmp_path: Path, changed: dict[int, Row], message: str) -> None:
    rows = [changed.get(number, row) for number, row in enumerate(GOOD)]
    with pytest.raises(DataError, match=message):
        load_prices(write(tmp_path, rows), ["BTC", "ETH"])


def ranged(path: Path, **changed: tuple[int, float | None]) -> Path:
    """A file of one asset's bars with highs and lows, one value of a column changed."""
    columns = {"close": [10.0, 11.0, 12.0], "high": [12.0, 12.0, 13.0], "low": [9.0, 11.0, 10.0]}
    values: dict[str, list[float | None]] = {key: [*column] for key, column in columns.items()}
    for key, (row, value) in changed.items():
        values[key][row] = value
    times = pa.array(hours(0, 1, 2), pa.timestamp("ms", "UTC"))
    parquet.write_table(pa.table({"ts": times, "symbol": ["BTC"] * 3, **values}), path / "x.parquet")
    return path / "x.parquet"


def test_load_prices__highs_and_lows_where_there_are_both(tmp_path: Path) -> None:
    prices = load_prices(ranged(tmp_path, high=(1, None)), ["BTC"])
    assert prices.high is not None
    assert prices.low is not None
    np.testing.assert_array_equal(prices.high, [[12.0], [np.nan], [13.0]])
    np.testing.assert_array_equal(prices.low, [[9.0], [11.0], [10.0]])
    assert load_prices(write(tmp_path, GOOD), ["BTC"]).low is None
    table = parquet.read_table(tmp_path / "x.parquet").drop_columns("high")
    parquet.write_table(table, tmp_path / "lows.parquet")
    assert load_prices(tmp_path / "lows.parquet", ["BTC"]).low is None


@pytest.mark.parametrize(
    "changed",
    [{"low": (1, 12.5)}, {"low": (0, 0.0)}, {"high": (2, 11.0)}, {"high": (2, np.inf)}, {"close": (0, 8.9)}],
)
def test_load_prices__refuses_bars_that_contradict_themselves(
    tmp_path: Path, changed: dict[str, tuple[int, float]]
) -> None:
    ((row, _),) = changed.values()
    with pytest.raises(DataError, match=rf"row {row + 1} .*\n.*low <= close <= high"):
        load_prices(ranged(tmp_path, **changed), ["BTC"])


def test_load_prices__refuses_highs_that_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("ts,symbol,close,high,low\n2024-03-01T00:00:00Z,BTC,5,up,4\n")
    with pytest.raises(DataError, match="column high"):
        load_prices(path, ["BTC"])


def test_load_prices__reports_all_problems_at_once(tmp_path: Path) -> None:
    rows = [*GOOD]
    rows[1], rows[8] = ("BTC", 1, -1.0), ("ETH", 1, 7.0)
    with pytest.raises(DataError) as refused:
        load_prices(write(tmp_path, rows), ["BTC", "ETH"])
    assert len(refused.value.problems) == 2


def test_load_prices__refuses_what_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(DataError, match="did you mean `ETH`"):
        load_prices(path, ["BTC", "ETHH"])
    with pytest.raises(DataError, match="nothing there"):
        load_prices(tmp_path / "other.parquet", ["BTC"])
    with pytest.raises(DataError, match="BTC twice"):
        load_prices(path, ["BTC", "BTC"])
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="a readable file"):
        load_prices(tmp_path / "broken.parquet", ["BTC"])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"a file of type \.txt"):
        load_prices(tmp_path / "notes.txt", ["BTC"])


def test_load_prices__refuses_columns_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("when,symbol,last\n2024-03-01T00:00:00Z,BTC,5\n")
    with pytest.raises(DataError) as refused:
        load_prices(path, ["BTC"])
    assert [problem.got for problem in refused.value.problems] == ["columns when, symbol, last"] * 2
    path.write_text("ts,symbol,close\nyesterday,BTC,high\n")
    with pytest.raises(DataError) as refused:
        load_prices(path, ["BTC"])
    assert [problem.expected for problem in refused.value.problems] == ["times in every row", "numbers"]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ([0, 8, 16, 24], [8, 8, 8, 8]),
        ([0, 4, 8], [4, 4, 4]),
        ([0, 8, 16, 24, 28, 32, 36], [8, 8, 8, 8, 4, 4, 4]),  # the interval was cut
        ([0, 4, 8, 12, 20, 28, 36], [4, 4, 4, 4, 8, 8, 8]),  # and lengthened
        ([0, 8, 16, 32, 40, 48], [8, 8, 8, 8, 8, 8]),  # one settlement is missing
        ([0, 1, 2, 3, 333, 334, 335], [1, 1, 1, 1, 1, 1, 1]),  # two weeks are missing
    ],
)
def test_infer_intervals__each_from_its_own_gap(at: list[float], expected: list[int]) -> None:
    assert (infer_intervals(hours(*at)) / HOUR).tolist() == expected


def test_infer_intervals__clocks_are_off_by_milliseconds() -> None:
    times = hours(0, 8, 16) + np.array([0, 7, 2], "timedelta64[ms]")
    assert (infer_intervals(times) / HOUR).tolist() == [8, 8, 8]


def test_annualised__rate_over_the_bars_it_was_paid_for() -> None:
    settlements = Settlements(
        hours(8, 12, 40), np.array([0.0008, 0.0008, 0.0001]), np.array([8, 4, 8]) * HOUR
    )
    opens = hours(-1, 0, 7, 8, 11, 12, 31, 32, 39, 40)
    rates = settlements.annualised(opens, timedelta(hours=1)) / 8760.0
    nan = np.nan
    np.testing.assert_allclose(
        rates, [nan, 0.0001, 0.0001, 0.0002, 0.0002, nan, nan, 0.0000125, 0.0000125, nan], rtol=1e-9
    )


def test_annualised__bars_longer_than_the_interval() -> None:
    settlements = Settlements(
        hours(8, 16, 24), np.array([0.0001, 0.0002, 0.0006]), np.array([8, 8, 8]) * HOUR
    )
    assert settlements.annualised(hours(0), timedelta(days=1)) == pytest.approx(0.0009 * 365.0)


def test_load_funding__intervals_of_each_asset(tmp_path: Path) -> None:
    path = tmp_path / "funding.csv"
    lines = [f"2024-03-01T{hour:02d}:00:00Z,BTC,0.0001" for hour in (0, 8, 16)]
    lines += [f"2024-03-01T{hour:02d}:00:00Z,ENA,0.0001" for hour in (0, 4, 8)]
    path.write_text("\n".join(["ts,symbol,rate", *lines]))
    funding = load_funding(path, ["BTC", "ENA"])
    assert {name: int(s.intervals[-1] / HOUR) for name, s in funding.settlements.items()} == {
        "BTC": 8,
        "ENA": 4,
    }
    rates = [s.annualised(hours(7), timedelta(hours=1))[0] for s in funding.settlements.values()]
    assert rates == pytest.approx([0.0001 * 1095, 0.0001 * 2190])


def test_load_funding__refuses_a_single_settlement(tmp_path: Path) -> None:
    path = tmp_path / "funding.csv"
    path.write_text("ts,symbol,rate\n2024-03-01T00:00:00Z,BTC,0.0001\n")
    with pytest.raises(DataError, match="at least two settlements"):
        load_funding(path, ["BTC"])
