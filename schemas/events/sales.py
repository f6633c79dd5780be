"""What sales sees: opportunities, as the `contracts` agent publishes them on `billing.contracts` for the KPI agent."""

from datetime import date
from decimal import Decimal

import msgspec

from fakturo.schemas.envelope import Instant

OPPORTUNITY_CHANGED = "fakturo.opportunity.changed.v1"


class OpportunityChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An opportunity as it stands: when it was opened, and when and how it was closed.

    `opened_at` is its creation in Salesforce, `closed_at` the commit that closed it (None while it is open), `won`
    whether it was won. `closes_on` is the expected or real close date, `stage` the newest stage; `amount` is in
    `currency`. `ordered_at` is the first activation of an order that names it. A deleted one has `deleted` set.
    """

    opportunity: str
    account: str
    opened_at: Instant
    recorded_at: Instant
    stage: str | None = None
    closed_at: Instant | None = None
    won: bool = False
    closes_on: date | None = None
    ordered_at: Instant | None = None
    amount: Decimal | None = None
    currency: str | None = None
    deleted: bool = False


TYPES: dict[str, type[msgspec.Struct]] = {OPPORTUNITY_CHANGED: OpportunityChanged}
