"""Each account in the few numbers that a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from pipeline.schema import CELL
from pipeline.verdict import Judgement, model_ends
from pipeline.wording import Chance, book, chance, multiple

if TYPE_CHECKING:
    import xarray as xr

BASELINE = "baseline"
USUAL_LIMIT = 0.01  # P(liquidation) an account is measured against where no limit names it


@dataclass(frozen=True)
class Summary:
    """One account in the few numbers that matter: P(liquidation) at leverage 1, and what would mend it."""

    account: str
    chances: tuple[Chance, ...]
    """In the baseline, by each horizon of the cube."""
    p: float
    """In the baseline, by the longest horizon."""
    worst_scenario: str
    """The scenario beside the baseline with the highest P(liquidation) by the longest horizon."""
    worst: Chance
    limit: float
    """On P(liquidation, longest horizon, baseline): the account's, or the usual 1 %."""
    keeps: float | None
    """The largest leverage on the axis, up to which the whole interval stays within that limit."""
    keeps_gross: float
    """The gross leverage that this multiple means; NaN where there is none."""
    keeps_all: bool
    """Whether that is the end of the axis."""

    @property
    def keeping(self) -> str:
        """The leverage that keeps the limit, in words: "2 × book (8.3x)"."""
        if self.keeps is None:
            return "none simulated"
        return f"{book(self.keeps)} ({multiple(self.keeps_gross)})" + (" or more" if self.keeps_all else "")


def summarise_accounts(cube: xr.Dataset, judgements: Sequence[Judgement]) -> tuple[Summary, ...]:
    """A summary of each account, in the cube's order."""
    leverages = cube["leverage"].values
    scenarios = cube["scenario"].values.tolist()
    now = int(np.flatnonzero(leverages == 1)[0])
    baseline = scenarios.index(BASELINE)
    stresses = [s for s in range(len(scenarios)) if s != baseline] or [baseline]
    p, low, high, paths = (
        cube[name].transpose(*CELL).values
        for name in ("p_liquidation", "p_liquidation_low", "p_liquidation_high", "paths")
    )

    model = model_ends(cube, "p_liquidation", CELL)

    def words(*cell: int) -> Chance:
        around = None if model is None else tuple(model[cell].tolist())
        return chance(p[cell], low[cell], high[cell], int(paths[cell]), around)

    gross = cube["gross_leverage"].transpose("account", "leverage").values
    limits = _limits_by_account(cube, judgements)
    summaries = []
    for a, account in enumerate(cube["account"].values.tolist()):
        # where no path was liquidated, larger books tell the scenarios apart
        worst = max(stresses, key=lambda s: (p[s, a, now, -1], p[s, a, :, -1].sum()))
        limit = limits.get(account, USUAL_LIMIT)
        # the first leverage that fails ends the run, even where a larger one would pass
        kept = int(np.argmin(np.append(high[baseline, a, :, -1] <= limit, False)))
        summaries.append(
            Summary(
                account=account,
                chances=tuple(words(baseline, a, now, h) for h in range(p.shape[-1])),
                p=float(p[baseline, a, now, -1]),
                worst_scenario=scenarios[worst],
                worst=words(worst, a, now, p.shape[-1] - 1),
                limit=limit,
                keeps=float(leverages[kept - 1]) if kept else None,
                keeps_gross=float(gross[a, kept - 1]) if kept else nan,
                keeps_all=kept == len(leverages),
            )
        )
    return tuple(summaries)


def _limits_by_account(cube: xr.Dataset, judgements: Sequence[Judgement]) -> dict[str, float]:
    """The tightest limit on P(liquidation, longest horizon, baseline) at leverage 1, where there is one."""
    longest = cube["horizon"].values[-1]
    tightest: dict[str, float] = {}
    for judgement in judgements:
        if (
            judgement.metric == "p_liquidation"
            and judgement.scenario == BASELINE
            and judgement.leverage == 1
            and np.timedelta64(judgement.horizon) == longest
        ):
            tightest[judgement.account] = min(judgement.max, tightest.get(judgement.account, 1.0))
    return tightest
