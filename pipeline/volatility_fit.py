"""How implied volatility reverts to its level in each regime, from an index of it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from pipeline.funding_fit import Floats, FundingFit, fit_funding


def fit_implied_volatility(
    quoted: Floats, probabilities: Floats, returns: Floats, step: timedelta, added: Floats | None = None
) -> FundingFit:
    """Fit `implied_volatility` of a model's regimes to annualised quotes (T, A), NaN where missing.

    The law of `pipeline.funding_fit`, of logs: the level is annualised again, the deviation is of logs. See
    fit_funding for the other arguments.
    """
    fit = fit_funding(np.log(quoted), probabilities, returns, step, added=added)
    return fit._replace(level=np.exp(fit.level))
