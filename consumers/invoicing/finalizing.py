"""Bills become documents: discounts, tax, credit, a number without a gap, and the event that says so.

Place     due, drafts -> billing -> [this] -> invoice_store, outbox (billing.invoices).
Order     discounts are reserved, tax is added, credit pays; then the number is taken, in the series of invoices or,
          where the total is negative, of credit notes. All in one transaction, in the order of the payers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs

from fakturo.consumers.invoicing import discounts, invoice_store, receivables, wallets
from fakturo.consumers.invoicing.billing import Bill
from fakturo.consumers.invoicing.invoice_store import CREDIT_NOTE, INVOICE, Issued, RevisionKey
from fakturo.consumers.runtime.metrics import INVOICES
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.invoicing import AppliedDiscount, BilledItem, build_invoice, net_items
from fakturo.engine.tax.groups import Key
from fakturo.engine.tax.positions import Positions, TaxPosition, key_of
from fakturo.schemas import topics
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.invoices import CREDIT_NOTE_ISSUED, INVOICE_FINALIZED, Invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A document without its number, what its lines were rated from and what it moves of the tax positions."""

    bill: Bill
    invoice: Invoice
    items: tuple[BilledItem, ...]
    moves: dict[tuple[str, Key], TaxPosition]
    discounts: Sequence[AppliedDiscount] = ()

    @property
    def kind(self) -> str:
        """Return `credit_note` where the customer gets money back, else `invoice`."""
        return CREDIT_NOTE if self.invoice.total_minor < 0 else INVOICE

    @property
    def series(self) -> tuple[str, str]:
        """Return the seller and the series of its number."""
        seller = self.bill.payer.seller
        return seller.code, seller.credit_note_series if self.kind == CREDIT_NOTE else seller.invoice_series


async def finalize(bills: Sequence[Bill], at: datetime, tx: Transaction) -> None:
    """Make, number, keep and publish the documents of `bills`, in their order, with the books as they were at `at`."""
    made = await make(await with_revisions(bills, tx), at, tx)
    numbers = {}
    for (seller_code, series), count in sorted(Counter(one.series for one in made).items()):
        numbers[seller_code, series] = await invoice_store.take_numbers(tx.driver, seller_code, series, count)
    documents = []
    for one in made:
        number = f"{one.series[1]}-{numbers[one.series]:08d}"
        numbers[one.series] += 1
        invoice = structs.replace(one.invoice, number=number)
        documents.append(Issued(invoice=invoice, items=one.items, discounts=one.discounts, kind=one.kind))
    await invoice_store.save_documents(tx.driver, documents)
    moves: dict[tuple[str, Key], TaxPosition] = {}
    for one in made:
        for key, position in one.moves.items():
            moves[key] = _added(moves.get(key), position)
    await invoice_store.add_positions(tx.driver, moves)
    for document, one in zip(documents, made, strict=True):
        publish(document, one.bill.group.due_at, tx)
        await receivables.settle_at_issue(document, one.bill.group.due_at, tx)


async def with_revisions(bills: Sequence[Bill], tx: Transaction) -> list[Bill]:
    """Return the bills, each with the next revision of its account, seller, cost centre and period."""
    revisions = await invoice_store.last_revisions(
        tx.driver, (_revision_key(bill) for bill in bills if bill.group.revision is None)
    )
    found = []
    for bill in bills:
        revision = bill.group.revision  # one that was in review keeps its own
        if revision is None:
            key = _revision_key(bill)
            revision = revisions[key] = revisions.get(key, 0) + 1
        found.append(replace(bill, head=replace(bill.head, revision=revision)))
    return found


async def make(bills: Sequence[Bill], at: datetime, tx: Transaction, *, hold: bool = True) -> list[Made]:
    """Return the documents of `bills` without numbers; with `hold` the books give what they use.

    They are made one after the other: what the one before used, or taxed of an invoice that both correct, is gone.
    """
    corrected = {item.corrects_invoice for bill in bills for item in bill.items if item.corrects_invoice}
    positions = await invoice_store.find_positions(tx.driver, corrected) if corrected else {}
    made = []
    for bill in bills:
        one = await _make(bill, positions, at, tx, hold=hold)
        for key in one.moves.keys() & {key for key in one.moves if key[0] in corrected}:
            positions[key] = _added(positions.get(key), one.moves[key])
        made.append(one)
    return made


async def _make(bill: Bill, positions: Positions, at: datetime, tx: Transaction, *, hold: bool) -> Made:
    rounding = bill.payer.seller.tax_rounding
    lines = net_items(bill.items, rounding, positions)  # discounts are net
    found = await discounts.reserve(tx, bill.payer, bill.head, lines, at=at, hold=hold)
    items = net_items((*lines, *found.extra_items), rounding, positions)
    invoice = build_invoice(
        bill.head,
        items,
        discounts=found.applied,
        tax_rounding=rounding,
        loyalty=found.loyalty,
        positions=positions,
    )
    moves = _moves(invoice, items, found.applied)
    paid = await wallets.pay(tx, invoice, at=at, hold=hold)
    return Made(bill=bill, invoice=paid, items=items, moves=moves, discounts=found.applied)


def _moves(
    invoice: Invoice, items: Sequence[BilledItem], applied: Sequence[AppliedDiscount]
) -> dict[tuple[str, Key], TaxPosition]:
    """Return what the lines add to what has been taxed, of the invoice itself and of those that they correct."""
    moves: dict[tuple[str, Key], TaxPosition] = {}
    for index, (line, item) in enumerate(zip(invoice.lines, items, strict=True)):
        key = (item.corrects_invoice or invoice.invoice_id, key_of(line.tax))
        taxable = line.amount_minor + sum(one.shares[index] for one in applied)
        moves[key] = _added(moves.get(key), TaxPosition(taxable, line.tax_minor or 0))
    return moves


def _added(one: TaxPosition | None, other: TaxPosition) -> TaxPosition:
    if one is None:
        return other
    return TaxPosition(one.taxable_minor + other.taxable_minor, one.tax_minor + other.tax_minor)


def _revision_key(bill: Bill) -> RevisionKey:
    head = bill.head
    return head.account, head.seller_code or "", head.cost_centre or "", head.period.start_at


def publish(document: Issued, at: datetime, tx: Transaction) -> None:
    """Publish a finalised invoice, or a credit note issued, for `at`, the instant for which it was made."""
    invoice = document.invoice
    is_note = document.kind == CREDIT_NOTE
    event = event_of(
        agent=tx.agent,
        event_type=CREDIT_NOTE_ISSUED if is_note else INVOICE_FINALIZED,
        id=f"{invoice.invoice_id}:{'issued' if is_note else 'finalized'}",
        subject=invoice.account,
        time=at,
        data=invoice,
        recorded_at=invoice.recorded_at,
    )
    tx.emit(topics.INVOICES, event, account=invoice.account)
    tx.committed.append(INVOICES.labels(document.kind, invoice.currency).inc)
