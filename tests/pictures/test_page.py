"""Blocks between marks are rewritten, all or none; the fingerprint is that of what is drawn."""

import pytest

from pictures.page import fingerprint, read_block, rewrite
from pipeline.errors import DataError
from pipeline.model import MarketModel
from tests.pipeline.backtest.markets import known_model

PAGE = "before\n<!-- one -->\nold\n\nlines\n<!-- /one -->\nbetween\n<!-- two -->\n<!-- /two -->\nafter\n"


def test_rewrite__replaces_what_stands_between_marks_and_nothing_else():
    found = rewrite(PAGE, {"one": r"new \1 | line", "two": "second"})
    assert found == (
        "before\n<!-- one -->\nnew \\1 | line\n<!-- /one -->\n"
        "between\n<!-- two -->\nsecond\n<!-- /two -->\nafter\n"
    )
    assert rewrite(found, {"one": r"new \1 | line", "two": "second"}) == found


def test_read_block__is_what_rewrite_wrote():
    assert read_block(rewrite(PAGE, {"two": "a\n\nb"}), "two") == "a\n\nb"
    assert read_block(PAGE, "two") == ""
    assert read_block(PAGE, "three") == ""


def test_rewrite__names_all_marks_that_are_missing():
    with pytest.raises(DataError) as error:
        rewrite(PAGE, {"one": "", "three": "", "four": ""})
    assert "three" in str(error.value)
    assert "four" in str(error.value)
    assert "<!-- one" not in str(error.value)


def test_fingerprint__changes_with_what_is_drawn_alone():
    document = known_model().document()
    before = fingerprint(known_model())
    assert len(before) == 16
    document["regimes"]["calm"]["funding"] = {"BTC": 0.1, "ETH": 0.1}
    document["regimes"]["wild"]["funding"] = {"BTC": 0.1, "ETH": 0.1}
    assert fingerprint(MarketModel.model_validate(document)) == before
    document["regimes"]["calm"]["volatility"]["BTC"] += 0.0001
    assert fingerprint(MarketModel.model_validate(document)) != before
    assert fingerprint(known_model(stay=0.97)) != before
