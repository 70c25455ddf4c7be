"""The benchmark compares like with like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import curves, uncertainty
from benchmarks.__main__ import compare_counts
from benchmarks.books import plan_book
from benchmarks.calibration import draw_bars, main
from benchmarks.curves import draw_curves, time_curves
from benchmarks.jax_screen import has_jax
from benchmarks.peers import find_peers, prepare_kernel
from benchmarks.problem import Problem, lower_problem
from benchmarks.timing import time_in_turn, time_pair
from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL
from pipeline.backtest.laws import figures_of
from pipeline.model import load_model
from pipeline.plan import Plan

PATHS = 6400


@pytest.fixture(scope="module")
def problem() -> Problem:
    return lower_problem(plan_book(assets=3, accounts=4, leverages=8))


@pytest.mark.parametrize("name", ["naive numpy", "tuned numpy", "JAX"])
def test_peers__count_what_the_kernel_counts(problem: Problem, name: str) -> None:
    if name == "JAX" and not has_jax():
        pytest.skip("JAX is not installed")
    (peer,) = [peer for peer in find_peers()[0] if peer.name == name]
    kernel, other = prepare_kernel(problem, PATHS)(), peer.prepare(problem, PATHS)()
    assert kernel.shape == other.shape == (3, 4, 8, 5)
    scores = compare_counts(kernel, other, PATHS, PATHS)
    assert scores.size > 60
    assert np.abs(scores).max() < 4.5
    # a book that is never hit, or one mark for another, would compare nothing
    last = other[:, :, -1, -1].sum(axis=-1)
    assert last[MARGIN_CALL] > last[LIQUIDATION] > last[BANKRUPTCY] > PATHS // 100
    assert np.abs(compare_counts(kernel[MARGIN_CALL], other[LIQUIDATION], PATHS, PATHS)).max() > 4.5


def test_compare_counts__are_standard_scores_for_any_numbers_of_paths() -> None:
    """Binomial counts of one probability, on 4000 and 1000 paths."""
    rng = np.random.default_rng(5)
    first, second = rng.binomial(4000, 0.1, (1, 1, 1, 20_000)), rng.binomial(1000, 0.1, (1, 1, 1, 20_000))
    scores = compare_counts(first, second, 4000, 1000)
    assert scores.mean() == pytest.approx(0.0, abs=0.03)
    assert scores.std() == pytest.approx(1.0, abs=0.03)


def test_curves__cost_more_where_there_is_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(curves, "SIZES", {"assets": (2, 8), "steps": (4, 8)})
    monkeypatch.setattr(curves, "WORK", 512 * 8 * 8)

    def prepare(plan: Plan, paths: int) -> Callable[[], object]:
        steps = int(plan.simulation.horizons[-1] / plan.simulation.step)
        rows = np.zeros((steps * len(plan.model.assets), 20 * paths))
        return lambda: np.exp(rows)

    found = time_curves(prepare, 3)
    assert [(curve.name, curve.sizes) for curve in found] == [("assets", (2, 8)), ("steps", (4, 8))]
    for curve in found:
        assert curve.cost_us[1] > curve.cost_us[0] > 0
    draw_curves(found, str(tmp_path / "cost.svg"))
    assert "<svg" in (tmp_path / "cost.svg").read_text()


def test_draw_bars__are_those_of_the_model() -> None:
    model = load_model("crypto-majors")
    prices = draw_bars(figures_of(model), model.assets, 20_000, 1)
    assert prices.high is not None
    assert prices.low is not None
    assert (prices.low <= prices.close).all()
    assert (prices.close <= prices.high).all()
    law = model.stationary_law()
    variance = law @ np.array([list(model.total_volatility(k).values()) for k in model.regimes]) ** 2
    found = np.diff(np.log(prices.close), axis=0).var(axis=0) * 8760
    np.testing.assert_allclose(found, variance, rtol=0.2)  # levels last two days: 420 of them


def test_calibration__main_prints_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--bars", "1500"])
    printed = capsys.readouterr().out
    assert "8 assets x 1,500 bars, 3 regimes, 4 starts" in printed
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["fit", "wicks", "in"]


def test_uncertainty__main_prints_the_tables_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    uncertainty.main(["--paths", "3072", "--repetitions", "200"])
    printed = capsys.readouterr().out
    page = (uncertainty.ROOT / "docs" / "uncertainty.md").read_text()
    for line in printed.splitlines():
        if line.startswith("| "):  # the figures differ, the rows don't
            assert f"\n{line.split('|')[1].join('||')}" in page
    (row,) = [line for line in printed.splitlines() if line.startswith("| basis, five times as large")]
    own, over, *ends = (cell.strip() for cell in row.split("|")[2:-1])
    assert float(own) == pytest.approx(15, abs=4)
    for low, high in (end.split(" to ") for end in ends):
        assert float(low) < float(over) < float(high)


def test_time_in_turn__calls_each_once_more_than_there_are_turns() -> None:
    called: list[str] = []
    spent = time_in_turn((lambda: called.append("a"), lambda: called.append("b")), 2)
    assert called == ["a", "b"] * 3
    assert np.shape(spent) == (2, 2)


def test_time_pair__ratio_is_of_the_second_to_the_first() -> None:
    def work(rounds: int) -> None:
        for _ in range(rounds):
            np.linalg.inv(np.eye(40))

    pair = time_pair(lambda: work(50), lambda: work(1000), 3)
    assert pair.ratio > 5
    assert pair.second_s > pair.first_s > 0
