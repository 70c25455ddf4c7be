"""What history says about the size of each shipped storm, from files at hand: figures for `severity:`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


class Past:
    """Market history by asset, hourly, UTC."""

    def __init__(self, folder: Path) -> None:
        self.perp = pd.read_parquet(folder / "perp_1h.parquet")
        self.spot = pd.read_parquet(folder / "spot_1h.parquet")
        self.mark = pd.read_parquet(folder / "mark_1h.parquet")
        self.collapse = pd.read_parquet(folder / "collapse_1h.parquet")
        self.funding = pd.read_parquet(folder / "funding.parquet")
        self.dvol = pd.read_parquet(folder / "dvol_btc_1h.parquet").set_index("ts")

    def of(self, table: str, asset: str) -> pd.DataFrame:
        """The rows of one asset."""
        rows: pd.DataFrame = getattr(self, table)
        return rows[rows["symbol"] == asset].set_index("ts")


def dated(series: pd.Series[Any], pick: str) -> str:
    """The least or greatest value in percent, and when: `-18.5 % (2020-03-12 10:00)`."""
    at = getattr(series, f"idx{pick}")()
    return f"{100 * series[at]:+.1f} % ({at:%Y-%m-%d %H:%M})"


def find_severities(folder: Path) -> dict[str, str]:
    """The figures, each with its date, by a name of its own."""
    past = Past(folder)
    spot, mark = past.of("spot", "BTC"), past.of("mark", "BTC")
    close = spot["close"].astype(float)
    hour, day = close.pct_change(fill_method=None), close.pct_change(24, fill_method=None)
    low = spot["low"].astype(float) / spot["open"].astype(float) - 1.0
    in_hours = {h: close.pct_change(h, fill_method=None) for h in (2, 6)}
    in_days = {d: close.pct_change(24 * d, fill_method=None) for d in (3, 7, 30)}
    returns = np.log(close).diff()
    week = returns.rolling(168).std() * np.sqrt(8760)
    found = {
        "window": f"{close.index[0]:%Y-%m-%d} to {close.index[-1]:%Y-%m-%d}",
        "worst_hour": dated(hour, "min"),
        "worst_low_in_hour": dated(low, "min"),
        "best_hour": dated(hour, "max"),
        "worst_2_hours": dated(in_hours[2], "min"),
        "worst_6_hours": dated(in_hours[6], "min"),
        "worst_day": dated(day, "min"),
        "best_day": dated(day, "max"),
        "worst_3_days": dated(in_days[3], "min"),
        "worst_week": dated(in_days[7], "min"),
        "best_week": dated(in_days[7], "max"),
        "worst_month": dated(in_days[30], "min"),
        "share_of_days_below_-10": f"{100 * (day < -0.10).mean():.2f} %",
        "share_of_days_below_-20": f"{100 * (day < -0.20).mean():.3f} %",
        "share_of_days_below_-30": f"{100 * (day < -0.30).mean():.3f} %",
        "wildest_week_volatility": dated(week, "max"),
        "median_week_volatility": f"{100 * week.median():.0f} %",
        "highest_dvol": f"{past.dvol['high'].max():.0f} ({past.dvol['high'].idxmax():%Y-%m-%d %H:%M})",
        "median_dvol": f"{past.dvol['close'].median():.0f}",
        "mark_low_in_hour": dated(
            mark["low"].astype(float) / mark["close"].shift().astype(float) - 1.0, "min"
        ),
    }
    # how far it came back within a day of the worst hour's low
    at = low.idxmin()
    bottom = float(spot["low"][at])
    after = float(close[at + pd.Timedelta(hours=24)])
    found["back_a_day_after_worst_low"] = f"{100 * (after / bottom - 1):+.1f} %"
    funding = past.of("funding", "BTC")["rate"]
    found["lowest_funding"] = f"{1e4 * funding.min():+.1f} bp ({funding.idxmin():%Y-%m-%d %H:%M})"
    found["highest_funding"] = f"{1e4 * funding.max():+.1f} bp ({funding.idxmax():%Y-%m-%d %H:%M})"
    found["median_funding"] = f"{1e4 * funding.median():+.2f} bp"
    negative = (funding < 0).astype(int)
    runs = negative.groupby((negative == 0).cumsum()).cumsum()
    found["longest_negative_funding"] = f"{runs.max()} settlements (to {runs.idxmax():%Y-%m-%d})"
    for coin in ("USDC", "UST", "BUSD"):
        lows = past.of("collapse", coin)["low"].astype(float)
        found[f"lowest_{coin}"] = f"{lows.min():.3f} ({lows.idxmin():%Y-%m-%d %H:%M})"
    usdc = past.of("collapse", "USDC")["close"].astype(float)
    below = usdc[(usdc < 0.99) & (usdc.index >= "2023-03-01") & (usdc.index < "2023-04-01")]
    found["usdc_below_0.99"] = (
        f"{len(below)} hours ({below.index[0]:%Y-%m-%d %H:%M} to {below.index[-1]:%H:%M %d})"
    )
    wide = past.spot.pivot(index="ts", columns="symbol", values="close").astype(float)
    hourly = np.log(wide).diff()
    found |= {f"correlation_{k}": v for k, v in find_correlations(hourly).items()}
    falls = wide / wide.shift(24) - 1.0
    worst = falls.drop(columns=["BTC", "ETH"]).median(axis=1)
    found["median_alt_worst_day"] = dated(worst, "min")
    return found


def find_correlations(hourly: pd.DataFrame) -> dict[str, str]:
    """Mean pairwise correlation of hourly returns, of all the spot assets there are, in windows of a day."""
    held = hourly[hourly.index >= "2020-10-01"]
    overall = held.corr().to_numpy()
    pairs = np.triu_indices(len(overall), 1)
    daily = {
        day: np.nanmean(rows.corr().to_numpy()[pairs]) for day, rows in held.groupby(held.index.floor("D"))
    }
    series = pd.Series(daily)
    return {
        "overall": f"{np.nanmean(overall[pairs]):.2f}",
        "highest_day": f"{series.max():.2f} ({series.idxmax():%Y-%m-%d})",
        "lowest_day": f"{series.min():.2f} ({series.idxmin():%Y-%m-%d})",
        "days_5_percent": f"{series.quantile(0.05):.2f}",
        "days_95_percent": f"{series.quantile(0.95):.2f}",
    }
