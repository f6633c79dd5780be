"""From records to what they tell: documents, receivables, KPIs, accounts, subscriptions.

Place     handler -> [this] -> store. No I/O.
Order     what is told of one subject lies in one partition, so the record's offset is its place: the higher one is the
          newer, whatever is read first. A document's stage goes before: an issued one never becomes a draft again.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import msgspec

from fakturo.consumers.crm_sync.account_fields import is_written_kpi
from fakturo.consumers.runtime.records import Record
from fakturo.engine.money import EXPONENTS
from fakturo.schemas.codec import decode_data, decode_envelope
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events import invoices
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, Subscription, SubscriptionItem
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.kpis import AS_REPORTED, PORTFOLIO, KpiUpdated
from fakturo.schemas.events.ledger import JournalPosted
from fakturo.schemas.salesforce_ids import long_id

RECEIVABLE = "1200"
DRAFTED, ISSUED, AFTER = 0, 1, 2
_STAGES = {invoices.INVOICE_DRAFTED: DRAFTED, invoices.INVOICE_FINALIZED: ISSUED, invoices.CREDIT_NOTE_ISSUED: ISSUED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An invoice or a credit note as one record tells it; `event_type` is the record's."""

    account: str
    event_type: str
    stage: int
    place: int
    invoice: Invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivableLine:
    """A line of a journal on an invoice's receivable: above 0 it makes something owed, below 0 it settles it."""

    account: str
    journal_id: str
    line_no: int
    invoice_id: str
    kind: str
    amount_minor: int
    effective_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiFact:
    """A KPI of an account; `currency` is "" where it has none."""

    account: str
    kpi: str
    window: str
    currency: str
    value: Decimal | None
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFact:
    """An account; `record_id` is None where what it is called by is no Salesforce record id."""

    account: str
    salesforce_id: str
    record_id: str | None
    currency: str
    versions: tuple[AccountVersion, ...]
    recorded_at: datetime
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFact:
    """A subscription with what says when its items are billed."""

    account: str
    subscription_id: str
    items: tuple[SubscriptionItem, ...]
    recorded_at: datetime
    place: int


Fact = Document | ReceivableLine | KpiFact | AccountFact | SubscriptionFact


def read(record: Record) -> tuple[Fact, ...]:
    """Return what `record` tells; nothing where the org is told nothing of it.

    Raises:
        SchemaError: no event of ours, or not of its type's shape.
    """
    envelope = decode_envelope(record.value, record.headers)
    data = decode_data(envelope)
    match data:
        case Invoice():
            return (_document(record, envelope.type, data),)
        case JournalPosted():
            return _receivables(data)
        case KpiUpdated():
            return _kpi(record, data)
        case AccountChanged():
            return (_account(record, data),)
        case Subscription():
            return (_subscription(record, data),)
        case _:
            return ()


def _document(record: Record, event_type: str, invoice: Invoice) -> Document:
    if invoice.currency not in EXPONENTS:
        text = f"{invoice.currency!r} is not a currency of ISO 4217"
        raise SchemaError(Reason.UNKNOWN_CURRENCY, text, "$.data.currency")
    return Document(
        account=invoice.account,
        event_type=event_type,
        stage=_STAGES.get(event_type, AFTER),
        place=record.offset,
        invoice=invoice,
    )


def _receivables(journal: JournalPosted) -> tuple[ReceivableLine, ...]:
    return tuple(
        ReceivableLine(
            account=line.party or journal.account,
            journal_id=journal.journal_id,
            line_no=number,
            invoice_id=line.invoice_id,
            kind=journal.kind,
            amount_minor=line.amount_minor,
            effective_on=journal.effective_on,
        )
        for number, line in enumerate(journal.lines, start=1)
        if line.account_code == RECEIVABLE and line.invoice_id is not None
    )


def _kpi(record: Record, told: KpiUpdated) -> tuple[KpiFact, ...]:
    if told.account == PORTFOLIO or told.basis != AS_REPORTED or not is_written_kpi(told.kpi, told.window):
        return ()  # the org shows what was reported, as the books' own pages do
    fact = KpiFact(
        account=told.account,
        kpi=told.kpi,
        window=told.window,
        currency=told.currency or "",
        value=told.value,
        place=record.offset,
    )
    return (fact,)


def _account(record: Record, changed: AccountChanged) -> AccountFact:
    try:
        record_id: str | None = long_id(changed.salesforce_id)
    except ValueError:
        record_id = None
    return AccountFact(
        account=changed.account,
        salesforce_id=changed.salesforce_id,
        record_id=record_id,
        currency=changed.versions[-1].currency,
        versions=changed.versions,
        recorded_at=changed.recorded_at,
        place=record.offset,
    )


def _subscription(record: Record, told: Subscription) -> SubscriptionFact:
    # Prices and terms say how much, not when; they are the bulk of a subscription.
    items = tuple(msgspec.structs.replace(item, prices=(), terms=()) for item in told.items)
    return SubscriptionFact(
        account=told.account,
        subscription_id=told.subscription_id,
        items=items,
        recorded_at=told.recorded_at,
        place=record.offset,
    )
