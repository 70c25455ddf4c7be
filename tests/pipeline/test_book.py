"""Accounts and positions by themselves."""

from __future__ import annotations

import pytest

from pipeline.book import Account
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


@pytest.mark.parametrize(
    ("account", "positions", "kind"),
    [
        ("cross", [None, None], "cross"),
        ("cross", [None, "isolated"], "mixed"),
        ("cross", ["isolated", "isolated"], "isolated"),
        ("isolated", [None, None], "isolated"),
        ("mixed", [None, "isolated"], "mixed"),
        ("mixed", [None], "cross"),
        ("isolated", [], "isolated"),
    ],
)
def test_kind__is_what_the_positions_say(account: str, positions: list[str | None], kind: str) -> None:
    held = [
        {"market": f"M{i}", "size": 1.0, "entry": 1.0, "margin": margin, "collateral": 1.0}
        for i, margin in enumerate(positions)
    ]
    made = Account.model_validate({"name": "a", "margin": account, "collateral": {}, "positions": held})
    assert made.kind == kind
