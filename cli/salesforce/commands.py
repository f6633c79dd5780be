"""`fakturo salesforce ...` as typer sees it: options here, the work in a file of its own.

Place     cli/commands.py -> [this] -> resync, drift, check_org, setup, parked.
"""

from pathlib import Path
from typing import Annotated

import typer

salesforce = typer.Typer(help="The Salesforce org: what it needs, what it lacks, what waits.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of text.")]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="FAKTURO_HOME", help="Where the embedded stack keeps its books and logs.")
]
HOME = Path(".fakturo")


Entities = Annotated[
    list[str] | None, typer.Option("--entity", help="Only this object; may be given again. Else those of the profile.")
]


@salesforce.command()
def resync(
    entity: Entities = None,
    ids: Annotated[list[str] | None, typer.Option("--ids", help="Only these records, A,B; may be given again.")] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Ask the bridge to read records, or whole objects, again."""
    from fakturo.cli.salesforce.resync import ask_resync

    named = [one.strip() for part in ids or () for one in part.split(",") if one.strip()]
    raise typer.Exit(ask_resync(home, entity or (), named, as_json=as_json))


@salesforce.command()
def drift(entity: Entities = None, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Compare the org with the book, field by field; exit 1 where they differ."""
    from fakturo.cli.salesforce.drift import show_drift

    raise typer.Exit(show_drift(home, entity or (), as_json=as_json))


@salesforce.command()
def check(as_json: AsJson = False) -> None:
    """Compare the mapping profile, and what we write, with the org: objects, fields, rights, Change Data Capture."""
    from fakturo.cli.salesforce.check_org import run_check

    raise typer.Exit(run_check(as_json=as_json))


@salesforce.command()
def setup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the sfdx project is written.")] = Path(
        "fakturo-salesforce"
    ),
) -> None:
    """Write the metadata package for `sf project deploy`: objects, fields, a permission set, Change Data Capture."""
    from fakturo.cli.salesforce.setup import run_setup

    raise typer.Exit(run_setup(folder))


@salesforce.command()
def parked(home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """List what of the org cannot be billed, or not be written back, and what an administrator can do about it."""
    from fakturo.cli.salesforce.parked import run_parked

    run_parked(home, as_json=as_json)


@salesforce.command()
def written(home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Compare what the org holds of ours with the books; what differs is sent again. Exit 1 unless they are equal."""
    from fakturo.cli.salesforce.written import show_written

    raise typer.Exit(show_written(home, as_json=as_json))


@salesforce.command()
def retry(home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Send again what the org has refused, once its cause is mended."""
    from fakturo.cli.salesforce.written import retry_refused

    raise typer.Exit(retry_refused(home, as_json=as_json))
