"""Pictures stand alone, are the same each time, and are readable on any page."""

from xml.etree import ElementTree

from pictures.canvas import PAPER, open_sheet, svg_text
from tests.pictures.shapes import NAME, words_of


def draw(name: str = "a < b") -> str:
    with open_sheet(2.0) as sheet:
        axes = sheet.subplots()
        axes.plot([0.0, 1.0], [0.123456, 1.0])
        axes.set_title("two points")
        return svg_text(sheet, name, "from one to the other & back")


def test_svg_text__is_a_file_of_its_own_with_words_for_those_who_cant_see_it():
    root = ElementTree.fromstring(draw().encode())
    assert root.tag == f"{NAME}svg"
    assert root.get("role") == "img"
    assert root.findtext(f"{NAME}title") == "a < b"
    assert root.findtext(f"{NAME}desc") == "from one to the other & back"
    assert "two points" in words_of(draw())


def test_svg_text__brings_its_own_background():
    first = next(ElementTree.fromstring(draw().encode()).iter(f"{NAME}path"))
    assert first.get("style") == f"fill: {PAPER}"
    assert " ".join(first.get("d", "").split()) == "M 0 144 L 532.8 144 L 532.8 0 L 0 0 z"


def test_svg_text__is_the_same_bytes_each_time_and_says_no_date():
    assert draw() == draw()
    assert "<dc:date>" not in draw()
