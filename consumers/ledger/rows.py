"""The ledger's rows as values, one class a table of the schema `ledger`.

Place     reading and book make these -> store and posting_store write them.
Amounts   integer minor units of `currency`.
"""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A CloudEvent's identity and the digest of what it says."""

    source: str
    id: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    """An invoice as the ledger keeps it. Amounts in minor units of `currency`.

    `written_off_minor` is what was given up and has not come back, `credited_minor` what credit notes took off.
    """

    invoice_id: str
    number: str | None
    account: str
    currency: str
    issued_on: date
    due_on: date
    total_minor: int
    open_minor: int
    written_off_minor: int = 0
    credited_minor: int = 0
    is_void: bool = False
    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    """A payment event as recorded; `type` is received, failed, refunded or charged_back."""

    payment_id: str
    type: str
    account: str
    currency: str
    amount_minor: int
    fee_minor: int
    method: str
    received_at: datetime
    recorded_at: datetime
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRow:
    """What a payment settles of an invoice; negative where it is taken back."""

    journal_id: str
    invoice_id: str
    payment_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A received payment as it stands: what of it is credit, was given back, and settles which invoices."""

    payment_id: str
    currency: str
    account: str
    amount_minor: int
    credit_minor: int
    returned_minor: int
    allocations: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """A journal's head; its lines are `LineRow`s."""

    journal_id: str
    kind: str
    account: str
    source_type: str
    source_id: str
    effective_on: date
    recorded_at: datetime
    line_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """One leg of a journal: + is debit, - is credit."""

    journal_id: str
    line_no: int
    account_code: str
    party: str | None
    currency: str
    amount_minor: int
    invoice_id: str | None
