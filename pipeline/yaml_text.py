"""YAML and JSON text as plain data: bounded in size and depth, plain types, a line number for every path."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.errors import PlanError, Problem
from pipeline.faults import Loc, show

MAX_BYTES = 4_000_000
MAX_DEPTH = 32
MAX_VALUES = 200_000  # with every alias counted at its full size

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]{0,38})")
# as YAML 1.1 has it: a point, and a signed exponent if any; so 1e5 is text
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+][0-9]+)?")
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}


class Text(NamedTuple):
    """A document read from text: its data, the line (from 1) of the value at each path, keys given twice."""

    content: Any
    lines: dict[Loc, int]
    problems: list[Problem]


class _Frame:
    """A mapping or list that is being read."""

    def __init__(
        self, loc: Loc, container: dict[str, Any] | list[Any], anchor: str | None, before: int
    ) -> None:
        self.loc, self.container, self.anchor, self.before = loc, container, anchor, before
        self.key: str | None = None


def load_text(path: Path) -> Text:
    """The document in a YAML or JSON (`.json`) file; PlanError where it can't be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PlanError(
            [Problem(str(path), "a file that can be read", reason, "check the path and its rights")]
        ) from None
    except ValueError:
        raise PlanError(
            [Problem(repr(str(path)), "the path of a file", "a path with a null byte", "check the path")]
        ) from None
    if len(raw) > MAX_BYTES:
        raise PlanError(
            [Problem(str(path), f"at most {MAX_BYTES:,} bytes", "more", "split the document into files")]
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"a byte that isn't, at offset {error.start}"
        raise PlanError([Problem(str(path), "UTF-8 text", got, "save the file as UTF-8")]) from None
    return read_text(text, str(path), is_json=path.suffix == ".json")


def read_text(text: str, name: str, *, is_json: bool = False) -> Text:
    """The document in a text that messages call `name`; PlanError where it is malformed, deep or large."""
    if is_json:
        return _read_json(text, name)
    try:
        return _Reader(name).read(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = name if mark is None else f"{name}: line {mark.line + 1}, column {mark.column + 1}"
        got = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "something else")
        raise PlanError(
            [Problem(where, "well-formed YAML", got, "mend the text there (indentation, brackets, quotes)")]
        ) from None


def _read_json(text: str, name: str) -> Text:
    """JSON by its own rules (1e5 is a number there), without line numbers."""
    problems: list[Problem] = []

    def take(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                problems.append(Problem(name, "each key once", f"{show(key)} again", "rename or remove one"))
            seen.add(key)
        return dict(pairs)

    try:
        return Text(json.loads(text, object_pairs_hook=take), {}, problems)
    except (ValueError, RecursionError) as error:
        raise PlanError([Problem(name, "well-formed JSON", str(error), "mend the text there")]) from None


class _Reader:
    """One pass over the parser's events, without recursion."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Loc, int] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.stack: list[_Frame] = []
        self.problems: list[Problem] = []
        self.count = 0
        self.documents = 0
        self.result: Any = None

    def read(self, text: str) -> Text:
        for event in yaml.parse(text, Loader=_LOADER):
            mark = event.start_mark
            line = 1 if mark is None else mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    self._fail(line, "one document", "a second one, after `---`", "keep one document a file")
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event, line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                frame = self.stack.pop()
                if frame.anchor is not None:
                    self.anchors[frame.anchor] = (frame.container, self.count - frame.before)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event, line)
        return Text(self.result, self.lines, self.problems)

    def _fail(self, line: int, expected: str, got: str, fix: str) -> None:
        raise PlanError([Problem(f"{self.name}: line {line}", expected, got, fix)])

    def _open(self, event: Any, line: int) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self._fail(line, f"at most {MAX_DEPTH} levels of nesting", "more", "flatten the document")
        if event.tag is not None and not event.implicit:
            self._fail(line, "plain mappings and lists", f"the tag {event.tag}", "remove the tag")
        container: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        before = self.count
        loc = self._place(container, line, 1)
        self.stack.append(_Frame(loc, container, event.anchor, before))

    def _scalar(self, event: Any, line: int) -> None:
        if event.tag not in (None, "!"):
            self._fail(line, "plain values", f"the tag {event.tag}", "remove the tag")
        if self._wants_key():
            self._take_key(event.value, line)
            return
        plain = event.style is None or event.style == ""
        value = self._resolve(event.value) if plain and event.tag is None else event.value
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self._place(value, line, 1)

    def _alias(self, event: Any, line: int) -> None:
        if event.anchor not in self.anchors:
            self._fail(
                line, "an anchor that ends before its alias", f"*{event.anchor}", "write the value out"
            )
        value, size = self.anchors[event.anchor]
        if isinstance(value, dict | list) and len(self.stack) + _depth(value) > MAX_DEPTH:
            self._fail(
                line, f"at most {MAX_DEPTH} levels of nesting", f"more, by *{event.anchor}", "write it out"
            )
        if self._wants_key():
            self._fail(line, "keys that are text", f"*{event.anchor}", "write the key out")
        self._place(value, line, size)

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].container, dict) and self.stack[-1].key is None

    def _take_key(self, key: str, line: int) -> None:
        frame = self.stack[-1]
        if key in frame.container:
            first = self.lines[(*frame.loc, key)]
            got = f"{show(key)} again (first on line {first})"
            self.problems.append(
                Problem(f"{self.name}: line {line}", "each key once", got, "rename or remove one")
            )
        frame.key = key

    def _place(self, value: Any, line: int, size: int) -> Loc:
        """Put a value where the document stands, and return its path."""
        self.count += size
        if self.count > MAX_VALUES:
            self._fail(
                line, f"at most {MAX_VALUES:,} values, aliases written out", "more", "shorten the document"
            )
        if not self.stack:
            self.result = value
            self.lines[()] = line
            return ()
        frame = self.stack[-1]
        if isinstance(frame.container, list):
            loc: Loc = (*frame.loc, len(frame.container))
            frame.container.append(value)
        elif frame.key is None:
            self._fail(
                line, "keys that are text", "a mapping or a list as a key", "check the braces and brackets"
            )
            raise AssertionError
        else:
            loc = (*frame.loc, frame.key)
            frame.container[frame.key] = value
            frame.key = None
        self.lines[loc] = line
        return loc

    def _resolve(self, text: str) -> Any:
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return int(text.replace("_", ""))
        if _FLOAT.fullmatch(text):
            return float(text.replace("_", ""))
        if text.lower() in _SPECIAL:
            return float(_SPECIAL[text.lower()])
        return text


def _depth(value: Any) -> int:
    """Levels of nesting of data that holds itself nowhere and is at most MAX_DEPTH deep."""
    if not isinstance(value, dict | list):
        return 0
    items = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, items), default=0)
