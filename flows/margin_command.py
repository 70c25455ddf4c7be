"""`seawall margin`: the book as it stands, as a table or as one JSON object."""

from __future__ import annotations

import json
import sys

from pipeline.margin_snapshot import margin_snapshot
from pipeline.plan import load_plan


def show_margin(plan_path: str, as_json: bool) -> None:
    """Print a plan's margin now, on stdout. Raises SeawallError."""
    plan = load_plan(plan_path)
    accounts = margin_snapshot(plan)
    for warning in plan.warnings():
        sys.stderr.write(f"warning: {warning}\n")
    if as_json:
        found = {"accounts": [account.document() for account in accounts]}
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
        return
    from flows.console import open_console
    from pipeline.margin_table import margin_table

    open_console(stderr=False).print(margin_table(accounts))
