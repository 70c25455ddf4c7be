"""The committee report: complete, alone, the same bytes each time, no more certain than the numbers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
import xarray as xr

from pipeline.cube import build_cube, encoding
from pipeline.plan import Limit, plan_from_document
from pipeline.report import render_report
from pipeline.report.assumptions import describe_effect, describe_model, list_not_modelled
from pipeline.verdict import judge_limits
from tests.cubes import (
    PROVENANCE,
    full_cube,
    plan_document,
    resolved_cube,
    shared_cube,
    small_cube,
    small_plan,
    small_tallies,
)
from tests.pipeline.documents import small_document, two_sided_jumps

WEEK = timedelta(days=7)
LIMITS = [
    Limit(metric="p_liquidation", horizon=WEEK, scenario="baseline", max=0.01),
    Limit(metric="p_bankruptcy", horizon=WEEK, max=0.0305),
    Limit(metric="concentration", max=0.3),
]
VOID = {"meta", "br"}


def render(cube: xr.Dataset, limits: Sequence[Limit] = LIMITS) -> str:
    return render_report(cube, judge_limits(cube, limits))


@cache
def small_report() -> str:
    """The report of the small cube; drawn once, for the tests that only read it."""
    return render(small_cube())


class Page(HTMLParser):
    """Text and tags of a page; fails where tags don't close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "svg"} & set(self.open):
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_render_report__same_bytes_twice_and_from_the_store(tmp_path: Path) -> None:
    first = small_report()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        small_cube().to_zarr(tmp_path / "cube.zarr", encoding=encoding(small_cube()))
    assert render(xr.open_zarr(tmp_path / "cube.zarr")) == first


def test_render_report__the_settings_of_the_caller_don_t_show() -> None:
    import matplotlib

    before = small_report()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert render(small_cube()) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_render_report__stands_alone() -> None:
    html = small_report()
    page = Page(html)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "image", "base"}
    assert not any(name in ("src", "action") or name.startswith("on") for name, _ in page.attributes)
    assert all((value or "").startswith("#") for name, value in page.attributes if name.endswith("href"))
    assert not re.search(r"https?:|url\((?!#)|@import|file:", html)


def test_render_report__svg_ids_are_not_reused_for_other_things() -> None:
    found = re.findall(r'<(\w+) id="([^"]+)"([^>]*)>(.*?)</\1>', small_report(), flags=re.DOTALL)
    bodies: dict[str, str] = {}
    for _, name, attributes, body in found:
        assert bodies.setdefault(name, attributes + body) == attributes + body


def test_render_report__holds_every_account_scenario_and_horizon() -> None:
    text = Page(small_report()).text
    for account in small_cube()["account"].values.tolist():
        assert text.count(account) >= 5
    for scenario in small_plan().scenarios:
        assert scenario.name in text
        assert scenario.narrative in text
    for words in (
        "4h",
        "1d",
        "7d",
        "a" * 64,
        "b" * 64,
        "c" * 64,
        "desk-0123456789",
        "bridge",
        "200,000 paths",
    ):
        assert words in text


def test_render_report__names_are_escaped() -> None:
    html = small_report()
    assert "idle &amp; &lt;cash&gt;" in html
    assert "<cash>" not in html


def test_render_report__says_what_is_asked_and_what_is_not_known() -> None:
    text = Page(small_report()).text
    assert "1 of 15 numbers judged breaches its limit, in directional. 1 lies too close" in text
    assert (
        "BREACH directional P(liquidation within 7d | baseline) 6.07 % [5.97, 6.18] 1 % −5.07 points" in text
    )
    assert "model uncertainty not assessed" in text
    assert "0 of 200,000 below 0.0018 %" in text
    assert "already at as_of" in Page(render(gapped())).text
    assert "What is not modelled" in text


def gapped() -> xr.Dataset:
    """The small cube with leverage 1 hit at once in the gap."""
    tallies = small_tallies()
    tallies.liquidatable_now[1, 1, 1:] = True
    return build_cube(tallies, small_plan(), PROVENANCE)


