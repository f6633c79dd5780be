"""Journals as the `ledger` agent posts them."""

from datetime import date

import msgspec

from fakturo.schemas.envelope import Instant

JOURNAL_POSTED = "fakturo.journal.posted.v1"


class JournalSource(msgspec.Struct, frozen=True, kw_only=True):
    """What caused a journal: an invoice or a payment, by type and id."""

    type: str
    id: str


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One leg: positive is debit, negative is credit, in minor units of `currency`.

    `party` is the customer on accounts that are kept by customer (1200, 2300), else None. `invoice_id` says which
    invoice a receivable leg opens or settles.
    """

    account_code: str
    account_name: str
    party: str | None
    currency: str
    amount_minor: int
    invoice_id: str | None = None


class JournalPosted(msgspec.Struct, frozen=True, kw_only=True):
    """A balanced journal: the lines of every currency sum to 0. `account` is the customer that it concerns."""

    journal_id: str
    kind: str
    account: str
    source: JournalSource
    effective_on: date
    recorded_at: Instant
    lines: tuple[JournalLine, ...]


TYPES: dict[str, type[msgspec.Struct]] = {JOURNAL_POSTED: JournalPosted}
