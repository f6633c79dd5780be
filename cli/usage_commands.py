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


def explain(
    line: Annotated[str, typer.Argument(metavar="LINE_ID", help="A line's id; or DOCUMENT:3, DOCUMENT:discount:1.")],
    events: Annotated[int, typer.Option(min=0, max=10_000, help="How many of its events are shown.")] = 20,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Say where a line's amount came from: price version, steps that add up, hours, and the very events."""
    from fakturo.cli.explain.command import run_explain

    raise typer.Exit(run_explain(home, line, events, as_json=as_json))
