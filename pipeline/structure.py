"""A document against the type it should read as: what is wrong with it, and what can still be judged."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import Tag, ValidationError

from pipeline.faults import LATER, Fault, Loc, Part, nearest, show

MAX_DEPTH = 32

_KINDS = {
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_parsing_size": "a whole number of at most 64 bits",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
}
_NUMBER = re.compile(r"[-+]?(\d[\d_,]*)?\.?\d*([eE][-+]?\d+)?")


class Place(NamedTuple):
    """Where an error lies: its path, the type expected there, the part and field that hold it."""

    loc: Loc
    annotation: Any
    owner: type[Part] | None
    field: str


def find_faults(
    part: type[Part], document: Any, check: Callable[[dict[str, Any]], Iterable[Fault]]
) -> list[Fault]:
    """Everything wrong with a document that should read as `part`.

    First each value by itself (pydantic); then, with the bad ones taken out, what `check` finds between those
    that are left. `check` gets plain data in which every value has its type, and any key may be missing.
    """
    faults = _find_foreign(document)
    if faults:
        return faults
    rest = copy_plain(document)
    try:
        part.model_validate(document)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
                continue  # pydantic counts only the items that are right; the others have their own errors
            place = _locate(part, details["loc"])
            faults.append(_translate(place, dict(details)))
            rest = _without(rest, place.loc, bool(_parts_of(place.annotation)))
    if not isinstance(rest, dict):
        return faults
    found = [fault.loc for fault in faults]
    for fault in check(rest):
        # what was taken out, and what holds it, has its fault already
        if not any(is_within(fault.loc, loc) or is_within(loc, fault.loc) for loc in found):
            faults.append(fault)
    return faults


def copy_plain(document: Any) -> Any:
    """A copy of nested mappings and lists that shares nothing but their leaves."""
    if isinstance(document, dict):
        return {key: copy_plain(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [copy_plain(value) for value in document]
    return document


def _find_foreign(document: Any) -> list[Fault]:
    """Faults that no YAML text can have, but a dict built in Python can: odd keys, endless nesting."""
    stack: list[tuple[Loc, Any]] = [((), document)]
    faults = []
    while stack:
        loc, value = stack.pop()
        if len(loc) > MAX_DEPTH:
            return [Fault(loc[:4], f"at most {MAX_DEPTH} levels", "more", "flatten the document")]
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    faults.append(Fault(loc, "keys that are text", show(key), "quote the key"))
            stack.extend(((*loc, key), item) for key, item in value.items())
        elif isinstance(value, list | tuple):
            stack.extend(((*loc, index), item) for index, item in enumerate(value))
    return faults


def is_within(loc: Loc, outer: Loc) -> bool:
    """Whether one path lies at or below another."""
    return loc[: len(outer)] == outer


def _without(document: Any, loc: Loc, is_part: bool) -> Any:
    """The document without the value at `loc`; a part keeps its place, empty: its name stays known."""
    if not loc:
        return {} if is_part else None
    holder = document
    for key in loc[:-1]:
        if not _has(holder, key):
            return document  # gone already
        holder = holder[key]
    if not _has(holder, loc[-1]):
        return document  # it was missing
    if is_part:
        holder[loc[-1]] = {}
    elif isinstance(holder, dict):
        del holder[loc[-1]]
    else:
        return _without(document, loc[:-1], False)  # a list without one of its numbers means nothing
    return document


def _has(holder: Any, key: str | int) -> bool:
    if isinstance(holder, dict):
        return key in holder
    return isinstance(holder, list) and isinstance(key, int) and 0 <= key < len(holder)


def _bare(annotation: Any) -> Any:
    """The annotation without Annotated and without the None of an optional one."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _parts_of(annotation: Any) -> tuple[type[Part], ...]:
    """The part expected by an annotation, or the several of a tagged union."""
    bare = _bare(annotation)
    several = get_args(bare) if get_origin(bare) in (Union, types.UnionType) else (bare,)
    candidates = map(_bare, several)
    return tuple(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, Part))


