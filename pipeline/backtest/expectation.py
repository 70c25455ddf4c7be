"""What share of windows should come true if the forecasts are right: an interval that knows about overlap.

Windows that start six hours apart and last seven days share most of what happens in them. Under a right model
I - p (outcome less forecast) of windows that don't overlap is uncorrelated, whatever the market does between;
of windows that overlap by a share s it is correlated by about s. Groups of consecutive windows, one horizon
long and with a random phase, that share one uniform number have just that correlation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 2000
_CHUNK = 100
LEAST_EXPECTED = 25.0  # independent events: below, a ratio of realised to forecast says little


def independent_windows(n: int, overlap: int) -> float:
    """Windows that don't overlap among n, of which `overlap` follow within one horizon."""
    return n / max(overlap, 1)


def is_judged(forecast: float, n: int, overlap: int) -> bool:
    """Whether at least `LEAST_EXPECTED` independent events are expected."""
    return independent_windows(n, overlap) * forecast >= LEAST_EXPECTED


def share_interval(
    forecasts: Floats,
    position: NDArray[np.int64],
    overlap: int,
    logit_sd: float,
    seed: int,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Ends of the interval of the realised share of n windows, if the forecasts (n,) are right.

    position (n,) counts the starts from the first one, gaps included; `overlap` is the horizon in starts.
    logit_sd is the standard error of the forecasts' level, in logits: parameters and simulation. It shifts
    all forecasts of a draw together.
    """
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore"):
        logit = np.log(forecasts) - np.log1p(-forecasts)
    width = max(overlap, 1)
    groups = (int(position[-1]) + width - 1) // width + 1
    shares = np.empty(DRAWS)
    for first in range(0, DRAWS, _CHUNK):
        uniform = rng.random((_CHUNK, groups))
        shift = rng.normal(0.0, logit_sd, (_CHUNK, 1))
        level = np.log(uniform) - np.log1p(-uniform) - shift
        group = (position + rng.integers(0, width, (_CHUNK, 1))) // width
        shares[first : first + _CHUNK] = (np.take_along_axis(level, group, axis=1) < logit).mean(axis=1)
    low, high = np.quantile(shares, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
