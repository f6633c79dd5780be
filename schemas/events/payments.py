"""Payments as banks and payment providers report them on `billing.payments`."""

from decimal import Decimal
from typing import Annotated

import msgspec

from fakturo.schemas.envelope import Instant

PAYMENT_RECEIVED = "fakturo.payment.received.v1"
PAYMENT_FAILED = "fakturo.payment.failed.v1"
PAYMENT_REFUNDED = "fakturo.payment.refunded.v1"
PAYMENT_CHARGED_BACK = "fakturo.payment.charged_back.v1"

DecimalString = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,24}(\.[0-9]{1,12})?$")]
"""A decimal number as text (PRICING.md, Numbers): a JSON number would have passed through a float somewhere."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of money. `amount` and `fee` are in the major unit; exact in the currency's exponent.

    `invoice_id` or `invoice_number` says what was paid; neither means the oldest open invoices of the account.
    """

    payment_id: str
    account: str
    currency: str
    amount: DecimalString
    method: str
    received_at: Instant
    invoice_id: str | None = None
    invoice_number: str | None = None
    fee: DecimalString | None = None

    @property
    def amount_decimal(self) -> Decimal:
        """Return the amount in the major unit."""
        return Decimal(self.amount)

    @property
    def fee_decimal(self) -> Decimal:
        """Return the fee in the major unit, 0 where none was given."""
        return Decimal(self.fee or "0")


TYPES: dict[str, type[msgspec.Struct]] = dict.fromkeys(
    (PAYMENT_RECEIVED, PAYMENT_FAILED, PAYMENT_REFUNDED, PAYMENT_CHARGED_BACK), Payment
)
