"""The page and its pictures are those of the shipped model."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pictures import __main__ as command
from pictures.__main__ import MODEL, PAGE, PICTURES, draw_history, draw_model, main, window_of, write
from pictures.page import read_block
from pictures.quotes import quote_model
from pipeline.backtest.bars import load_bars
from pipeline.errors import DataError
from pipeline.model import load_model
from tests.pipeline.backtest.markets import known_model

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[3] / "shared" / "data"))
TEXT = PAGE.read_text(encoding="utf-8")
LARGEST = 150_000  # bytes of a picture
AGAIN = "the model has changed since the page was drawn: make pictures DATA=DIR, then read the page again"


def test_page__figures_are_those_of_the_shipped_model():
    for name, block in quote_model(load_model(MODEL)).items():
        assert read_block(TEXT, name) == block, AGAIN


def test_page__all_blocks_are_filled():
    names = re.findall(r"<!-- ([a-z-]+) -->", TEXT)
    assert len(names) == len(set(names)) == 13
    assert all(read_block(TEXT, name) for name in names)


def test_page__shows_all_pictures_and_they_are_small():
    shown = re.findall(r"!\[[^\]]{20,}\]\(pictures/([a-z-]+\.svg)\)", TEXT)
    assert sorted(shown) == sorted(path.name for path in PICTURES.iterdir())
    for name in shown:
        assert len((PICTURES / name).read_bytes()) < LARGEST, name
        ElementTree.parse(PICTURES / name)


def test_draw_model__pictures_are_those_of_the_shipped_model():
    pictures, _ = draw_model(load_model(MODEL))
    for name, svg in pictures.items():
        # words alone: another version of matplotlib may move a line by a hair
        words = re.findall(r"<text[^>]*>([^<]*)<", svg)
        assert words == re.findall(r"<text[^>]*>([^<]*)<", (PICTURES / f"{name}.svg").read_text()), AGAIN


def test_write__changes_nothing_where_the_page_lacks_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.md"
    page.write_text("<!-- one -->\n<!-- /one -->\n")
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "PICTURES", tmp_path / "pictures")
    with pytest.raises(DataError):
        write(({"a": "<svg/>"}, {"one": "1"}), ({}, {"two": "2"}))
    assert page.read_text() == "<!-- one -->\n<!-- /one -->\n"
    assert not (tmp_path / "pictures").exists()
    write(({"a": "<svg/>"}, {"one": "1"}), ({"b": "<svg></svg>"}, {}))
    assert page.read_text() == "<!-- one -->\n1\n<!-- /one -->\n"
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["a.svg", "b.svg"]


def test_main__bad_input_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "nowhere")])
    assert ended.value.code == 2
    assert "perp_1h.parquet" in capsys.readouterr().err


def test_window_of__a_model_without_one_is_refused():
    with pytest.raises(DataError, match=r"calibration\.window"):
        window_of(known_model())


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="no market history beside the project")
def test_draw_history__gives_the_figures_of_the_page():
    model = load_model(MODEL)
    _, blocks = draw_history(model, load_bars(DATA, model.assets))
    for name, block in blocks.items():
        assert read_block(TEXT, name) == block, AGAIN
