"""What people and programs ask of the invoicing agent on `billing.requests`; each is done once, or refused by the book.

Place     `fakturo invoices|credits ...`, portals, PSP adapters -> [this] -> invoicing. Identity is (`source`, `id`).
Refused   more than is left of a coupon, a wallet or an invoice, or a step that the life of an invoice does not have: a
          dead letter with the reason `refused_by_book`.
"""

from datetime import date

import msgspec

from fakturo.schemas.events.contracts import Coupon
from fakturo.schemas.events.payments import DecimalString

COUPON_GRANT_REQUESTED = "fakturo.coupon.grant_requested.v1"
CREDIT_GRANT_REQUESTED = "fakturo.credit.grant_requested.v1"
POINTS_REDEMPTION_REQUESTED = "fakturo.points.redemption_requested.v1"
INVOICE_APPROVAL_GIVEN = "fakturo.invoice.approval_given.v1"
INVOICE_VOID_REQUESTED = "fakturo.invoice.void_requested.v1"
INVOICE_WRITE_OFF_REQUESTED = "fakturo.invoice.write_off_requested.v1"
CREDIT_NOTE_REQUESTED = "fakturo.credit_note.requested.v1"


class CouponGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Gives `account` a coupon from its next invoice on."""

    grant_id: str
    account: str
    coupon: Coupon


class CreditGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Credit for `account`: `kind` `prepaid` (paid for; pays totals, after tax) or `promotional` (lowers net amounts).

    Grants are used up by ascending `priority`, then the earliest expiry, then id. It holds up to, not including, the
    local date `expires_on`. `low_balance` is the balance of the account's prepaid credit below which an alert goes out.
    """

    grant_id: str
    account: str
    currency: str
    amount: DecimalString
    kind: str = "prepaid"
    description: str = ""
    priority: int = 100
    expires_on: date | None = None
    low_balance: DecimalString | None = None


class PointsRedemption(msgspec.Struct, frozen=True, kw_only=True):
    """Redeems points of `account` as a discount on its next invoice."""

    redemption_id: str
    account: str
    points: int


class InvoiceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Approves, voids or writes off an invoice. `reissue` bills what a void one billed again, as it stands now."""

    request_id: str
    account: str
    invoice_id: str
    reason: str = ""
    reissue: bool = False


class CreditedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a line to credit, net: `amount` above 0 in the major unit."""

    line_id: str
    amount: DecimalString


class CreditNoteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Credits an invoice: all that is left of it, or `lines` in part; tax is mirrored."""

    request_id: str
    account: str
    invoice_id: str
    reason: str
    lines: tuple[CreditedLine, ...] = ()


TYPES: dict[str, type[msgspec.Struct]] = {
    COUPON_GRANT_REQUESTED: CouponGrant,
    CREDIT_GRANT_REQUESTED: CreditGrant,
    POINTS_REDEMPTION_REQUESTED: PointsRedemption,
    INVOICE_APPROVAL_GIVEN: InvoiceRequest,
    INVOICE_VOID_REQUESTED: InvoiceRequest,
    INVOICE_WRITE_OFF_REQUESTED: InvoiceRequest,
    CREDIT_NOTE_REQUESTED: CreditNoteRequest,
}
