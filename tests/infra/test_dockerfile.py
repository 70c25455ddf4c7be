from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]


def list_instructions() -> list[tuple[str, list[str]]]:
    """Each instruction with its words; comments dropped, continued lines joined."""
    text = (ROOT / "infra" / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [shlex.split(line) for line in text.splitlines() if line.strip()]
    return [(words[0], words[1:]) for words in lines]


def test_dockerfile__starts_from_a_pinned_version() -> None:
    bases = [words[0] for name, words in list_instructions() if name == "FROM"]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])


def test_dockerfile__copies_what_exists() -> None:
    copied = [words for name, words in list_instructions() if name == "COPY"]
    sources = [word for words in copied if not words[0].startswith("--") for word in words[:-1]]
    assert {"kernels", "pipeline", "flows", "constraints/run.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source


def test_dockerfile__installs_only_what_is_pinned_by_hash() -> None:
    runs = " ".join(" ".join(words) for name, words in list_instructions() if name == "RUN")
    installs = re.findall(r"pip (?:install|wheel) ([^&]*)", runs)
    assert any("--require-hashes -r constraints/run.txt" in install for install in installs)
    assert all("--no-deps" in install for install in installs)


def test_dockerfile__runs_as_nobody_special() -> None:
    users = [words[0] for name, words in list_instructions() if name == "USER"]
    last_stage = max(n for n, (name, _) in enumerate(list_instructions()) if name == "FROM")
    assert "USER" in [name for name, _ in list_instructions()[last_stage:]]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])
