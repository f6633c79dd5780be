"""Drafts: documents in review, made anew from what is known when they are finalised.

Place     due -> billing -> [this] -> drafts_store, outbox (`drafted`); time, or an approval -> finalizing.
Review    with a review window, or where a subscription asks for approval, a document is first a draft without a number.
          What comes in the window changes it, and is said again; one that is dropped is said without lines, and what
          is said of its document later is counted on from there, so no two events have one id. Its periods are billed
          by it and by nothing else; what is on one at a threshold goes over to the bill of its whole period once that
          is due.
Books     a draft shows discounts and credit as they would be now, and takes nothing of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from msgspec import structs

from fakturo.consumers.invoicing import drafts_store, ended_terms, finalizing
from fakturo.consumers.invoicing.billing import Bill, bill_of, needs_approval
from fakturo.consumers.invoicing.drafts_store import DraftRow
from fakturo.consumers.invoicing.due import read_book
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.periods import Period
from fakturo.schemas import topics
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import Seller
from fakturo.schemas.events.invoices import INVOICE_DRAFTED, Invoice

DRAFTS_MAX = 200
"""How many drafts one transaction looks at."""


_invoice = msgspec.json.Decoder(Invoice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """Makes and finalises drafts; `review` is the window, `seller` the one of the settings.

    `grace` is how long after its instant a period is billed.
    """

    review: timedelta
    grace: timedelta
    seller: Seller

    def is_reviewed(self, bill: Bill) -> bool:
        """Return whether the document is a draft first."""
        return self.review > timedelta(0) or needs_approval(bill.payer)

    async def draft(self, bills: Sequence[Bill], at: datetime, tx: Transaction) -> None:
        """Keep and publish the drafts of `bills`."""
        numbered = await finalizing.with_revisions(bills, tx)
        for bill, invoice in zip(numbered, await _looked_at(numbered, at, tx), strict=True):
            ready_at = bill.group.due_at + self.review
            draft_no = await drafts_store.save(tx.driver, bill.group, invoice, ready_at, needs_approval(bill.payer))
            _publish(invoice, draft_no, bill.group.due_at, tx)

    async def renew(self, at: datetime, tx: Transaction) -> bool:
        """Make anew some of the drafts that a change has touched; return whether there was any."""
        rows = await drafts_store.stale(tx.driver, DRAFTS_MAX)
        bills = await self._bills(rows, tx)
        known = {row.group.draft_id: row for row in rows}
        for invoice in await _looked_at(bills, at, tx):
            row = known[invoice.invoice_id]
            is_new = _invoice.decode(encode(invoice)) != _invoice.decode(row.content)
            await drafts_store.renew(tx.driver, invoice, row.draft_no + is_new)
            if is_new:
                _publish(invoice, row.draft_no + 1, row.group.due_at, tx)
        return bool(rows)

    async def finalize(self, at: datetime, tx: Transaction) -> bool:
        """Finalise some of the drafts whose review is over at `at`; return whether there was any."""
        rows = await drafts_store.ready(tx.driver, at, self.grace, DRAFTS_MAX)
        bills = await self._bills(rows, tx)
        await drafts_store.delete(tx.driver, [row.group.draft_id or "" for row in rows])
        if bills:
            await finalizing.finalize(bills, at, tx)
        return bool(rows)

    async def _bills(self, rows: Sequence[DraftRow], tx: Transaction) -> list[Bill]:
        """Return the bills of drafts as they are now; where nothing is left to bill the draft is dropped, and said."""
        groups = [row.group for row in rows]
        book = await read_book(groups, tx)
        bills, gone = [], []
        for row in rows:
            if row.group.true_up_of is not None:
                bill = await ended_terms.bill_of(row.group, self.seller, tx)
            else:
                bill = bill_of(row.group, book, self.seller)
            if bill is None:
                gone.append(row)
            else:
                bills.append(_as_drafted(bill, row))
        await drafts_store.drop(tx.driver, [row.group.draft_id or "" for row in gone])
        for row in gone:
            _publish(_emptied(row), row.draft_no + 1, row.group.due_at, tx)
        return await finalizing.with_revisions(bills, tx)


def _as_drafted(bill: Bill, row: DraftRow) -> Bill:
    """Return the bill with the period that the draft's id was made of."""
    before = _invoice.decode(row.content)
    period = Period(start_at=before.period.start, end_at=before.period.end)
    return replace(bill, head=replace(bill.head, period=period))


def _emptied(row: DraftRow) -> Invoice:
    """Return the draft with nothing on it: so others learn that it is no more."""
    return structs.replace(
        _invoice.decode(row.content),
        lines=(),
        discounts=(),
        taxes=(),
        credits=(),
        loyalty=None,
        subtotal_minor=0,
        tax_minor=0,
        total_minor=0,
        credits_applied_minor=0,
        amount_due_minor=0,
    )


async def _looked_at(bills: Sequence[Bill], at: datetime, tx: Transaction) -> list[Invoice]:
    """Return the documents as they would be now, with nothing taken from any book."""
    made = await finalizing.make(bills, at, tx, hold=False)
    return [structs.replace(one.invoice, status="draft") for one in made]


def _publish(invoice: Invoice, draft_no: int, at: datetime, tx: Transaction) -> None:
    event = event_of(
        agent=tx.agent,
        event_type=INVOICE_DRAFTED,
        id=f"{invoice.invoice_id}:drafted:{draft_no}",
        subject=invoice.account,
        time=at,
        data=invoice,
        recorded_at=invoice.recorded_at,
    )
    tx.emit(topics.INVOICES, event, account=invoice.account)
