"""Where each part of a document came from, so that a fault can be named by file, path, line or row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from pipeline.errors import PlanError, Problem
from pipeline.faults import Fault, Loc, Part
from pipeline.structure import find_faults

P = TypeVar("P", bound=Part)
_PLAIN_KEY = re.compile(r"[\w-]+")


class Origin(NamedTuple):
    """A text: what messages call it, and the line on which the value at each of its paths begins."""

    name: str
    lines: Mapping[Loc, int]

    def where(self, loc: Loc) -> str:
        """`plan.yaml: accounts[1].positions[0].market (line 12)`; of what is missing, its holder's line."""
        line = next((self.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.lines), None)
        place = f"{self.name}: {format_path(loc)}" if loc else self.name
        return place if line is None else f"{place} (line {line})"


class Cells(NamedTuple):
    """A table: what messages call it, and the row and column of each path of the document made from it."""

    name: str
    places: Mapping[Loc, str]

    def where(self, loc: Loc) -> str:
        """`book.csv: row 3, column size`."""
        place = next((self.places[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.places), None)
        return self.name if place is None else f"{self.name}: {place}"


class Moved(NamedTuple):
    """A part that stands elsewhere in the document than where it was written: at `loc` of `origin`."""

    origin: Origin | Cells | Moved
    loc: Loc

    def where(self, loc: Loc) -> str:
        """Where it was written."""
        return self.origin.where((*self.loc, *loc))


Origins = dict[Loc, Origin | Cells | Moved]


def format_path(loc: Loc) -> str:
    """`accounts[1].positions[0].market`; keys that are not plain words stand in brackets and quotes."""
    text = ""
    for key in loc:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{key[:60]!r}]"
    return text


def enclosing(loc: Loc, origins: Origins) -> Moved:
    """The place in the innermost part that holds `loc`."""
    split = next(n for n in range(len(loc), -1, -1) if loc[:n] in origins)
    return Moved(origins[loc[:split]], loc[split:])


def locate(fault: Fault, origins: Origins) -> Problem:
    """The fault as a person reads it, by the origin of the innermost part that holds it."""
    where = enclosing(fault.loc, origins).where(())
    return Problem(where, fault.expected, fault.got, fault.fix)


def read_part(
    part: type[P], document: Any, check: Callable[[dict[str, Any]], Iterable[Fault]], origin: Origin
) -> P:
    """A document as a part; PlanError with everything that is wrong with it."""
    faults = find_faults(part, document, check)
    if faults:
        raise PlanError(locate(fault, {(): origin}) for fault in faults)
    return part.model_validate(document)
