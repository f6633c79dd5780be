"""What became of a customer's credit and points between invoices; told on `billing.invoices`, booked by the ledger."""

from datetime import date

import msgspec

from fakturo.schemas.envelope import Instant

CREDIT_GRANTED = "fakturo.credit.granted.v1"
CREDIT_EXPIRED = "fakturo.credit.expired.v1"
CREDIT_LOW = "fakturo.credit.low_balance.v1"
POINTS_EXPIRED = "fakturo.points.expired.v1"


class CreditMovement(msgspec.Struct, frozen=True, kw_only=True):
    """A grant that was booked, or what was left of it when it expired; `amount_minor` is above 0.

    `kind` is `prepaid` or `promotional`; `balance_minor` is the account's credit of this kind and currency after it.
    """

    grant_id: str
    account: str
    currency: str
    kind: str
    amount_minor: int
    balance_minor: int
    effective_on: date
    expires_on: date | None = None
    description: str = ""
    recorded_at: Instant | None = None


class CreditLow(msgspec.Struct, frozen=True, kw_only=True):
    """The account's prepaid credit fell below what it asked to be told of; said once until it is above it again."""

    account: str
    currency: str
    balance_minor: int
    threshold_minor: int
    effective_on: date
    recorded_at: Instant | None = None


class PointsExpired(msgspec.Struct, frozen=True, kw_only=True):
    """Points earned by `invoice_id` that were not redeemed in time.

    `released_minor` is the revenue that waited for them.
    """

    account: str
    currency: str
    programme: str
    invoice_id: str
    points: int
    released_minor: int
    effective_on: date
    recorded_at: Instant | None = None


TYPES: dict[str, type[msgspec.Struct]] = {
    CREDIT_GRANTED: CreditMovement,
    CREDIT_EXPIRED: CreditMovement,
    CREDIT_LOW: CreditLow,
    POINTS_EXPIRED: PointsExpired,
}
