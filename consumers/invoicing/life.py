"""Requests about an invoice: approve, void, write off, credit; each once, or refused by the book.

Place     requests -> [this] -> life_store, the books of credit, corrections_store (reissue) -> outbox.
Refused   each request is tried in a savepoint: an UPDATE guarded by the invoice's status, or a CHECK, decides, so of
          two that can't both be one wins and the other is a dead letter, `refused_by_book`. It claims no identity then.
Waits     a request that names an unknown invoice is parked; the first tick after the invoice is there takes it up.
Reissue   the lines of the void invoice count as not billed, and each of their periods is billed again at once, as the
          contracts and the usage stand now; the new invoice says which one it stands for.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import asyncpg
from msgspec import structs

from fakturo.consumers.invoicing import (
    contracts_store,
    corrections_store,
    discounts,
    drafts_store,
    invoice_store,
    life_store,
    wallets,
)
from fakturo.consumers.invoicing.corrections_store import CorrectionRow
from fakturo.consumers.invoicing.credit_requests import Request
from fakturo.consumers.invoicing.invoice_store import CREDIT_NOTE, Issued
from fakturo.consumers.invoicing.life_store import Found
from fakturo.consumers.runtime.metrics import INVOICES as COUNTED
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.credit_notes import NoteHead, NothingLeft, credit_note, is_all, net_left, note_id_of, parts_of
from fakturo.engine.invoice_life import Status, Step, refusal
from fakturo.engine.invoicing import BilledItem
from fakturo.engine.money import exponent_of
from fakturo.engine.periods import Period, local_date
from fakturo.engine.schedule import version_at
from fakturo.engine.tax.positions import TaxPosition
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import event_of
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import Seller
from fakturo.schemas.events.invoices import CREDIT_NOTE_ISSUED, INVOICE_UNCOLLECTIBLE, INVOICE_VOIDED, Invoice
from fakturo.schemas.events.requests import (
    CREDIT_NOTE_REQUESTED,
    INVOICE_APPROVAL_GIVEN,
    INVOICE_VOID_REQUESTED,
    INVOICE_WRITE_OFF_REQUESTED,
    CreditNoteRequest,
)
from fakturo.schemas.topics import INVOICES

TYPES = frozenset({INVOICE_APPROVAL_GIVEN, INVOICE_VOID_REQUESTED, INVOICE_WRITE_OFF_REQUESTED, CREDIT_NOTE_REQUESTED})
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_CHECKS: Mapping[str, str] = {
    "invoice_left_to_credit": "more would be credited than its total",
    "line_left_to_credit": "more would be credited of a line than its amount",
    "invoice_void_uncredited": "a credit note is on it",
}
"""Constraint of the book -> what it says to a person."""


@dataclass(frozen=True, slots=True)
class Life:
    """Does what is asked about invoices; `seller` is the one of the settings."""

    seller: Seller

    async def apply(self, requests: Sequence[Request], tx: Transaction) -> None:
        """Do what `requests` ask for, in their order; park what names an unknown invoice, reject what is refused."""
        if not requests:
            return
        found = await life_store.lock_documents(tx.driver, (one.event.data.invoice_id for one in requests))
        for request in requests:
            name = request.event.data.invoice_id
            if name not in found:
                sentence = f"no invoice {name!r} has been issued or drafted"
                await tx.park([(request.record, f"invoice/{name}", sentence)])
                continue
            try:
                known = await self._try(request, found[name], tx)
            except SchemaError as error:
                tx.reject(request.record, error.reason, str(error))
                continue
            if known is None or known == _digest(request):
                tx.count(request.record.topic, "applied" if known is None else "duplicate")
            else:
                message = f"request {request.event.id!r} was done before with another payload; give it an id of its own"
                tx.reject(request.record, Reason.IDENTITY_CONFLICT, message)

    async def _try(self, request: Request, found: Sequence[Found], tx: Transaction) -> bytes | None:
        """Do one request in a savepoint; return None, or the digest of what was done before under its identity.

        Raises:
            SchemaError: the book refuses it, or it makes no sense.
        """
        document = _meant(request, found)
        emitted = len(tx.outbox)
        try:
            async with tx.driver.transaction():
                event = request.event
                known = await life_store.claim(tx.driver, event.source, event.id, _digest(request))
                if known is None:
                    await self._do(request, document, tx)
                return known
        except asyncpg.CheckViolationError as error:
            del tx.outbox[emitted:]
            message = _CHECKS.get(str(error.constraint_name), str(error))
            raise SchemaError(Reason.REFUSED_BY_BOOK, f"invoice {document.name}: {message}") from error
        except SchemaError:
            del tx.outbox[emitted:]
            raise

    async def _do(self, request: Request, document: Found, tx: Transaction) -> None:
        match request.event.type:
            case t if t == INVOICE_APPROVAL_GIVEN:
                await _approve(request, document, tx)
            case t if t == INVOICE_VOID_REQUESTED:
                await _void(request, document, tx)
            case t if t == INVOICE_WRITE_OFF_REQUESTED:
                await _write_off(request, document, tx)
            case _:
                await self._credit(request, document, tx)

    async def _credit(self, request: Request, document: Found, tx: Transaction) -> None:
        invoice = await life_store.creditable(tx.driver, document.invoice_id)
        if invoice is None:
            raise await _refused(document, Step.CREDIT, tx)
        asked = _asked(request.event.data, invoice)
        left = await life_store.left_of(tx.driver, invoice.invoice_id)
        head = NoteHead(
            note_id=note_id_of(invoice.invoice_id, request.event.source, request.event.id),
            issued_on=max(invoice.issue_date, await _local_day(request, invoice, tx)),
            reason=request.event.data.reason,
            recorded_at=_recorded_at(request),
        )
        try:
            note, parts = credit_note(invoice, left, asked, head), parts_of(left, asked)
        except NothingLeft as error:
            raise SchemaError(Reason.REFUSED_BY_BOOK, str(error)) from error
        seller = await life_store.find_seller(tx.driver, invoice.seller_code or "", self.seller)
        series = seller.credit_note_series
        number = await invoice_store.take_numbers(tx.driver, seller.code, series, 1)
        note = structs.replace(note, number=f"{series}-{number:08d}")
        await life_store.take_credit(tx.driver, note, parts)
        note = await discounts.take_back(tx, invoice, note, net_left(left), whole=is_all(left, parts))
        await invoice_store.add_positions(
            tx.driver,
            {
                (invoice.invoice_id, (tax.category, tax.rate_percent, tax.country or "")): TaxPosition(
                    tax.taxable_minor, tax.tax_minor
                )
                for tax in note.taxes
            },
        )
        await _keep_note(note, tx)
        _publish(note, CREDIT_NOTE_ISSUED, f"{note.invoice_id}:issued", request, tx)
        tx.committed.append(COUNTED.labels(CREDIT_NOTE, note.currency).inc)


async def _approve(request: Request, document: Found, tx: Transaction) -> None:
    if document.status != Status.DRAFT:
        raise SchemaError(Reason.REFUSED_BY_BOOK, refusal(document.name, document.status, Step.APPROVE))
    await drafts_store.approve(tx.driver, document.invoice_id, request.event.time)


async def _void(request: Request, document: Found, tx: Transaction) -> None:
    day = request.event.time.astimezone(UTC).date()
    invoice = await life_store.void(tx.driver, document.invoice_id, day)
    if invoice is None:
        raise await _refused(document, Step.VOID, tx)
    await drafts_store.look_again_at(tx.driver, invoice.invoice_id)
    await life_store.give_back_positions(tx.driver, invoice.invoice_id)
    taken_back = await discounts.release(tx, invoice, billed_again=request.event.data.reissue)
    await wallets.release(tx, invoice)
    if request.event.data.reissue:
        await _bill_again(request, invoice, tx)
    voided = structs.replace(taken_back, status=Status.VOID.value, reason=request.event.data.reason or None)
    _publish(voided, INVOICE_VOIDED, f"{invoice.invoice_id}:voided", request, tx)


async def _bill_again(request: Request, invoice: Invoice, tx: Transaction) -> None:
    rows = await life_store.count_no_more(tx.driver, invoice.invoice_id)
    known_at = request.record.watermark_at or BEGINNING
    await corrections_store.mark(
        tx.driver,
        [
            CorrectionRow(
                item=row["subscription_item"],
                period=Period(start_at=row["item_period_start_at"], end_at=row["item_period_end_at"]),
                known_at=known_at,
                at_once=True,
                reissues=invoice.invoice_id,
            )
            for row in rows
        ],
    )


async def _write_off(request: Request, document: Found, tx: Transaction) -> None:
    written_off = await life_store.write_off(tx.driver, document.invoice_id)
    if written_off is None:
        raise await _refused(document, Step.WRITE_OFF, tx)
    invoice, count = written_off
    given_up = structs.replace(invoice, status=Status.UNCOLLECTIBLE.value, reason=request.event.data.reason or None)
    event_id = f"{invoice.invoice_id}:uncollectible" + ("" if count == 1 else f":{count}")
    _publish(given_up, INVOICE_UNCOLLECTIBLE, event_id, request, tx)


async def _keep_note(note: Invoice, tx: Transaction) -> None:
    sequences = await life_store.next_sequences(tx.driver, (line.corrects or "" for line in note.lines))
    items = [
        BilledItem(
            subscription_item=line.subscription_item,
            product_code=line.product_code,
            description=line.description,
            explanation=line.explanation,
            quantity=line.quantity,
            amount_exact=line.amount_exact,
            amount_minor=line.amount_minor,
            period=Period(start_at=line.period.start, end_at=line.period.end),
            tax=line.tax,
            price_hash=line.price_hash or "",
            corrects=line.corrects,
            corrects_invoice=note.corrects,
            sequence=sequences.get(line.corrects or "", 1),
        )
        for line in note.lines
    ]
    await invoice_store.save_documents(tx.driver, [Issued(invoice=note, items=items, kind=CREDIT_NOTE, counts=False)])


def _asked(request: CreditNoteRequest, invoice: Invoice) -> dict[str, int] | None:
    """Return the net minor units asked for by line; None for all that is left.

    Raises:
        SchemaError: an amount is not above 0, has too many decimals, or a line is named twice.
    """
    if not request.lines:
        return None
    digits = exponent_of(invoice.currency)
    asked: dict[str, int] = {}
    for place, line in enumerate(request.lines):
        path = f"$.data.lines[{place}]"
        minor = Decimal(line.amount).scaleb(digits)
        if minor <= 0 or minor != minor.to_integral_value():
            raise SchemaError(
                Reason.INVALID_AMOUNT, f"{line.amount} is no amount above 0 of {invoice.currency}", f"{path}.amount"
            )
        if line.line_id in asked:
            raise SchemaError(Reason.UNKNOWN_SHAPE, f"line {line.line_id} is named twice", f"{path}.line_id")
        asked[line.line_id] = int(minor)
    return asked


def _meant(request: Request, found: Sequence[Found]) -> Found:
    """Return the document that is meant: numbers are gapless by seller, so two sellers may have the same one.

    Raises:
        SchemaError: it belongs to another account, or several are called that.
    """
    data = request.event.data
    mine = [document for document in found if document.account == data.account]
    if len(mine) == 1:
        return mine[0]
    if mine:
        raise SchemaError(
            Reason.REFUSED_BY_BOOK,
            f"{len(mine)} invoices of account {data.account!r} are called {data.invoice_id!r}: say its id",
            "$.data.invoice_id",
        )
    raise SchemaError(
        Reason.REFUSED_BY_BOOK,
        f"invoice {data.invoice_id!r} is not of account {data.account!r}",
        "$.data.account",
    )


async def _refused(document: Found, step: Step, tx: Transaction) -> SchemaError:
    """Return the error that says why the step is not allowed, by the status as it is now."""
    if document.kind == CREDIT_NOTE:
        return SchemaError(Reason.REFUSED_BY_BOOK, f"{document.name} is a credit note: only invoices live on")
    status = await life_store.status_of(tx.driver, document.invoice_id) or document.status
    return SchemaError(Reason.REFUSED_BY_BOOK, refusal(document.name, status, step))


async def _local_day(request: Request, invoice: Invoice, tx: Transaction) -> date:
    """Return the day of the request in the zone of the account."""
    accounts = await contracts_store.find_accounts(tx.driver, [invoice.account])
    at = request.event.time
    zone = version_at(accounts[invoice.account].versions, at).timezone if invoice.account in accounts else "UTC"
    return local_date(at, zone)


def _publish(invoice: Invoice, event_type: str, event_id: str, request: Request, tx: Transaction) -> None:
    event = event_of(
        agent=tx.agent,
        event_type=event_type,
        id=event_id,
        subject=invoice.account,
        time=request.event.time,
        data=invoice,
        recorded_at=_recorded_at(request),
    )
    tx.emit(INVOICES, structs.replace(event, traceparent=request.event.traceparent), account=invoice.account)


def _recorded_at(request: Request) -> datetime:
    return request.event.recordedat or request.record.recorded_at


def _digest(request: Request) -> bytes:
    return hashlib.sha256(encode([request.event.type, request.event.data])).digest()
