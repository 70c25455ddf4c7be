"""Accounts and positions by themselves."""

from __future__ import annotations

import pytest

from pipeline.plan import plan_from_document
from tests.pipeline.documents import tiered_document


@pytest.mark.parametrize(
    ("account", "position", "isolated"),
    [
        ("cross", None, False),
        ("cross", "cross", False),
        ("cross", "isolated", True),
        ("isolated", None, True),
        ("isolated", "isolated", True),
        ("mixed", None, False),
        ("mixed", "isolated", True),
    ],
)
def test_isolates(account: str, position: str | None, isolated: bool) -> None:
    document = tiered_document()
    hedger = document["accounts"][1]
    own = {"collateral": 1_000} if isolated else {}
    hedger["margin"] = account
    hedger["positions"] = [{"market": "ETHUSDT", "size": 5, "entry": 3_000, "margin": position, **own}]
    read = plan_from_document(document).accounts[1]
    assert read.isolates(read.positions[0]) is isolated
