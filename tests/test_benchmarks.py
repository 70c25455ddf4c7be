"""The benchmark compares like with like."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import uncertainty
from benchmarks.__main__ import compare_counts, prepare_kernel, prepare_numpy
from benchmarks.books import plan_book
from benchmarks.calibration import draw_bars, main
from benchmarks.timing import time_pair
from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL
from pipeline.backtest.laws import figures_of
from pipeline.model import load_model

PATHS = 6400


def test_screen_paths__counts_what_the_kernel_counts() -> None:
    plan = plan_book(assets=3, accounts=4, leverages=8)
    kernel, plain = prepare_kernel(plan, PATHS)(), prepare_numpy(plan, PATHS)()
    assert kernel.shape == plain.shape == (3, 1, 4, 8, 5)
    scores = compare_counts(kernel, plain, PATHS)
    assert scores.size > 60
    assert np.abs(scores).max() < 4.5
    # a book that is never hit, or one mark for another, would compare nothing
    last = plain[:, 0, :, -1, -1].sum(axis=-1)
    assert last[MARGIN_CALL] > last[LIQUIDATION] > last[BANKRUPTCY] > PATHS // 100
    assert np.abs(compare_counts(kernel[MARGIN_CALL], plain[LIQUIDATION], PATHS)).max() > 4.5


def test_draw_bars__are_those_of_the_model() -> None:
    model = load_model("crypto-majors")
    prices = draw_bars(figures_of(model), model.assets, 20_000, 1)
    assert prices.high is not None
    assert prices.low is not None
    assert (prices.low <= prices.close).all()
    assert (prices.close <= prices.high).all()
    law = model.stationary_law()
    variance = law @ np.array([list(regime.volatility.values()) for regime in model.regimes.values()]) ** 2
    found = np.diff(np.log(prices.close), axis=0).var(axis=0) * 8760
    np.testing.assert_allclose(found, variance, rtol=0.2)  # levels last three days: 280 of them


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


def test_time_pair__ratio_is_of_the_second_to_the_first() -> None:
    def work(rounds: int) -> None:
        for _ in range(rounds):
            np.linalg.inv(np.eye(40))

    pair = time_pair(lambda: work(50), lambda: work(1000), 3)
    assert pair.ratio > 5
    assert pair.second_s > pair.first_s > 0
