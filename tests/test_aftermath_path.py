"""Paths for the oracle of what follows a breach: what falls at the start of a step is the simulation's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.aftermath_cases import case, short_b
from tests.aftermath_path import path_of, paths_of


def test_paths_of__in_a_still_market_prices_are_what_fell() -> None:
    shocks = [{"effect": "shock", "moves": {"A": -0.1, "B": 0.2}, "at": at} for at in ("0s", "3h")]
    event = {"effect": "event", "up": {"all": 0.1}, "down": {"A": -0.3}, "spread": 0.5, "at": "5h"}
    plan = case(positions=[short_b(), short_b() | {"market": "A-USD"}], effects=[*shocks, event])
    paths = paths_of(plan, plan.scenarios[1], 62, 4, starts=True)  # over the edge of a block of 64
    for path in paths:
        np.testing.assert_allclose(path.before, path.price, rtol=1e-12)
        assert np.flatnonzero(path.looks).tolist() == [0, 3, 5]
        assert path.price[0].tolist() == pytest.approx([90, 120])
    assert len({round(path.price[5, 0], 9) for path in paths}) == 4


def test_path_of__looks_at_as_of_alone_where_closes_are_watched() -> None:
    plan = case(effects=[{"effect": "shock", "moves": {"A": -0.1}, "at": "3h"}])
    path = path_of(plan, plan.scenarios[1], 5)
    assert np.flatnonzero(path.looks).tolist() == [0]
    assert path.before[3] == pytest.approx([90])
    assert not path.rate.any()
