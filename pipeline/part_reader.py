"""Reading the parts that a plan names, from a file beside it or as shipped, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from pipeline.errors import PlanError, Problem
from pipeline.faults import Fault, Loc, nearest, show
from pipeline.origin import Origin, Origins, locate
from pipeline.yaml_text import load_text

_ENDINGS = (".yaml", ".yml", ".json")


class PartReader:
    """Where each part read so far came from, and its problems. Paths are relative to `base`.

    `unread` holds the places of parts that couldn't be read: their problems are told, and nothing more is
    known about them.
    """

    def __init__(self, base: Path, origin: Origin) -> None:
        self.base = base
        self.origins: Origins = {(): origin}
        self.problems: list[Problem] = []
        self.unread: set[Loc] = set()

    def fault(self, fault: Fault) -> None:
        """Note what is wrong with a part that can't be read."""
        self.problems.append(locate(fault, self.origins))
        self.unread.add(fault.loc)

    def failed(self, loc: Loc, error: PlanError) -> None:
        """Note what went wrong in the file of the part at `loc`."""
        self.problems.extend(error.problems)
        self.unread.add(loc)

    def part(
        self,
        loc: Loc,
        value: Any,
        folder: Path,
        *,
        own: Iterable[str] = (),
        later: frozenset[str] = frozenset(),
    ) -> Any:
        """The document that a name or a path stands for, None if there is none; anything else as it is.

        `folder` holds what is shipped, `own` is what else could have been named, `later` isn't shipped yet.
        """
        if not isinstance(value, str):
            return value
        if value.endswith(_ENDINGS) or "/" in value:
            return self.file(loc, self.base / value)
        shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
        if value in shipped:
            return self.file(loc, shipped[value], shipped[value].name)
        kind = folder.name.removesuffix("s")
        key = f"a key of `{folder.name}`, " if own else ""
        expected = f"{key}a shipped {kind}, a path that ends in .yaml, or the {kind} itself"
        fix = (
            f"`{value}` is not supported yet"
            if value in later
            else nearest(value, dict.fromkeys([*own, *shipped]))
        )
        self.fault(Fault(loc, expected, show(value), fix))
        return None

    def named(self, loc: Loc, value: Any, folder: Path, own: Iterable[str] = ()) -> Any:
        """The part; one that stands in a file and has no name of its own gets that of the file."""
        part = self.part(loc, value, folder, own=own)
        return (
            {"name": Path(value).stem, **part} if isinstance(value, str) and isinstance(part, dict) else part
        )

    def file(self, loc: Loc, path: Path, name: str | None = None) -> Any:
        """What a YAML or JSON file holds; None if it can't be read."""
        try:
            text = load_text(path)
        except PlanError as error:
            return self.failed(loc, error)
        self.problems.extend(text.problems)
        self.origins[loc] = Origin(name or str(path), text.lines)
        return text.content

    def parse(self, loc: Loc, value: Any, parse: Callable[[object], Any]) -> Any:
        """A value as one of `pipeline.units` reads it; None if it can't be."""
        try:
            return parse(value)
        except PydanticCustomError as error:
            words = error.context or {}
            return self.fault(Fault(loc, words["expected"], show(value), words["fix"]))
