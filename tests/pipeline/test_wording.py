"""Numbers in words: no bare zero, no more digits than the interval supports."""

from __future__ import annotations

import re
from datetime import timedelta
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import counted
from pipeline.wording import (
    average,
    book,
    cell,
    cents,
    chance,
    duration,
    money,
    multiple,
    percent,
    price,
    ratio,
    share,
    size,
)


def words(successes: int, trials: int) -> tuple[str, str]:
    low, high = counted(successes, trials)
    return chance(successes / trials, float(low), float(high), trials)[:2]


def test_chance__digits_follow_the_interval() -> None:
    assert words(6_200, 200_000) == ("3.10 %", "[3.02, 3.18]")
    assert words(31, 1_000) == ("3.1 %", "[2.2, 4.4]")
    assert words(3, 10) == ("30 %", "[11, 60]")
    assert words(2, 200_000) == ("0.0010 %", "[0.0003, 0.0036]")


def test_chance__zero_is_a_count_with_a_bound() -> None:
    assert words(0, 200_000) == ("0 of 200,000", "below 0.0018 %")
    low, high = counted(0, 200_000)
    assert chance(0, float(low), float(high), 200_000).sentence == "0 of 200,000 paths (below 0.0018 %)"


def test_chance__every_path_is_a_count_with_a_bound() -> None:
    assert words(200_000, 200_000) == ("200,000 of 200,000", "above 99.9982 %")


def test_chance__known_at_the_start() -> None:
    assert chance(1, 1, 1, 200_000).sentence == "already at as_of"


def test_chance__model_beside_the_simulation() -> None:
    said = chance(0.031, 0.0302, 0.0318, 200_000, (0.021, 0.0455))
    assert said.model == "model [2.1, 4.5]"
    assert said.sentence == "3.10 % [3.02, 3.18], model [2.1, 4.5]"
    assert chance(0.031, 0.0302, 0.0318, 200_000).sentence == "3.10 % [3.02, 3.18]"
    assert chance(0.031, 0.0302, 0.0318, 200_000, (nan, nan)).sentence == "3.10 % [3.02, 3.18]"
    assert chance(0.001, 0.0009, 0.0011, 200_000, (2e-6, 0.3)).model == "model [0.0002, 30.0000]"


@given(st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_chance__never_says_zero_or_certain(pair: tuple[int, int]) -> None:
    k, n = pair
    low, high = counted(k, n)
    number = chance(k / n, float(low), float(high), n)
    if not number.counted:
        assert not re.fullmatch(r"0(\.0*)? %|100(\.0*)? %", number.estimate)
        assert float(number.estimate[:-2]) == pytest.approx(100 * k / n, rel=0.1)
    assert cell(k / n, float(low), float(high)) not in ("0", "0.0", "0.00", "100", "100.0")


def test_cell__is_short() -> None:
    assert cell(0, 0, 1.8444e-5) == "<0.0018"
    assert cell(1, 1, 1) == "now"
    assert cell(0.031, 0.0302, 0.0318) == "3.10"
    assert cell(1, 0.99998156, 1) == ">99.9982"


def test_words__for_ratios_money_and_leverage() -> None:
    assert (percent(0.01), percent(0.0005), percent(0.3)) == ("1 %", "0.05 %", "30 %")
    assert (share(0.2871), share(0.0), share(inf)) == ("28.71 %", "none", "no equity")
    assert (multiple(4.126), multiple(inf), multiple(1234.5)) == ("4.13x", "no equity", "1,234x")
    assert (ratio(20.188), ratio(nan)) == ("20.19", "none")
    assert (money(-1234.5), money(110_550)) == ("−1,234", "110,550")
    assert money(-0.4) == "0"  # what rounding leaves of an account that has nothing left
    assert book(1.5) == "1.5 × book"


def test_words__for_trades() -> None:
    assert (cents(-1234.5), cents(-0.004), cents(0.005001)) == ("−1,234.50", "0.00", "0.01")
    assert (price(61_250), price(154.7), price(0.16512345)) == ("61,250.00", "154.7", "0.165123")
    assert (size(1_400), size(-0.75), size(0), size(1_234_567)) == ("1,400", "−0.75", "0", "1,234,567")
    assert (size(0.0103849123), size(2.656723), size(123_456.7)) == ("0.0103849", "2.65672", "123,457")


@pytest.mark.parametrize(("hours", "text"), [(0.25, "15m"), (1, "1h"), (24, "1d"), (36, "36h"), (168, "7d")])
def test_duration__shortest_exact_form(hours: float, text: str) -> None:
    span = timedelta(hours=hours)
    assert duration(span) == duration(np.timedelta64(span, "ns")) == text


def test_average__never_a_bare_zero_and_as_many_digits_as_the_interval_supports() -> None:
    assert average(0.0, 0.0, nan, 2_048).sentence == "none on 2,048 paths"
    assert average(2.023, 1.9613, 2.0847, 10).sentence == "2.02 [1.96, 2.08]"
    assert average(20.77, 3.8, 37.7, 10).sentence == "21 [4, 38]"
    assert average(12_345.6, 12_000.0, 12_700.0, 10).sentence == "12,346 [12,000, 12,700]"
    assert average(0.045525, 0.04474, 0.04631, 10, in_percent=True).sentence == "4.55 % [4.47, 4.63]"


def test_average__without_an_interval() -> None:
    assert average(0.8498, 0.8498, 0.8498, 10).sentence == "0.850"
    assert average(735.67, nan, nan, 1).sentence == "736"
