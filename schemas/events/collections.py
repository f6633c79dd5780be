"""What the `collections` agent publishes on `billing.collections`: reminders, instalment plans, payer ratings."""

from datetime import date
from decimal import Decimal

import msgspec

from fakturo.schemas.envelope import Instant

REMINDER_SENT = "fakturo.reminder.sent.v1"
INSTALMENT_PLAN_AGREED = "fakturo.instalment_plan.agreed.v1"
PAYER_RATED = "fakturo.payer.rated.v1"


class ReminderSent(msgspec.Struct, frozen=True, kw_only=True):
    """A reminder of one overdue invoice. `level` counts from 1; `fee_minor` is what this reminder adds to the debt."""

    reminder_id: str
    account: str
    invoice_id: str
    level: int
    channel: str
    sent_at: Instant
    new_due_date: date
    currency: str
    overdue_minor: int
    fee_minor: int = 0
    locale: str | None = None
    recorded_at: Instant | None = None


class Instalment(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a plan, due on a local date of the account."""

    due_on: date
    amount_minor: int


class InstalmentPlanAgreed(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement to pay `invoice_ids` in parts; the instalments, in order of their dates, sum to `total_minor`."""

    plan_id: str
    account: str
    invoice_ids: tuple[str, ...]
    currency: str
    total_minor: int
    instalments: tuple[Instalment, ...]
    agreed_at: Instant
    recorded_at: Instant | None = None


class PayerRated(msgspec.Struct, frozen=True, kw_only=True):
    """How well an account pays, as of a day: `score` from 0 (never) to 1 (always on time), with what it rests on."""

    account: str
    as_of: date
    rating: str
    score: Decimal
    reasons: tuple[str, ...]
    definition: str
    previous_rating: str | None = None
    recorded_at: Instant | None = None


TYPES: dict[str, type[msgspec.Struct]] = {
    REMINDER_SENT: ReminderSent,
    INSTALMENT_PLAN_AGREED: InstalmentPlanAgreed,
    PAYER_RATED: PayerRated,
}
