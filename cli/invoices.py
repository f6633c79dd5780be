"""`fakturo invoices ...`: what the book has of invoices, and requests about one.

Place     Postgres, one read-only snapshot -> [this] -> a table or JSON; people -> [this] -> asking (billing.requests).
Verbs     the invoice is looked up first, so that a person hears at once what can't be; the book decides all the same,
          and what it refuses is a dead letter (`fakturo dlq list`).
"""

import uuid
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from fakturo.cli.asking import ask
from fakturo.cli.connect import read_books
from fakturo.cli.invoice_view import print_invoice
from fakturo.cli.output import amount_text, errors, print_json, print_rows
from fakturo.engine.errors import PriceError
from fakturo.engine.invoice_life import Step, refusal, target_of
from fakturo.engine.wallets import exact_minor
from fakturo.schemas.events import requests
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.requests import CreditedLine, CreditNoteRequest, InvoiceRequest

_LIST = """
SELECT number, kind, status, account, issue_on, due_on, currency, total_minor, due_minor + moved_minor AS open_minor,
       content ->> 'corrects' AS corrects, content ->> 'reissues' AS reissues, invoice_id, period_end_at
  FROM invoicing.invoice
UNION ALL
SELECT NULL, 'invoice', 'draft', account, (content ->> 'issue_date')::date, (content ->> 'due_date')::date, currency,
       (content ->> 'total_minor')::bigint, NULL, content ->> 'corrects', content ->> 'reissues', invoice_id,
       (content #>> '{period,end}')::timestamptz
  FROM invoicing.draft
"""

_SHOW = """
SELECT invoice_id, kind, status, due_minor + moved_minor AS open_minor, credited_minor, written_off_minor,
       content::text AS content, ARRAY(SELECT coalesce(n.number, n.invoice_id) FROM invoicing.invoice n
           WHERE n.content ->> 'corrects' = i.invoice_id ORDER BY n.number) AS credit_notes
  FROM invoicing.invoice i WHERE invoice_id = $1 OR number = $1
UNION ALL
SELECT invoice_id, 'invoice', 'draft', NULL, 0, 0, content::text, '{}' FROM invoicing.draft WHERE invoice_id = $1
ORDER BY 1
"""

EVENT_TYPES = {
    Step.APPROVE: requests.INVOICE_APPROVAL_GIVEN,
    Step.VOID: requests.INVOICE_VOID_REQUESTED,
    Step.WRITE_OFF: requests.INVOICE_WRITE_OFF_REQUESTED,
    Step.CREDIT: requests.CREDIT_NOTE_REQUESTED,
}


def list_invoices(home: Path, account: str | None, *, as_json: bool) -> None:
    """List invoices, credit notes and drafts, oldest first, with their status and what is still open."""
    rows = read_books(
        home,
        lambda connection: connection.fetch(
            f"SELECT * FROM ({_LIST}) found WHERE $1::text IS NULL OR account = $1 "  # noqa: S608 - a constant
            "ORDER BY period_end_at, number NULLS LAST, invoice_id",
            account,
        ),
    )
    shown = [
        {
            **{name: row[name] for name in ("number", "kind", "status", "account", "issue_on", "due_on", "currency")},
            "total": amount_text(row["total_minor"], row["currency"], grouped=not as_json),
            "open": _open(row, grouped=not as_json),
            **{name: row[name] for name in ("corrects", "reissues", "invoice_id")},
        }
        for row in rows
    ]
    print_rows("Invoices", shown, empty="There are no invoices.", as_json=as_json)


def show_invoice(home: Path, wanted: str, locale: str | None, *, as_json: bool) -> int:
    """Print one invoice, credit note or draft by id or number; return the exit status."""
    row = _find(home, wanted)
    if row is None:
        return 1
    invoice = msgspec.json.decode(row["content"], type=Invoice)
    if as_json:
        life = {name: row[name] for name in ("kind", "open_minor", "credited_minor", "written_off_minor")}
        document = msgspec.to_builtins(invoice, builtin_types=(Decimal,))
        print_json({**document, "status": row["status"], **life, "credit_notes": list(row["credit_notes"])})
    else:
        print_invoice(invoice, row, locale)
    return 0


def ask_about(
    home: Path,
    step: Step,
    wanted: str,
    *,
    reason: str,
    request_id: str | None,
    reissue: bool = False,
    lines: list[str] | None = None,
    as_json: bool,
) -> int:
    """Ask for a step in the life of an invoice; return the exit status."""
    row = _find(home, wanted)
    if row is None:
        return 1
    invoice = msgspec.json.decode(row["content"], type=Invoice)
    name = invoice.number or invoice.invoice_id
    if row["kind"] != "invoice":
        errors.print(f"fakturo invoices: {name} is a credit note; only invoices are voided, credited or written off")
        return 1
    if target_of(row["status"], step) is None:
        errors.print(f"fakturo invoices: {refusal(name, row['status'], step)}")
        return 1
    asked = request_id or str(uuid.uuid4())
    fields = {"request_id": asked, "account": invoice.account, "invoice_id": invoice.invoice_id, "reason": reason}
    data: InvoiceRequest | CreditNoteRequest
    if step is Step.CREDIT:
        try:
            data = CreditNoteRequest(**fields, lines=tuple(_credited(text, invoice) for text in lines or ()))
        except ValueError as error:
            errors.print(f"fakturo invoices: {error}")
            return 2
    else:
        data = InvoiceRequest(**fields, reissue=reissue)
    return ask(home, EVENT_TYPES[step], asked, invoice.account, data, as_json=as_json)


def _credited(text: str, invoice: Invoice) -> CreditedLine:
    """Return what LINE=AMOUNT says; LINE is the line's id, or its place on the invoice, from 1.

    Raises:
        ValueError: no such form, line or amount.
    """
    name, equals, amount = text.rpartition("=")
    if not equals:
        raise ValueError(f"--line {text}: say LINE=AMOUNT, such as 1=10.00")
    ids = [line.line_id for line in invoice.lines]
    if name.isdigit() and 1 <= int(name) <= len(ids):
        name = ids[int(name) - 1]
    if name not in ids:
        raise ValueError(f"--line {text}: invoice {invoice.number} has {len(ids)} lines, none of them is {name}")
    try:
        minor = exact_minor(amount, invoice.currency, "amount")
    except (PriceError, InvalidOperation) as error:
        raise ValueError(f"--line {text}: {amount!r} is no amount of {invoice.currency}") from error
    if minor <= 0:
        raise ValueError(f"--line {text}: the amount to credit is above 0")
    return CreditedLine(line_id=name, amount=amount)


def _find(home: Path, wanted: str) -> asyncpg.Record | None:
    """Return the document by id or number, None where there is none or several, having said so."""
    rows = read_books(home, lambda connection: connection.fetch(_SHOW, wanted))
    if len(rows) == 1:
        found: asyncpg.Record = rows[0]
        return found
    if rows:
        ids = ", ".join(row["invoice_id"] for row in rows)
        errors.print(f"fakturo invoices: {len(rows)} invoices are called {wanted}; say which by its id: {ids}")
    else:
        errors.print(f"fakturo invoices: there is no invoice {wanted}")
    return None


def _open(row: Any, *, grouped: bool) -> str | None:
    if row["open_minor"] is None or row["kind"] != "invoice":
        return None
    return amount_text(row["open_minor"], row["currency"], grouped=grouped)