def test_render_report__never_a_bare_zero_nor_a_promise() -> None:
    text = Page(small_report()).text
    assert not re.search(r"(?<![\d.,])0(\.0*)? %", text)
    assert not re.search(r"\b(safe|will|guarantee\w*)\b", text, flags=re.IGNORECASE)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ([], "The plan sets no limits"),
        ([Limit(metric="leverage", max=50.0)], "No limit is breached, in 3 numbers judged. Take note."),
        (
            [Limit(metric="p_liquidation", horizon=WEEK, scenario="baseline", max=0.0607)],
            "1 lies too close to the limit to tell with 200,000 paths.",
        ),
    ],
)
def test_render_report__asks_no_more_than_the_limits_say(limits: list[Limit], words: str) -> None:
    assert words in Page(render(small_cube(), limits)).text


def test_render_report__warnings_of_the_plan_are_told() -> None:
    assert small_plan().warnings()
    for warning in small_plan().warnings():
        assert warning in Page(small_report()).text


def test_render_report__one_scenario_one_horizon_one_leverage() -> None:
    document = plan_document()
    plan = small_plan(
        scenarios=document["scenarios"][:1],
        simulation=document["simulation"] | {"horizons": ["7d"], "leverage": [1]},
    )
    whole = small_tallies()
    part = type(whole)(
        *(getattr(whole, name)[:1, :, 1:2, 2:] for name in ("liquidations", "margin_calls", "bankruptcies")),
        joint=None,
        liquidatable_now=whole.liquidatable_now[:1, :, 1:2],
        paths=whole.paths,
    )
    assert "6.07 %" in Page(render(build_cube(part, plan, PROVENANCE))).text


def test_render_report__large_books_show_the_accounts_most_at_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.report.html.MOST_TABLES", 1)
    page = render(small_cube())
    assert page.count('<table class="dense">') < small_report().count('<table class="dense">')
    assert f"The 1 accounts most at risk; the cube holds all {small_cube().sizes['account']}." in page


def test_render_report__odd_names_reach_the_figures() -> None:
    accounts = plan_document()["accounts"]
    for account, name in zip(accounts, ("_hidden", '$a$ & "b" <c>', "日本"), strict=True):
        account["name"] = name
    html = render(build_cube(small_tallies(), small_plan(accounts=accounts), PROVENANCE))
    figures = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    for name in ("_hidden", '$a$ &amp; "b" &lt;c&gt;', "日本"):
        assert name in figures[0]
    Page(html)


def test_describe_effect__in_words() -> None:
    effects = [
        {"at": "0s", "for": None, "effect": "shock", "moves": {"all": -0.1, "BTC": -0.2}, "as": "percent"},
        {"at": "1d", "for": "3d", "effect": "volatility", "multiply": {"all": 2.0}},
        {"at": "0s", "for": None, "effect": "correlation", "target": [[1.0, 0.5], [0.5, 1.0]], "blend": 0.8},
        {"at": "0s", "for": None, "effect": "regime", "force": "wildest", "start_only": True},
    ]
    assert [describe_effect(effect) for effect in effects] == [
        "shock: moves all −10 % BTC −20 %",
        "volatility: at 1d, for 3d, multiply all 2",
        "correlation: target [[1.0, 0.5], [0.5, 1.0]], blend 0.8",
        "regime: force wildest, start only yes",
    ]


def test_describe_model__regimes_as_columns() -> None:
    table = describe_model(small_plan().document()["model"])
    assert table.regimes == ("calm", "crisis")
    assert dict(table.rows) == {
        "expected stay": ("8.33 d", "25 h"),
        "tail": ("Gaussian", "Student t, 4 df"),
        "jumps a year": ("none", "none"),
        "volatility BTC": ("45.0 %", "130.0 %"),
        "volatility ETH": ("60.0 %", "160.0 %"),
    }


