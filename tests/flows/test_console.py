from __future__ import annotations

import io

from rich.console import Console

from flows.console import WIDTH, open_console, show_progress


def test_open_console__is_as_wide_as_people_read() -> None:
    assert open_console(stderr=True).width == WIDTH
    assert open_console(stderr=True).stderr
    assert not open_console(stderr=False).stderr


def test_show_progress__without_a_terminal_is_a_line_every_tenth() -> None:
    written = io.StringIO()
    with show_progress(Console(file=written, width=WIDTH), "desk") as reporter:
        for done in range(0, 1001, 25):
            reporter(done, 1000)
    lines = written.getvalue().splitlines()
    assert lines[0] == "desk: 0 of 1,000 paths"
    assert lines[-1] == "desk: 1,000 of 1,000 paths"
    assert len(lines) == 11


def test_show_progress__on_a_terminal_is_a_bar_that_goes() -> None:
    written = io.StringIO()
    console = Console(file=written, width=WIDTH, force_terminal=True)
    with show_progress(console, "desk") as reporter:
        reporter(250, 1000)
        assert reporter.bar is not None
        reporter.bar.refresh()
        assert "250 of 1,000 paths" in written.getvalue()
        reporter.wait(3.0)
        reporter.bar.refresh()
        assert "another process works on this run; waiting for 3 s" in written.getvalue()


def test_reporter__starts_with_nothing_kept_and_knows_what_is() -> None:
    with show_progress(Console(file=io.StringIO(), width=WIDTH), "desk") as reporter:
        assert reporter.kept == "nothing was finished yet"
        reporter(64, 1000)
        assert reporter.kept == "64 of 1,000 paths are kept"


def test_reporter__says_that_kernels_are_compiled() -> None:
    written = io.StringIO()
    with show_progress(Console(file=written, width=WIDTH), "desk") as reporter:
        reporter.compiling()
    assert written.getvalue() == "desk: compiling the kernels for this machine, once: some minutes\n"


def test_reporter__tells_once_in_30_s_that_it_waits() -> None:
    written = io.StringIO()
    with show_progress(Console(file=written, width=WIDTH), "desk") as reporter:
        for half_seconds in range(130):
            reporter.wait(half_seconds * 0.503)  # never a whole number of seconds but the first
    assert written.getvalue().count("another process works on this run") == 3
