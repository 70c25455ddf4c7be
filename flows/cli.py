"""The `seawall` command. Heavy imports wait until a command needs them: `check` answers at once."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import SeawallError

app = typer.Typer(
    help="How likely is each account to be liquidated, by when, at what leverage, in which storm?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PlanPath = Annotated[str, typer.Argument(metavar="PLAN", help="a plan file, YAML or JSON")]
StoreAddress = Annotated[str, typer.Option("--store", help="where runs live: a folder or s3://bucket/prefix")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout, words on stderr")]


@app.command()
def run(
    plan: PlanPath,
    store: StoreAddress = "./runs",
    cluster: Annotated[
        str, typer.Option(help="threads, processes, tcp://host:port or tls://host:port")
    ] = "threads",
    as_json: AsJson = False,
    no_flow: Annotated[bool, typer.Option("--no-flow", help="run without Prefect, by the same code")] = False,
) -> None:
    """Run a plan: simulate, publish the cube, write the report, print the verdict.

    The same plan again is found done. Ctrl-C keeps what is finished; the same command goes on from there.
    Exit codes: 0 inside limits, 1 failure, 2 bad input, 3 done but a limit is breached, 130 interrupted.
    """
    from flows.run_command import run_plan

    raise typer.Exit(run_plan(plan, store, cluster, as_json, no_flow))


@app.command()
def check(plan: PlanPath) -> None:
    """Check a plan, and print it in full: every part inline, every default filled in."""
    import yaml

    from pipeline.model import list_totals
    from pipeline.plan import load_plan
    from pipeline.walks import describe_walk

    loaded = load_plan(plan)
    yaml.safe_dump(
        loaded.document(), sys.stdout, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    for line in list_totals(loaded.model):
        typer.echo(f"# {line}")
    typer.echo(f"# paths take {describe_walk(loaded)}: docs/fast-walk.md")
    for warning in loaded.warnings():
        typer.echo(f"warning: {warning}", err=True)


@app.command()
def margin(
    plan: PlanPath,
    as_json: AsJson = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="the capital it takes cross beside isolated")
    ] = False,
    store: StoreAddress = "./runs",
    scenario: Annotated[
        str | None, typer.Option(help="with --compare: of the cube; baseline if left out")
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(help="with --compare: of the cube; the longest if left out")
    ] = None,
    probability: Annotated[
        float | None,
        typer.Option(
            help="with --compare: the P(liquidation) that every way is to have; if left out, the account's "
            "own, or 0.01 where that is 0 or 1"
        ),
    ] = None,
) -> None:
    """Print the book as it stands: equity, margins, liquidation, bankruptcy and fillable prices.

    With --compare: the capital that the same positions take in one pool of cross margin, in a pool for each
    strategy, and each isolated; at initial margin, and at equal P(liquidation) where the store has a finished
    run of the plan.
    """
    if compare:
        from flows.compare_command import Wanted, show_comparison

        wanted = Wanted(store, scenario or "baseline", horizon, probability)
        raise typer.Exit(show_comparison(plan, as_json, wanted))
    for name, value in (("--scenario", scenario), ("--horizon", horizon), ("--probability", probability)):
        if value is not None:
            raise typer.BadParameter(f"{name} goes with --compare")
    from flows.margin_command import show_margin

    show_margin(plan, as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of plans, for editors that complete and check while one types."""
    from pipeline.plan import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def scenarios(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="one of them, in full")] = None,
    as_json: AsJson = False,
) -> None:
    """List the scenarios that are shipped, or explain one: its story, effects, source and severity."""
    from flows.scenarios_command import show_scenarios

    show_scenarios(name, as_json)


@app.command()
def runs(store: StoreAddress = "./runs", as_json: AsJson = False) -> None:
    """List the finished runs of a store."""
    from flows.console import open_console
    from pipeline.store import list_runs, open_store

    found = list_runs(open_store(store))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.table import Table

    table = Table("run", "plan", "as of", "created", "paths", box=None)
    for manifest in sorted(found, key=lambda m: str(m["created"])):
        row = (manifest["run_id"], manifest["name"], manifest["as_of"], manifest["created"])
        table.add_row(*row, f"{manifest['paths']:,}")
    open_console(stderr=False).print(table if found else f"no finished runs in {store}")


