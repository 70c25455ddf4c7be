from __future__ import annotations

import pytest

from pipeline.dydx.errors import DydxError
from pipeline.dydx.tier import Tier

SCALED = Tier(200_000, 500_000, 1_000_000, 2_000_000)


def test_maintenance_margin__rounds_up_twice() -> None:
    # 11 x 10 % = 1.1 -> 2, 2 x 60 % = 1.2 -> 2; rounded once, 0.66 would give 1
    assert Tier(100_000, 600_000).maintenance_margin(11) == 2


def test_maintenance_margin__ignores_open_interest() -> None:
    assert SCALED.maintenance_margin(1_000_000) == 100_000
    assert SCALED.initial_margin(1_000_000, 2_000_000) == 1_000_000


@pytest.mark.parametrize(
    ("open_interest", "ppm"),
    [
        (1_000_000, 200_000),
        (1_000_001, 200_000),  # 0.8 ppm is floored away
        (1_000_002, 200_001),
        (1_999_999, 999_999),
        (2_000_000, 1_000_000),
        (9_000_000, 1_000_000),
    ],
)
def test_effective_initial_margin_ppm__whole_ppm(open_interest: int, ppm: int) -> None:
    assert SCALED.effective_initial_margin_ppm(open_interest) == ppm


def test_effective_initial_margin_ppm__no_upper_cap() -> None:
    assert Tier(200_000, 500_000, 0, 0).effective_initial_margin_ppm(10**18) == 200_000


@pytest.mark.parametrize(("custom", "margin"), [(300_000, 600_000), (700_000, 700_000)])
def test_initial_margin__custom_fraction_only_raises(custom: int, margin: int) -> None:
    assert SCALED.initial_margin(1_000_000, 1_500_000, custom) == margin


def test_initial_margin__rounds_up() -> None:
    assert Tier(100_000, 500_000).initial_margin(1, 0) == 1


def test_funding_clamp_ppm__maintenance_is_floored_first() -> None:
    # 333,333 x 0.5 = 166,666.5 -> 166,666; 2 x 166,667
    assert Tier(333_333, 500_000).funding_clamp_ppm(2_000_000) == 333_334


def test_maintenance_margin_ppm__refuses_a_fraction_above_one() -> None:
    with pytest.raises(DydxError, match="exceeds one"):
        _ = Tier(100_000, 1_000_001).maintenance_margin_ppm