def test_describe_model__jumps_and_what_they_add() -> None:
    document = small_document()
    document["model"]["regimes"]["crisis"]["jumps"] = two_sided_jumps()
    rows = dict(describe_model(plan_from_document(document).document()["model"]).rows)
    assert rows["jumps a year"] == ("none", "12, double exponential")
    assert rows["volatility BTC"] == ("45.0 %", "130.0 %")
    assert rows["drift BTC, with jumps"] == ("10.0 %", "−31.2 %")
    assert rows["volatility BTC, with jumps"] == ("45.0 %", "131.9 %")


def test_describe_model__start_and_calibration() -> None:
    model = plan_document()["model"] | {
        "initial": "filtered",
        "filtered": {"as_of": "2026-05-14T00:00:00Z", "law": {"calm": 0.25, "crisis": 0.75}},
        "calibration": {
            "fitted_on": "2026-05-14",
            "window": {"start": "2023", "end": "2026"},
            "starts": {"a": [1]},
        },
    }
    assert describe_model(small_plan().document()["model"]).notes == ("Regime at the start: stationary",)
    assert describe_model(small_plan(model=model).document()["model"]).notes == (
        "Regime at the start: filtered",
        "Filtered as of 2026-05-14T00:00:00Z: calm 0.25 crisis 0.75",
        "Calibration: fitted on 2026-05-14, window start 2023 end 2026",
    )


def test_list_not_modelled__depends_on_the_plan() -> None:
    document = plan_document()
    assert any("constant in each regime" in item for item in list_not_modelled(small_plan().document()))
    document["model"]["regimes"]["crisis"].pop("funding")
    closes = small_plan(model=document["model"], simulation=document["simulation"] | {"monitoring": "close"})
    said = " ".join(list_not_modelled(closes.document()))
    assert "no funding rates" in said
    assert "probabilities are too low" in said


def test_render_report__groups_and_pools_where_a_plan_has_them() -> None:
    page = render(full_cube())
    assert "<h2>Groups</h2>" in page
    assert re.search(r"<th>desk</th><td class=\"n\">1</td>", page)
    # only the account with an isolated position beside another one loses pools one by one
    first, *others = page.split('<table class="dense">')[1:4]
    assert "P(all pools)" in first
    assert not any("P(all pools)" in table for table in others)
    assert "P(all pools)" not in small_report()
    assert "<h2>Groups</h2>" not in small_report()


def test_render_report__says_what_follows_a_breach() -> None:
    assert "After the breach" not in small_report()
    html = render(resolved_cube())
    page = Page(html)
    assert html == render(resolved_cube())
    section = page.text.partition("After the breach ")[2].partition(" Leverage and horizon")[0]
    for words in (
        "directional baseline 6.07 % [5.97, 6.18] 3.03 % [2.96, 3.11] 3.03 % [2.96, 3.11] 2.02 %",
        "gap-down-10 worst 9.11 % [8.98, 9.24]",
        "directional baseline 2.02 [1.96, 2.08] 0.850 4.55 % [4.47, 4.63] 18.21 % [18.04, 18.38] 24,280",
        "basis baseline none on 200,000 paths none on 200,000 paths none on 200,000 paths no policies",
        "ETH-USD (100 %)",
        "In the baseline, the accounts most at risk.",
    ):
        assert words in section
    assert 'aria-label="What follows a breach, against the multiple of the book, by account"' in html
    assert "something closed by force" in html
    assert "nobody tops up" in small_report()
    assert "nobody tops up" not in page.text
    assert "nobody acts but by the policies" in page.text


def test_render_report__says_what_becomes_of_a_venue_that_accounts_share() -> None:
    assert "<h2>The venue</h2>" not in render(resolved_cube())
    html = render(shared_cube())
    page = Page(html)
    section = page.text.partition(" The venue ")[2].partition(" Leverage and horizon")[0]
    for words in (
        "inline 3 accounts baseline 0.0607 [0.0597, 0.0617] 0.1214 [0.1193, 0.1235] 3.03 %",
        "gap-down-10",
        "242.8",
    ):
        assert words in section
    assert 'aria-label="Accounts liquidated against horizon, untouched and together"' in html
    assert "accounts do not touch one another" not in page.text
    assert "accounts do not touch one another" in small_report()
