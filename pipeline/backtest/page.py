"""The back-test as one HTML page: tables and the reliability diagram; no script, no network."""

from __future__ import annotations

from html import escape

import numpy as np

from pipeline.backtest.judge import Judgement
from pipeline.backtest.scores import reliability_table
from pipeline.backtest.summary import Listing, backtest_tables
from pipeline.report.figures import draw_reliability

_STYLE = """
body { font: 15px/1.45 sans-serif; color: #1b2430; max-width: 60em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .15em .7em .15em 0; border-bottom: 1px solid #e2e6ea }
th.word, td.word { text-align: left }
p.note { color: #5a6470 }
svg { max-width: 100%; height: auto }
"""


def backtest_page(judgement: Judgement) -> str:
    """The text of the page."""
    bins = {
        name: [
            (each.forecast, each.realised, each.n)
            for each in reliability_table(values, np.where(np.isnan(values), np.nan, judgement.hits))
        ]
        for name, values in judgement.forecasts.items()
        if np.isfinite(values).any()
    }
    parts = [_table(listing) for listing in backtest_tables(judgement)]
    told = "".join(f"<li>{escape(text)}</li>" for text in judgement.remarks)
    parts.append(f"<h2>Not used or not judged</h2><ul>{told or '<li>nothing</li>'}</ul>")
    body = "\n".join([draw_reliability(bins) if bins else "", *parts])
    head = f'<meta charset="utf-8"><title>Seawall back-test</title><style>{_STYLE}</style>'
    body = f"<body><h1>Back-test</h1>\n{body}\n</body>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n{body}</html>\n'


def _table(listing: Listing) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        texts = [
            f"<{tag}{' class=word' if i < listing.words else ''}>{escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        ]
        return f"<tr>{''.join(texts)}</tr>"

    rows = "\n".join(row(cells, "td") for cells in listing.rows)
    note = f'<p class="note">{escape(listing.note)}</p>' if listing.note else ""
    return f"<h2>{escape(listing.title)}</h2>\n<table>{row(listing.columns, 'th')}\n{rows}</table>{note}"
