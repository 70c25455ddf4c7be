"""Durations and times as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from pipeline.units import format_duration, parse_duration, parse_instant


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("4h", 14_400), ("7d", 604_800), ("0h", 0), (0, 0)]
)
def test_parse_duration__units(text: object, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "h", "1", "1.5h", "1 h", "1w", "-1h", "1h30m", 3600, True, None, "9" * 12 + "d", timedelta(0.5e-6)],
)
def test_parse_duration__refuses(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_duration(text)


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_format_duration__reads_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


def test_format_duration__largest_unit() -> None:
    assert [format_duration(timedelta(seconds=s)) for s in (0, 90, 5400, 86_400)] == [
        "0s",
        "90s",
        "90m",
        "1d",
    ]


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", 1_700_000_000, None, "0001-01-01T00:00:00+23:00"])
def test_parse_instant__refuses(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_instant(text)
