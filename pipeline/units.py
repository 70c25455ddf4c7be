"""The quantities of a plan as people write them: durations, times, numbers, and what each can't be."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from pipeline.faults import refuse_value

YEAR = timedelta(days=365)  # volatilities, drifts and funding are annualised on 365 x 24 h
LONGEST = 100 * YEAR
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"([0-9]{1,12})([smhd])")
_DURATION_WORDS = "a duration: a whole number and a unit, such as 15m, 4h or 7d"


def parse_duration(text: object) -> timedelta:
    """`15m`, `4h`, `7d`, `30s`, or a bare 0, as a timedelta of whole seconds; a pydantic error otherwise."""
    if isinstance(text, timedelta):
        if text < timedelta(0) or text.microseconds or text > LONGEST:
            raise refuse_value(_DURATION_WORDS, "whole seconds, not negative, at most 36500d")
        return text
    if type(text) is int and text == 0:
        return timedelta(0)
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise refuse_value(_DURATION_WORDS, "write it as 90m, 1h or 1d")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise refuse_value("a duration of at most 36500d", "write a shorter one")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: `1d` for 24 hours, `90m` for an hour and a half."""
    seconds = round(duration.total_seconds())
    unit = next(unit for unit, size in _SECONDS.items() if seconds % size == 0)
    return f"{seconds // _SECONDS[unit]}{unit}" if seconds else "0s"


def parse_instant(text: object) -> datetime:
    """An ISO 8601 time in UTC; one without an offset is UTC. A pydantic error for anything else."""
    instant = text if isinstance(text, datetime) else None
    if isinstance(text, str):
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            instant = None
    if instant is None:
        raise refuse_value(
            "a UTC time in ISO 8601, such as 2026-05-15T00:00:00Z", "write date and time like that"
        )
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        raise refuse_value("a time between the years 1 and 9999 in UTC", "check the year") from None


def format_instant(instant: datetime) -> str:
    """ISO 8601 with a Z."""
    return instant.isoformat().replace("+00:00", "Z")


def _parse_day(text: object) -> date:
    if isinstance(text, date) and not isinstance(text, datetime):
        return text
    try:
        return date.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        raise refuse_value("a date, such as 2026-03-05", "write year-month-day") from None


def _check_positive(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise refuse_value("a duration above zero", "write one such as 1h")
    return duration


def _check_name(name: str) -> str:
    if not name or len(name) > 100 or name != name.strip() or not name.isprintable():
        raise refuse_value(
            "a name of 1 to 100 printable characters, no blank at its ends", "choose another name"
        )
    return name


def _check_file_name(name: str) -> str:
    if name.startswith(".") or any(sign in name for sign in "/\\:"):
        raise refuse_value(
            "a name that can name a file: no `/`, `\\` or `:` in it, no `.` before it", "choose another name"
        )
    return name


_duration_schema = WithJsonSchema(
    {"type": "string", "pattern": "^[0-9]+[smhd]$", "examples": ["15m", "4h", "7d"]}
)
_format_duration = PlainSerializer(format_duration, return_type=str)

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AfterValidator(_check_positive),
    _format_duration,
    _duration_schema,
]
Delay = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    _format_duration,
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]+[smhd]$"}, {"const": 0}]}),
]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2026-05-15T00:00:00Z"]}),
]
Day = Annotated[
    date, BeforeValidator(_parse_day), WithJsonSchema({"type": "string", "examples": ["2026-03-05"]})
]
Name = Annotated[str, Field(strict=True), AfterValidator(_check_name)]
FileName = Annotated[Name, AfterValidator(_check_file_name)]

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Finite, Field(gt=0)]
NonNegative = Annotated[Finite, Field(ge=0)]
Fraction = Annotated[Finite, Field(ge=0, le=1)]


def _spread(value: Any) -> Any:
    """One number stands for every asset."""
    if isinstance(value, dict):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"all": value}
    fix = "write a number without quotes (YAML reads 1e5 as text: write 100000), or {all: 1, BTC: 2}"
    raise refuse_value("a number, or one per asset", fix)


# a number stands for every asset; the key `all` for every asset without a key of its own
PerAsset = Annotated[
    dict[str, Finite], BeforeValidator(_spread, json_schema_input_type=Finite | dict[str, Finite])
]
NonNegativePerAsset = Annotated[
    dict[str, NonNegative],
    BeforeValidator(_spread, json_schema_input_type=NonNegative | dict[str, NonNegative]),
]
