"""What a payment must wait for: the invoice that it names, its account's first invoice, the payment it gives back.

Place     handler -> [this] -> store; what waits is parked under the reference that is named here.
Accounts  the ledger knows an account by its first invoice. A payment of an unknown account that names no invoice waits
          for that invoice: booked then, it settles exactly what it would have settled had it come after, whoever won
          the race; booked to 2310 at once it would have to be moved by hand. Parked too long, it is a dead letter and
          an alert, and a person decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg

from fakturo.consumers.ledger import store
from fakturo.consumers.ledger.reading import InvoiceEntry, PaymentEntry


@dataclass(slots=True)
class Waiting:
    """Payments that wait: (entry, reference, sentence), and the `id()` of each of these entries."""

    items: list[tuple[PaymentEntry, str, str]] = field(default_factory=list)
    entries: set[int] = field(default_factory=set)

    def add(self, entry: PaymentEntry, reference: str, message: str) -> None:
        """Let `entry` wait for `reference`."""
        self.items.append((entry, reference, message))
        self.entries.add(id(entry))


async def find_waiting(driver: asyncpg.Connection, entries: Sequence[PaymentEntry]) -> Waiting:
    """Return which of `entries` name something that is neither in the books nor among `entries`."""
    waiting = Waiting()
    received = [entry for entry in entries if entry.row.type == "received"]
    await _find_received(driver, received, waiting)
    giving_back = [entry for entry in entries if entry.gives_back]
    arriving = {entry.row.payment_id for entry in received if id(entry) not in waiting.entries}
    missing = {entry.row.payment_id for entry in giving_back} - arriving
    missing -= await store.known_payments(driver, missing)
    for entry in giving_back:
        payment_id = entry.row.payment_id
        if payment_id in missing:
            waiting.add(entry, f"payment/{payment_id}", f"no payment {payment_id!r} has been received")
    return waiting


async def _find_received(driver: asyncpg.Connection, received: Sequence[PaymentEntry], waiting: Waiting) -> None:
    invoices = await store.known_invoices(driver, (name for entry in received for name in entry.invoice_names))
    accounts = await store.known_accounts(driver, (entry.row.account for entry in received if not entry.invoice_names))
    for entry in received:
        names, account = entry.invoice_names, entry.row.account
        if names and not any(name in invoices for name in names):
            waiting.add(entry, f"invoice/{names[0]}", f"no invoice {names[0]!r} has been issued")
        elif not names and account not in accounts:
            waiting.add(entry, f"account/{account}", f"account {account!r} has no invoice yet")


def invoice_references(entries: Iterable[InvoiceEntry]) -> list[str]:
    """Return what invoices bring: their id, their number, their account."""
    references: set[str] = set()
    for entry in entries:
        invoice = entry.invoice
        references |= {f"invoice/{invoice.invoice_id}", f"account/{invoice.account}"}
        if invoice.number:
            references.add(f"invoice/{invoice.number}")
    return sorted(references)


def payment_references(entries: Iterable[PaymentEntry]) -> list[str]:
    """Return what received payments bring: their id."""
    return sorted({f"payment/{entry.row.payment_id}" for entry in entries if entry.row.type == "received"})