def _locate(part: type[Part], loc: Loc) -> Place:
    """Pydantic's location, which names the tags of unions too, as a place in the document."""
    annotation: Any = part
    owner: type[Part] | None = None
    path: list[str | int] = []
    field = ""
    for key in loc:
        if key == "[key]":
            continue  # pydantic's mark for the key itself, which the path ends in already
        parts = _parts_of(annotation)
        tagged = _tagged(annotation) if len(parts) > 1 else {}
        if key in tagged:
            annotation = tagged[key]
            continue
        path.append(key)
        bare = _bare(annotation)
        if parts:
            field = str(key)
            # a fault of our own has no tag: the part is then the one that knows the field
            owner = next((kind for kind in parts if field in _fields(kind)), parts[0])
            annotation = _fields(owner).get(field)
        elif get_origin(bare) is dict:
            annotation = get_args(bare)[1]
        elif get_origin(bare) is tuple:
            annotation = get_args(bare)[0]
        else:
            annotation = None
    return Place(tuple(path), annotation, owner, field)


def _tagged(annotation: Any) -> dict[Any, type[Part]]:
    """The parts of a union by what pydantic calls them: a tag written beside the type, or its one value."""
    found = {}
    for member in get_args(_bare(annotation)):
        written = [each.tag for each in getattr(member, "__metadata__", ()) if isinstance(each, Tag)]
        found[written[0] if written else _tag(_bare(member))] = _bare(member)
    return found


def _tag_field(kind: type[Part]) -> str:
    """The field that tells a part of a tagged union from the others: it has one value."""
    fields = kind.model_fields.items()
    kinds = ((name, field.annotation) for name, field in fields)
    return next(name for name, kind in kinds if get_origin(kind) is Literal and len(get_args(kind)) == 1)


def _tag(kind: type[Part]) -> Any:
    return get_args(kind.model_fields[_tag_field(kind)].annotation)[0]


def _fields(kind: type[Part]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


def _translate(place: Place, details: dict[str, Any]) -> Fault:
    """One of pydantic's errors in our words."""
    loc, kind, value, context = place.loc, details["type"], details["input"], details.get("ctx", {})
    owner = place.owner
    if kind == "fault":
        return Fault(loc, context["expected"], context.get("got") or show(value), context["fix"])
    if kind == "missing":
        return Fault(loc, f"a value for `{place.field}`", "nothing", f"add `{place.field}:`")
    if kind == "extra_forbidden" and owner is not None:
        if place.field in owner.later_keys:
            return Fault(loc, f"no `{place.field}` in this version", show(value), LATER)
        fields = list(_fields(owner))
        return Fault(
            loc, f"a known key: {', '.join(fields)}", show(place.field), nearest(place.field, fields)
        )
    if kind == "literal_error" and owner is not None:
        known = [str(choice) for choice in get_args(_bare(_fields(owner)[place.field]))]
        later = str(value) in owner.later_values.get(place.field, frozenset())
        expected = " or ".join(f"`{choice}`" for choice in known)
        return Fault(
            loc, expected, show(value), f"`{value}` is not supported yet" if later else nearest(value, known)
        )
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _translate_tag(place, kind, value)
    if kind == "too_short":
        return Fault(loc, f"at least {context['min_length']}", show(value), "add one")
    context = {key: f"{bound:g}" if isinstance(bound, float) else bound for key, bound in context.items()}
    expected = _KINDS[kind].format(**context) if kind in _KINDS else str(details["msg"])
    return Fault(loc, expected, show(value), _mend_number(value, expected))


def _translate_tag(place: Place, kind: str, value: Any) -> Fault:
    parts = _parts_of(place.annotation)
    known, field = [str(_tag(part)) for part in parts], _tag_field(parts[0])
    if kind == "union_tag_not_found" or not isinstance(value, dict):
        return Fault(place.loc, f"a mapping with a key `{field}`", show(value), nearest("", known))
    name = value[field]
    later = isinstance(name, str) and name in parts[0].later_values.get(field, frozenset())
    fix = f"`{name}` is not supported yet" if later else nearest(name, known)
    article = "an" if field[0] in "aeiou" else "a"
    return Fault((*place.loc, field), f"the name of {article} {field}", show(name), fix)


def _mend_number(value: Any, expected: str) -> str:
    if not isinstance(value, str) or "number" not in expected:
        return f"give {expected}"
    if value and _NUMBER.fullmatch(value):
        return (
            f"`{value}` is text here: write a number without quotes or commas, and write powers of ten out: "
            "YAML reads 1e5 as text (100000 and 1.0e+5 are numbers)"
        )
    return "write a number, without quotes or units"
