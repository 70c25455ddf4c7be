"""YAML and JSON text as plain data."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PlanError
from pipeline.yaml_text import MAX_BYTES, MAX_DEPTH, load_text, read_text

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(plain)
def test_read_text__reads_what_yaml_writes(content: Any) -> None:
    assert read_text(yaml.safe_dump(content), "x").content == content


@settings(deadline=None)
@given(plain)
def test_read_text__reads_json(content: Any) -> None:
    assert read_text(json.dumps(content), "x", is_json=True).content == content


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200_000", 200_000),
        ("-3", -3),
        ("0.012", 0.012),
        ("1_000.5", 1000.5),
        ("1.0e+5", 1e5),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("null", None),
        ("~", None),
        ("true", True),
        ("1e5", "1e5"),
        ("1.5e3", "1.5e3"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("no", "no"),
        ("2026-05-15", "2026-05-15"),
        ("'7'", "7"),
        ("! 7", "7"),
    ],
)
def test_read_text__types_of_values(text: str, value: Any) -> None:
    content = read_text(f"key: {text}", "x").content["key"]
    assert content == value
    assert type(content) is type(value)


def test_read_text__json_numbers_keep_their_exponents() -> None:
    assert read_text('{"paths": 1e5}', "x", is_json=True).content == {"paths": 1e5}


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1} 2', "9" * 5000])
def test_read_text__refuses_bad_json(text: str) -> None:
    with pytest.raises(PlanError, match="well-formed JSON"):
        read_text(text, "x", is_json=True)


def test_read_text__tells_json_keys_given_twice() -> None:
    (problem,) = read_text('{"a": 1, "b": {"a": 2}, "a": 3}', "x", is_json=True).problems
    assert problem.got == "`a` again"


def test_read_text__keys_are_text() -> None:
    assert read_text("{1: a, no: b, 1.5: c}", "x").content == {"1": "a", "no": "b", "1.5": "c"}


def test_read_text__lines() -> None:
    text = read_text("a: 1\nb:\n  - x\n  - {c: 2}\n", "x")
    assert text.lines == {(): 1, ("a",): 1, ("b",): 3, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4}


def test_read_text__aliases() -> None:
    text = read_text("a: &x {k: 1}\nb: *x\nc: [*x, *x]\n", "x")
    assert text.content == {"a": {"k": 1}, "b": {"k": 1}, "c": [{"k": 1}, {"k": 1}]}


def test_read_text__tells_every_key_given_twice() -> None:
    problems = read_text("a: 1\nb: {c: 1, c: 2}\na: 2\n", "x").problems
    assert [(problem.where, problem.got) for problem in problems] == [
        ("x: line 2", "`c` again (first on line 2)"),
        ("x: line 3", "`a` again (first on line 1)"),
    ]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "x: line 2, column 1"),
        ("a: b: c", "well-formed YAML"),
        ("a: \x01", "well-formed YAML"),
        ("a: 1\n---\nb: 2\n", "one document"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"at most {MAX_DEPTH} levels"),
        ("{a: " * 3000 + "}" * 3000, f"at most {MAX_DEPTH} levels"),
        (BOMB, "aliases written out"),
        ("a: &x [*x]", "an anchor that ends before its alias"),
        ("a: *x", "an anchor that ends before its alias"),
        ("a: &x " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*x" + "]" * 20, "by \\*x"),
        ("a: &x k\n*x : 1", "keys that are text"),
        ("{[1, 2]: 3}", "keys that are text"),
        ("a: !!python/name:os.system", "the tag"),
        ("a: !!set {b}", "the tag"),
    ],
)
def test_read_text__refuses(text: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        read_text(text, "x")


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{},&*!?|>'\"#%@` \n\t01.~e"), max_size=60))
def test_read_text__garbage_raises_nothing_but_plan_errors(text: str) -> None:
    with contextlib.suppress(PlanError):
        read_text(text, "x")


def test_load_text__refuses_large_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(PlanError, match="bytes"):
        load_text(path)
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(PlanError, match="UTF-8"):
        load_text(path)


def test_load_text__takes_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("a: 1", "utf-8-sig")
    assert load_text(path).content == {"a": 1}
