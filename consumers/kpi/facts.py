"""From records to facts: what an invoice or a journal adds to whose day.

Place     handler -> [this] -> store. No I/O.
Days      a fact belongs to its `effective_on` (an invoice's issue date, a journal's date) and is reported on
          `booked_on`: that day, or, where it came late, the first day that was still open in its partition. So what a
          closed day reports never changes, and ticks that are worked off together give the same books as ticks one by
          one. A void takes the invoice off its own issue date, so that no window holds the one without the other; a
          credit note belongs to its own issue date, bad debt to the day of the journal.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec

from fakturo.consumers.kpi.standing import Standing, standing_of
from fakturo.consumers.runtime.records import Record
from fakturo.engine.money import EXPONENTS
from fakturo.schemas.codec import decode_data, decode_envelope
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import ACCOUNT_CHANGED, AccountChanged
from fakturo.schemas.events.invoices import CREDIT_NOTE_ISSUED, INVOICE_FINALIZED, INVOICE_VOIDED, Invoice
from fakturo.schemas.events.ledger import JOURNAL_POSTED, JournalPosted

RECEIVABLE, FEES, BAD_DEBT = "1200", "6200", "6100"
RECOVERED = "recovered"
_COUNTED = frozenset({RECEIVABLE, FEES, BAD_DEBT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one source adds to one customer's day; amounts in minor units of `currency`.

    `settled_minor` is what the payment `payment_id` settled of `invoice_id`, negative where it was given back.
    `recurring_minor` is by how much a month's fixed charges change. `line_minor` is what was billed for the item
    `subscription_item`, on the middle day of its period, which no zone moves into another month. What is `moved` counts
    on `effective_on` as reported; restated it counts on the day of the invoice that it corrects.
    """

    account: str
    currency: str
    effective_on: date
    booked_on: date
    invoices: int = 0
    net_minor: int = 0
    gross_minor: int = 0
    receivable_minor: int = 0
    fees_minor: int = 0
    bad_debt_minor: int = 0
    settled_minor: int = 0
    invoice_id: str | None = None
    payment_id: str | None = None
    recurring_minor: int = 0
    won: int = 0
    cycle_days: int = 0
    line_minor: int = 0
    subscription_item: str | None = None
    corrects_invoice: str | None = None
    moved_net_minor: int = 0
    moved_gross_minor: int = 0
    moved_invoices: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An invoice (with its dates), or what comes after it or a journal (without), its identity and its facts."""

    record: Record
    id: str
    digest: bytes
    due_on: date | None
    facts: tuple[Fact, ...]
    issued_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountName:
    """The name and currency that an account is shown with."""

    account: str
    name: str
    currency: str
    recorded_at: datetime


def read(record: Record) -> Source | AccountName | Standing | None:
    """Return what `record` tells, None where it says nothing that a KPI counts.

    Raises:
        SchemaError: no event of ours, or not of its type's shape.
    """
    envelope = decode_envelope(record.value, record.headers)
    data = decode_data(envelope)
    if envelope.type == INVOICE_FINALIZED:
        return _of_invoice(record, envelope, data)
    if envelope.type == CREDIT_NOTE_ISSUED:
        return _of_credit_note(record, envelope, data)
    if envelope.type == INVOICE_VOIDED:
        return _of_void(record, envelope, data)
    if envelope.type == JOURNAL_POSTED:
        return _of_journal(record, envelope, data)
    if envelope.type == ACCOUNT_CHANGED:
        return _of_account(data)
    return standing_of(data)


def _of_account(changed: AccountChanged) -> AccountName:
    newest = changed.versions[-1]
    return AccountName(
        account=changed.account, name=newest.name, currency=newest.currency, recorded_at=changed.recorded_at
    )


def _of_invoice(record: Record, envelope: Event[msgspec.Raw], invoice: Invoice) -> Source:
    _check_currency(invoice.currency)
    fact = Fact(
        account=invoice.account,
        currency=invoice.currency,
        effective_on=invoice.issue_date,
        booked_on=_booked_on(record, _told_on(envelope, invoice.issue_date)),
        invoices=1,
        net_minor=invoice.subtotal_minor,
        gross_minor=invoice.total_minor,
        invoice_id=invoice.invoice_id,
    )
    return Source(
        record=record,
        id=invoice.invoice_id,
        digest=_digest(envelope),
        due_on=invoice.due_date,
        issued_on=invoice.issue_date,
        facts=(fact, *_of_lines(invoice, fact.booked_on), *_moved(invoice, fact.booked_on, only_corrects=1)),
    )


def _of_lines(invoice: Invoice, booked_on: date, sign: int = 1) -> Iterator[Fact]:
    """Yield what each item was billed; in which month decides the middle of its period."""
    for line in invoice.lines:
        if line.amount_minor:
            middle_at = line.period.start + (line.period.end - line.period.start) / 2
            yield Fact(
                account=invoice.account,
                currency=invoice.currency,
                effective_on=middle_at.astimezone(UTC).date(),
                booked_on=booked_on,
                invoice_id=invoice.invoice_id,
                line_minor=sign * line.amount_minor,
                subscription_item=line.subscription_item,
            )


def _moved(document: Invoice, booked_on: date, *, only_corrects: int = 0, sign: int = 1) -> Iterator[Fact]:
    """Yield what of a document corrects each invoice, net and gross; all of one that does nothing else.

    Such a document counts as `only_corrects` invoices.
    """
    amounts: dict[str, list[int]] = {}
    for line in document.lines:
        if line.corrects_invoice is not None:
            found = amounts.setdefault(line.corrects_invoice, [0, 0, 0])
            found[0] += line.amount_minor
            found[1] += line.amount_minor + (line.tax_minor or 0)
    if document.corrects is not None:  # with the discounts that it gives or takes back
        amounts = {document.corrects: [document.subtotal_minor, document.total_minor, only_corrects]}
    for invoice_id, (net, gross, invoices) in sorted(amounts.items()):
        yield Fact(
            account=document.account,
            currency=document.currency,
            effective_on=document.issue_date,
            booked_on=booked_on,
            corrects_invoice=invoice_id,
            moved_net_minor=sign * net,
            moved_gross_minor=sign * gross,
            moved_invoices=sign * invoices,
        )


def _of_credit_note(record: Record, envelope: Event[msgspec.Raw], note: Invoice) -> Source:
    """Return what a credit note takes off net and gross of its issue date; its amounts are negative."""
    _check_currency(note.currency)
    fact = Fact(
        account=note.account,
        currency=note.currency,
        effective_on=note.issue_date,
        booked_on=_booked_on(record, _told_on(envelope, note.issue_date)),
        net_minor=note.subtotal_minor,
        gross_minor=note.total_minor,
        invoice_id=note.corrects,
    )
    facts = (fact, *_of_lines(note, fact.booked_on), *_moved(note, fact.booked_on))
    return Source(record=record, id=envelope.id, digest=_digest(envelope), due_on=None, facts=facts)


def _of_void(record: Record, envelope: Event[msgspec.Raw], invoice: Invoice) -> Source:
    """Return what takes a void invoice off its own issue date, reported from the day it was voided on."""
    _check_currency(invoice.currency)
    voided_on = max(invoice.issue_date, envelope.time.astimezone(UTC).date())
    fact = Fact(
        account=invoice.account,
        currency=invoice.currency,
        effective_on=invoice.issue_date,
        booked_on=_booked_on(record, voided_on),
        invoices=-1,
        net_minor=-invoice.subtotal_minor,
        gross_minor=-invoice.total_minor,
        invoice_id=invoice.invoice_id,
    )
    facts = (
        fact,
        *_of_lines(invoice, fact.booked_on, sign=-1),
        *_moved(invoice, fact.booked_on, only_corrects=1, sign=-1),
        *_taken_back(invoice, fact.booked_on),
    )
    return Source(record=record, id=envelope.id, digest=_digest(envelope), due_on=None, facts=facts)


def _taken_back(invoice: Invoice, booked_on: date) -> Iterator[Fact]:
    """Yield what a void takes back of the invoice itself: all of it but what corrected others."""
    if invoice.corrects is not None:
        return
    others = list(_moved(invoice, booked_on))
    yield Fact(
        account=invoice.account,
        currency=invoice.currency,
        effective_on=invoice.issue_date,
        booked_on=booked_on,
        corrects_invoice=invoice.invoice_id,
        moved_net_minor=sum(one.moved_net_minor for one in others) - invoice.subtotal_minor,
        moved_gross_minor=sum(one.moved_gross_minor for one in others) - invoice.total_minor,
        moved_invoices=-1,
    )


def _of_journal(record: Record, envelope: Event[msgspec.Raw], journal: JournalPosted) -> Source:
    booked_on = _booked_on(record, _told_on(envelope, journal.effective_on))
    # A journal of the kind `recovered` only makes owed again what was written off.
    settles = journal.source.type == "payment" and journal.kind != RECOVERED
    facts: list[Fact] = []
    rest: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in journal.lines:
        _check_currency(line.currency)
        account = line.party or journal.account
        if line.account_code == RECEIVABLE and line.invoice_id and settles:
            facts.append(
                Fact(
                    account=account,
                    currency=line.currency,
                    effective_on=journal.effective_on,
                    booked_on=booked_on,
                    receivable_minor=line.amount_minor,
                    settled_minor=-line.amount_minor,
                    invoice_id=line.invoice_id,
                    payment_id=journal.source.id,
                )
            )
        elif line.account_code in _COUNTED:
            rest[account, line.currency][line.account_code] += line.amount_minor
    for (account, currency), sums in rest.items():
        facts.append(
            Fact(
                account=account,
                currency=currency,
                effective_on=journal.effective_on,
                booked_on=booked_on,
                receivable_minor=sums[RECEIVABLE],
                fees_minor=sums[FEES],
                bad_debt_minor=sums[BAD_DEBT],
            )
        )
    return Source(record=record, id=journal.journal_id, digest=_digest(envelope), due_on=None, facts=tuple(facts))


def _told_on(envelope: Event[msgspec.Raw], effective_on: date) -> date:
    """Return the UTC day for which a document or journal was made, no earlier than the day that it belongs to.

    The two differ west of Greenwich, where it is still the day before. Without it the day would be that of the last
    tick before the record, and an agent that works off two ticks together passes on the second alone.
    """
    return max(effective_on, envelope.time.astimezone(UTC).date())


def _booked_on(record: Record, effective_on: date) -> date:
    if record.watermark_at is None:
        return effective_on
    return max(effective_on, record.watermark_at.astimezone(UTC).date())


def _digest(envelope: Event[msgspec.Raw]) -> bytes:
    return hashlib.sha256(bytes(envelope.data)).digest()


def _check_currency(currency: str) -> None:
    if currency not in EXPONENTS:
        raise SchemaError(Reason.UNKNOWN_CURRENCY, f"{currency!r} is not a currency of ISO 4217", "$.data.currency")
