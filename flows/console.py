"""What a person sees while and after a command runs. Progress and words go to stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

WIDTH = 100
WAIT_WORD_S = 30.0  # between two words that we wait


def open_console(stderr: bool) -> Console:
    """A console at most 100 columns wide."""
    console = Console(stderr=stderr)
    console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    return console


class Rate(ProgressColumn):
    """Paths a second."""

    def render(self, task: Task) -> Text:
        """The rate so far, or nothing before there is one."""
        return Text(f"{task.speed:,.0f} paths/s" if task.speed else "", style="dim")


class Paths(ProgressColumn):
    """Paths done, of how many."""

    def render(self, task: Task) -> Text:
        """Nothing before it is known how many there are."""
        return Text("" if task.total is None else f"{task.completed:,.0f} of {task.total:,.0f} paths")


class Reporter:
    """Takes the pipeline's progress, and shows it."""

    def __init__(self, console: Console, title: str, bar: Progress | None) -> None:
        self.console = console
        self.title = title
        self.bar = bar
        self.task = None if bar is None else bar.add_task(f"{title}: starting", total=None, visible=True)
        self.tenths = -1
        self.next_word_s = 0.0
        self.kept = "nothing was finished yet"

    def __call__(self, done: int, total: int) -> None:
        """Paths done, and paths in all."""
        self.kept = f"{done:,} of {total:,} paths are kept"
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description=self.title, completed=done, total=total)
        elif done * 10 // total > self.tenths:
            self.tenths = done * 10 // total
            self.console.print(f"{self.title}: {done:,} of {total:,} paths")

    def compiling(self) -> None:
        """The kernels are not in the cache: this takes longer than anything else before the first paths."""
        text = f"{self.title}: compiling the kernels for this machine, once: some minutes"
        self.console.print(text, highlight=False)

    def wait(self, seconds: float) -> None:
        """Someone else holds the run."""
        text = f"{self.title}: another process works on this run; waiting for {seconds:.0f} s"
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description=text)
        elif seconds >= self.next_word_s:
            self.next_word_s = seconds + WAIT_WORD_S
            self.console.print(text)


@contextmanager
def show_progress(console: Console, title: str) -> Iterator[Reporter]:
    """A bar with paths done, rate and time left; where there is no terminal, a line every tenth."""
    if not console.is_terminal:
        yield Reporter(console, title, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        Paths(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Reporter(console, title, bar)
