"""The subject `invoices` of the `fakturo` command, as typer sees it."""

from pathlib import Path
from typing import Annotated

import typer

from fakturo.engine.invoice_life import Step

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="FAKTURO_HOME", help="Where the embedded stack keeps its books and logs.")
]
HOME = Path(".fakturo")
InvoiceName = Annotated[str, typer.Argument(metavar="INVOICE", help="Invoice id or number; a draft's id.")]
Reason = Annotated[str, typer.Option(help="Why; it stands on the document.")]
RequestId = Annotated[
    str | None, typer.Option("--request-id", help="The request's own id: the same again is a repeat. Default: new.")
]

invoices = typer.Typer(help="Invoices and credit notes: read them, and what happens to them.", no_args_is_help=True)


@invoices.command("list")
def invoices_list(
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """List invoices, credit notes and drafts, oldest first, with their status."""
    from fakturo.cli import invoices as subject

    subject.list_invoices(home, account, as_json=as_json)


@invoices.command("show")
def invoices_show(
    invoice: InvoiceName,
    locale: Annotated[str | None, typer.Option(help="en, da or de; default: the customer's.")] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Show one invoice with its lines and how each came about."""
    from fakturo.cli import invoices as subject

    raise typer.Exit(subject.show_invoice(home, invoice, locale, as_json=as_json))


@invoices.command("approve")
def invoices_approve(
    invoice: InvoiceName, request_id: RequestId = None, home: HomeOption = HOME, as_json: AsJson = False
) -> None:
    """Approve a draft, so that it is finalised when its review is over."""
    from fakturo.cli import invoices as subject

    raise typer.Exit(subject.ask_about(home, Step.APPROVE, invoice, reason="", request_id=request_id, as_json=as_json))


@invoices.command("void")
def invoices_void(
    invoice: InvoiceName,
    reason: Reason = "",
    reissue: Annotated[bool, typer.Option("--reissue", help="Bill the same again, as it stands now.")] = False,
    request_id: RequestId = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Make an unpaid invoice void; its number stays used, and what it used of credit is given back."""
    from fakturo.cli import invoices as subject

    step = Step.VOID
    raise typer.Exit(
        subject.ask_about(home, step, invoice, reason=reason, request_id=request_id, reissue=reissue, as_json=as_json)
    )


@invoices.command("write-off")
def invoices_write_off(
    invoice: InvoiceName,
    reason: Reason = "",
    request_id: RequestId = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Give up what is open of an invoice: bad debt; a payment that comes after all recovers it."""
    from fakturo.cli import invoices as subject

    step = Step.WRITE_OFF
    raise typer.Exit(subject.ask_about(home, step, invoice, reason=reason, request_id=request_id, as_json=as_json))


@invoices.command("credit")
def invoices_credit(
    invoice: InvoiceName,
    reason: Reason = "",
    line: Annotated[
        list[str] | None,
        typer.Option("--line", metavar="LINE=AMOUNT", help="Credit this net amount of a line; again for more."),
    ] = None,
    request_id: RequestId = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Issue a credit note: over all that is left of the invoice, or over lines in part; tax is mirrored."""
    from fakturo.cli import invoices as subject

    step = Step.CREDIT
    raise typer.Exit(
        subject.ask_about(home, step, invoice, reason=reason, request_id=request_id, lines=line, as_json=as_json)
    )