@app.command()
def replay(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="the id of a run, or how it begins")],
    path: Annotated[int | None, typer.Option(help="the path's number, from 0")] = None,
    find: Annotated[
        str | None,
        typer.Option(help="in place of --path: worst, median (of the liquidated) or nearest (miss)"),
    ] = None,
    scenario: Annotated[str, typer.Option(help="of the run")] = "baseline",
    account: Annotated[str | None, typer.Option(help="of the run; may be left out if it has one")] = None,
    leverage: Annotated[float, typer.Option(help="of the run")] = 1.0,
    picture: Annotated[Path | None, typer.Option(help="a picture to draw: FILE.svg or FILE.png")] = None,
    whole: Annotated[bool, typer.Option("--all", help="print every step, quiet ones too")] = False,
    store: StoreAddress = "./runs",
    as_json: AsJson = False,
) -> None:
    """Tell one path of a run step by step: marks, equity, margin, sizes, and every event in words.

    What the desk does and what the venue does, with what it cost; what became of the equity, to the cent.
    """
    from flows.replay_command import Choice, show_replay

    show_replay(run_id, store, Choice(path, find, scenario, account, leverage), picture, whole, as_json)


@app.command()
def calibrate(
    prices: Annotated[str, typer.Argument(metavar="PRICES", help="OHLCV history: Parquet, Feather or CSV")],
    assets: Annotated[str, typer.Option(help="which assets, with commas between: BTC,ETH,SOL")],
    output: Annotated[Path, typer.Option(help="the model file to write")],
    funding: Annotated[str | None, typer.Option(help="settled funding rates: Parquet or CSV")] = None,
    regimes: Annotated[
        int | None, typer.Option(help="how many regimes; left out, held-out likelihood chooses among 2 to 4")
    ] = None,
    start: Annotated[str | None, typer.Option(help="first bar used, UTC, ISO 8601")] = None,
    end: Annotated[str | None, typer.Option(help="end of the last bar used, UTC, ISO 8601")] = None,
    seed: Annotated[int, typer.Option(help="seed of the fit's starting points, and of the draws")] = 0,
    draws: Annotated[
        int, typer.Option(help="draws of the figures, for `parameter_uncertainty: true`; 32 say enough")
    ] = 0,
    spot: Annotated[
        str | None,
        typer.Option(help="spot prices, where PRICES are perpetuals': fits the basis"),
    ] = None,
    implied_volatility: Annotated[
        str | None, typer.Option(help="an index of implied volatility of some of the assets, in percent")
    ] = None,
) -> None:
    """Fit a market model to price history, and to what there is beside it."""
    from flows.calibrate_command import calibrate_model

    chosen = tuple(name.strip() for name in assets.split(",") if name.strip())
    calibrate_model(
        prices, funding, chosen, regimes, start, end, seed, draws, spot, implied_volatility, output
    )


@app.command()
def backtest(
    data: Annotated[str, typer.Option(metavar="DIR", help="history: a folder that holds perp_1h.parquet")],
    fit_until: Annotated[
        str | None, typer.Option(help="fit once, on bars up to then; left out, fit anew every 90 days")
    ] = None,
    judge_from: Annotated[str | None, typer.Option(help="first start of a window, UTC, ISO 8601")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print one JSON list on stdout, words on stderr")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="an HTML page to write, with the diagram")] = None,
    paths: Annotated[int | None, typer.Option(help="paths of each simulation")] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of fits, paths and intervals")] = 0,
) -> None:
    """Hold forecasts of P(liquidation) for standard books against what then happened.

    Beside the model stand a single Gaussian law and history shuffled by days. No forecast sees a bar that
    closes after it is made. What could not be judged is told on stderr.
    """
    from flows.backtest_command import run_backtest

    run_backtest(data, fit_until, judge_from, as_json, report, paths, seed)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; errors on purpose end in one message and their exit code, never a traceback."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many small matrices: threads only get in the way
    try:
        app(arguments)
    except SeawallError as error:
        sys.stderr.write(f"seawall: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
