"""What a venue makes of an oracle's outlier before it acts on it: a median, a wait, a mean over time."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from kernels.structs import Floats
from pipeline.effects import Oracle, Sources, value_of
from pipeline.model import MarketModel


def find_median_share(sources: Sources | None) -> float:
    """How much of an outlier the median over sources has, all wrong ones by the same factor.

    All of it where more than half are wrong, none where fewer are. Of an even number the median is the mean
    of the middle two, so that with just half of them wrong one of the two is: half of it.
    """
    if sources is None or 2 * sources.wrong > sources.of:
        return 1.0
    return 0.5 if 2 * sources.wrong == sources.of else 0.0


def find_outlier(effect: Oracle, window: slice, model: MarketModel, step: timedelta, steps: int) -> Floats:
    """(T, A) the venue's prices over the market's in each step, of an outlier that holds over `window`.

    With `average` of w hours the venue takes the mean of its prices over the last w. What an outlier m has
    lasted for d of them counts as 1 + (m - 1) d / w, a factor on the price of the moment: d is as of each
    step's close, and falls again once the outlier is over.
    """
    assert effect.multiply is not None
    held = np.zeros(steps)
    if effect.average is None:
        held[min(window.start + effect.confirm // step, window.stop) : window.stop] = 1.0
    else:
        width, ends = effect.average // step, np.arange(1, steps + 1)
        lasted = np.minimum(ends, window.stop) - np.maximum(ends - width, window.start)
        held = np.maximum(lasted, 0) / width
    held *= find_median_share(effect.sources)
    factor = np.array([value_of(effect.multiply, asset, model.assets, 1.0) for asset in model.assets])
    whole = held[:, None] == 1.0  # by the formula a tenth is not quite a tenth
    return np.where(whole, factor, 1.0 + (factor - 1.0) * held[:, None])
