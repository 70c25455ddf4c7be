"""How the basis of perpetuals reverts to its level in each regime, from closes of both."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from pipeline.funding_fit import Floats, FundingFit, fit_funding


def fit_basis(
    perpetual: Floats, spot: Floats, probabilities: Floats, step: timedelta, added: Floats | None = None
) -> FundingFit:
    """Fit `basis` of regimes to closes of perpetuals and their assets (T + 1, A), NaN where missing.

    The law of `pipeline.funding_fit`, of the log of one price over the other at the end of each step; a
    fraction, not annualised. Its shocks are set against the asset's returns, not the perpetual's, in which
    they are. See fit_funding for the other arguments.
    """
    basis = np.log(perpetual[1:] / spot[1:])
    return fit_funding(basis, probabilities, np.diff(np.log(spot), axis=0), step, added=added)
