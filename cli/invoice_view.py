"""An invoice on the screen: lines and how each came about in the reader's language, discounts, tax, what is open.

Place     cli/invoices (Postgres) -> [this] -> the terminal. Sentences are made from the lines' phrases.
"""

from typing import Any

from rich.table import Table

from fakturo.cli.output import amount_text, console
from fakturo.engine.explanations import explain
from fakturo.schemas.events.invoices import Invoice, InvoiceLine


def print_invoice(invoice: Invoice, row: Any, locale: str | None) -> None:
    """Print `invoice`; `row` says its status, and what is open, credited and written off of it."""
    currency = invoice.currency
    what = "Credit note" if row["kind"] == "credit_note" else "Draft" if row["status"] == "draft" else "Invoice"
    console.print(
        f"[bold]{what} {invoice.number or invoice.invoice_id}[/bold] of {invoice.issue_date}, due {invoice.due_date}: "
        f"{row['status']}"
    )
    console.print(f"{invoice.seller.name} to {invoice.customer.name} ({invoice.account}), {invoice.payment_terms}")
    for name, value in (("corrects", invoice.corrects), ("reissues", invoice.reissues), ("reason", invoice.reason)):
        if value:
            console.print(f"{name}: {value}")
    console.print(_lines(invoice, locale or invoice.customer.locale))
    for note in invoice.notes:
        console.print(note)
    if row["credit_notes"]:
        console.print(f"credit notes: {', '.join(row['credit_notes'])}")
    if row["open_minor"] is not None and row["kind"] == "invoice":
        console.print(f"open: {amount_text(row['open_minor'], currency, grouped=True)} {currency}", highlight=False)


def _lines(invoice: Invoice, locale: str | None) -> Table:
    currency = invoice.currency

    def text(amount_minor: int) -> str:
        return amount_text(amount_minor, currency, grouped=True)

    table = Table(header_style="bold")
    for column in ("line", "what", "how it came about", f"amount {currency}"):
        table.add_column(column, justify="right" if column.startswith("amount") else "left")
    for line in invoice.lines:
        kind = "" if line.kind == "charge" else f" ({line.kind.replace('_', ' ')})"
        table.add_row(line.line_id, line.description + kind, _sentence(line, locale), text(line.amount_minor))
    for discount in invoice.discounts:
        table.add_row("", discount.description, discount.kind.replace("_", " "), text(discount.amount_minor))
    table.add_section()
    table.add_row("", "Subtotal", "", text(invoice.subtotal_minor))
    for tax in invoice.taxes:
        rate = f"{tax.rate_percent} % of {text(tax.taxable_minor)}"
        table.add_row("", f"Tax, {tax.category}", rate, text(tax.tax_minor))
    table.add_row("", "[bold]Total[/bold]", "", f"[bold]{text(invoice.total_minor)}[/bold]")
    for credit in invoice.credits:
        table.add_row("", "Credit", credit.grant_id, text(-credit.amount_minor))
    if invoice.credits_applied_minor:
        table.add_row("", "[bold]Amount due[/bold]", "", f"[bold]{text(invoice.amount_due_minor)}[/bold]")
    return table


def _sentence(line: InvoiceLine, locale: str | None) -> str:
    """Return how the line came about; as it was written where it has no phrases, or one that we do not know."""
    if not line.phrases or locale is None:
        return line.explanation
    try:
        return explain(line.phrases, locale)
    except KeyError:
        return line.explanation
