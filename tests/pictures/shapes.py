"""What an SVG picture shows, read back from its text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

NAME = "{http://www.w3.org/2000/svg}"


def words_of(svg: str) -> list[str]:
    """All words drawn, in the order of the file."""
    texts = ElementTree.fromstring(svg.encode()).iter(f"{NAME}text")
    return ["".join(text.itertext()).strip() for text in texts]


def spans_of(svg: str, colour: str, opacity: str = "") -> list[tuple[float, float]]:
    """Left and right ends, in points, of the filled shapes of a colour."""
    style = f"fill: {colour.lower()}" + (f"; opacity: {opacity}" if opacity else "")
    found = []
    for path in ElementTree.fromstring(svg.encode()).iter(f"{NAME}path"):
        if (path.get("style") or "").startswith(style) and path.get("clip-path"):
            x = [float(each) for each in re.findall(r"[ML] (\S+) ", path.get("d") or "")]
            found.append((min(x), max(x)))
    return found


def marks_of(svg: str, colour: str) -> list[tuple[float, float]]:
    """Places, in points, of the filled markers of a colour."""
    return [
        (float(use.get("x") or "nan"), float(use.get("y") or "nan"))
        for use in ElementTree.fromstring(svg.encode()).iter(f"{NAME}use")
        if (use.get("style") or "").startswith(f"fill: {colour.lower()}")
    ]
