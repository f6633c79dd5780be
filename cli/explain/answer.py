"""What `fakturo explain --json` prints: the shapes, and with them the keys, which stay (docs/explain.md).

Place     explaining -> [this] -> JSON, or view for a person.
Numbers   amounts and quantities are decimal texts, amounts in the major unit. Keys are added, never renamed or dropped.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A half-open stretch of time; `timezone` is the one in which its days are counted."""

    start: datetime
    end: datetime
    timezone: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice, credit note or draft that the line stands on."""

    invoice_id: str
    number: str | None
    kind: str
    status: str
    account: str
    issued_on: date
    period_start: datetime
    period_end: datetime
    corrects: str | None
    reissues: str | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The line as it was billed. `amount` is net; `explanation` is what the customer read."""

    line_id: str
    number: int
    kind: str
    account: str
    subscription_id: str | None
    subscription_item: str
    product_code: str
    description: str
    explanation: str
    quantity: Decimal
    unit: str | None
    unit_amount: Decimal | None
    amount: Decimal
    amount_exact: Decimal
    currency: str


class PriceUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The price version: `document` is the price language's object, found by `hash` in the contract."""

    hash: str
    model: str
    currency: str
    effective_from: date
    effective_until: date | None
    own_unit_amount: Decimal | None
    own_discount_percent: Decimal | None
    document: dict[str, Any]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the amount. The amounts of all steps add up to the line's, to the last digit."""

    description: str
    quantity: Decimal | None
    unit_amount: Decimal | None
    amount: Decimal


class OtherLine(msgspec.Struct, frozen=True, kw_only=True):
    """Another line of the same item and period, or the one that this line corrects."""

    line_id: str
    invoice: str
    kind: str
    quantity: Decimal
    amount: Decimal
    status: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the slice came to: before this line was billed, and with it."""

    quantity: Decimal
    amount: Decimal


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a line changed of its slice, which may have been billed before."""

    before: Standing
    now: Standing
    earlier: tuple[OtherLine, ...]
    later: tuple[OtherLine, ...]


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """What was used in an hour of the account's zone; `quantity` is None where a meter's hours don't make it up."""

    start: datetime
    local: str
    events: int
    quantity: Decimal | None


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """What counts, and how."""

    code: str
    event_type: str
    aggregation: str
    value: str | None
    group_by: tuple[str, ...]
    filter: dict[str, tuple[str, ...]]


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of the slice. `revision` is that of the statement billed; hours are as they count now."""

    meter: Meter
    revision: int | None
    newest_revision: int | None
    as_of: datetime | None
    groups: dict[str, Decimal]
    event_count: int
    hours: tuple[Hour, ...]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The CloudEvents `source` and `id` of an event."""

    source: str
    id: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A usage event as it is stored, and where it came from.

    `counts` says that it is in the totals now. `corrected_by` names the correction that took it out, `replaces` the
    event in whose place it stands; `value` is what its meter reads of it.
    """

    source: str
    id: str
    at: datetime
    type: str
    value: Decimal | None
    data: Any
    topic: str
    partition: int
    offset: int
    recorded_at: datetime
    late: bool
    counts: bool
    corrected_by: Identity | None
    replaces: Identity | None


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """The first events of the slice, by event time. `held` is False where raw events of it are kept no more."""

    shown: tuple[Event, ...]
    more: bool
    held: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `price`, `used` and `events` are None where a line has none; `notes` are sentences."""

    document: Document
    line: Line | None
    discount: dict[str, Any] | None
    slice: Span | None
    item_period: Span | None
    price: PriceUsed | None
    steps: tuple[Step, ...]
    amount: Decimal
    corrects: OtherLine | None
    change: Change | None
    used: Used | None
    events: Events | None
    notes: tuple[str, ...]
