"""The subjects about usage of the `fakturo` command, as typer sees them: explain, rerate, and their benches."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="FAKTURO_HOME", help="Where the embedded stack keeps its books and logs.")
]
HOME = Path(".fakturo")


def register(app: typer.Typer, bench: typer.Typer) -> None:
    """Add the subjects to the command."""
    app.command("explain")(explain)
    app.command("rerate")(rerate)
    bench.command("backfill")(bench_backfill)
    bench.command("explain")(bench_explain)


def explain(
    line: Annotated[str, typer.Argument(metavar="LINE_ID", help="A line's id; or DOCUMENT:3, DOCUMENT:discount:1.")],
    events: Annotated[int, typer.Option(min=0, max=10_000, help="How many of its events are shown.")] = 20,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Say where a line's amount came from: price version, steps that add up, hours, and the very events."""
    from fakturo.cli.explain.command import run_explain

    raise typer.Exit(run_explain(home, line, events, as_json=as_json))


def rerate(
    account: str,
    period: Annotated[str, typer.Option(metavar="YYYY-MM", help="A month, in the account's zone.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Ask the usage agent to total and rate it again, at the next tick.")
    ] = False,
    request_id: Annotated[
        str | None, typer.Option("--request-id", help="The request's own id: the same again is a repeat. Default: new.")
    ] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Compute an account's month again from its raw events; exit 1 where the books say otherwise."""
    from fakturo.cli.rerate.command import run_rerate

    raise typer.Exit(run_rerate(home, account, period, apply=apply, request_id=request_id, as_json=as_json))


def bench_backfill(
    events: Annotated[int, typer.Option(min=1, help="How many late events of closed months.")] = 1_000_000,
    accounts: Annotated[int, typer.Option(min=1, help="Of how many accounts.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Measure how late events of closed months are absorbed, and what live statements wait meanwhile."""
    from fakturo.cli.bench.backfill import run_bench

    raise typer.Exit(run_bench(events, accounts, as_json=as_json))


def bench_explain(
    events: Annotated[int, typer.Option(min=1, help="How many events are stored.")] = 10_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure how long a line takes to be explained with so many events stored."""
    from fakturo.cli.bench.explain import run_bench

    raise typer.Exit(run_bench(events, as_json=as_json))
