"""Posting rules: what a business event becomes in double entry, as journal lines that sum to zero.

Place     ledger agent -> [this] -> journal lines -> Postgres (which checks them again) and `billing.ledger`.
Signs     + is debit, - is credit; amounts are integer minor units of one currency; legs of 0 are left out.
Source    reference/ledger.md section 4 (J1 invoice, J3 partial payment, J4 overpayment, J5 and J11 credit applied, J6
          refund, J7 credit note, J8 void, J9 write-off without relief for the tax, J10 top-up, J12 points, J14
          charge-back).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from fakturo.engine.errors import InvariantBroken
from fakturo.schemas.events.credit import CreditMovement, PointsExpired
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.ledger import JournalLine


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAccount:
    """An account of the chart. `by_party`: kept by customer, so each of its lines names one."""

    code: str
    name: str
    by_party: bool


CLEARING = LedgerAccount(code="1020", name="Payment clearing", by_party=False)
RECEIVABLE = LedgerAccount(code="1200", name="Accounts receivable", by_party=True)
TAX = LedgerAccount(code="2100", name="Tax payable", by_party=False)
CREDIT = LedgerAccount(code="2300", name="Customer credit balance", by_party=True)
POINTS = LedgerAccount(code="2210", name="Loyalty points", by_party=False)
PREPAID = LedgerAccount(code="2320", name="Prepaid credit", by_party=True)
REVENUE = LedgerAccount(code="4000", name="Revenue", by_party=False)
BREAKAGE = LedgerAccount(code="4080", name="Breakage", by_party=False)
DISCOUNTS = LedgerAccount(code="4090", name="Discounts", by_party=False)
CREDIT_NOTES = LedgerAccount(code="4095", name="Credit notes", by_party=False)
BAD_DEBT = LedgerAccount(code="6100", name="Bad debt", by_party=False)
FEES = LedgerAccount(code="6200", name="Payment provider fees", by_party=False)

CHART: Mapping[str, LedgerAccount] = MappingProxyType(
    {
        account.code: account
        for account in (
            *(CLEARING, RECEIVABLE, TAX, POINTS, CREDIT, PREPAID),
            *(REVENUE, BREAKAGE, DISCOUNTS, CREDIT_NOTES, BAD_DEBT, FEES),
        )
    }
)


Leg = tuple[LedgerAccount, str | None, int, str | None]
"""Account, customer, amount in minor units, invoice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a payment settles of an invoice: `amount_minor` above 0, owed by `party`."""

    party: str
    invoice_id: str
    amount_minor: int


def post_invoice(invoice: Invoice) -> tuple[JournalLine, ...]:
    """Return 1200 +due, 2320 +prepaid and 2300 +other credits applied, 2100 -tax, and the legs of its revenue.

    Raises:
        InvariantBroken: the invoice's own sums do not agree.
    """
    account, currency = invoice.account, invoice.currency
    prepaid_minor = sum(credit.amount_minor for credit in invoice.credits)
    return _lines(
        currency,
        (RECEIVABLE, account, invoice.amount_due_minor, invoice.invoice_id),
        (CREDIT, account, invoice.credits_applied_minor - prepaid_minor, None),
        (PREPAID, account, prepaid_minor, None),
        *_revenue(invoice, REVENUE),
        (TAX, None, -invoice.tax_minor, None),
    )


def _revenue(invoice: Invoice, revenue: LedgerAccount) -> tuple[Leg, ...]:
    """Return 4090 +discounts, `revenue` -gross, 2210 -what waits for points earned +what points redeemed release.

    What points take off an invoice is no discount: that revenue was deferred when they were earned (J12).
    """
    discounts_minor = -sum(one.amount_minor for one in invoice.discounts if one.kind != "loyalty")
    waiting_minor = invoice.loyalty.deferred_minor - invoice.loyalty.released_minor if invoice.loyalty else 0
    return (
        (DISCOUNTS, None, discounts_minor, None),
        (revenue, None, waiting_minor - discounts_minor - invoice.subtotal_minor, None),
        (POINTS, None, -waiting_minor, None),
    )


def post_credit_granted(movement: CreditMovement) -> tuple[JournalLine, ...]:
    """Return 2300 +x, 2320 -x: what was paid in becomes prepaid credit (J10, tax at use); nothing for a promotion."""
    amount_minor = movement.amount_minor if movement.kind == "prepaid" else 0
    return _lines(
        movement.currency,
        (CREDIT, movement.account, amount_minor, None),
        (PREPAID, movement.account, -amount_minor, None),
    )


def post_credit_expired(movement: CreditMovement) -> tuple[JournalLine, ...]:
    """Return 2320 +x, 4080 -x: breakage, the prepaid credit that nobody used in time; nothing for a promotion."""
    amount_minor = movement.amount_minor if movement.kind == "prepaid" else 0
    return _lines(
        movement.currency,
        (PREPAID, movement.account, amount_minor, None),
        (BREAKAGE, None, -amount_minor, None),
    )


def post_points_expired(expired: PointsExpired) -> tuple[JournalLine, ...]:
    """Return 2210 +x, 4080 -x: breakage, the revenue that waited for points which nobody redeemed in time (J12)."""
    return _lines(
        expired.currency,
        (POINTS, None, expired.released_minor, None),
        (BREAKAGE, None, -expired.released_minor, None),
    )


def post_payment(
    *, account: str, currency: str, fee_minor: int, settlements: Iterable[Settlement], credit_minor: int
) -> tuple[JournalLine, ...]:
    """Return 1020 +received -fee, 6200 +fee, 1200 -settled by invoice, 2300 -rest."""
    settled = tuple(settlements)
    received_minor = sum(settlement.amount_minor for settlement in settled) + credit_minor
    return _lines(
        currency,
        (CLEARING, None, received_minor - fee_minor, None),
        (FEES, None, fee_minor, None),
        *((RECEIVABLE, part.party, -part.amount_minor, part.invoice_id) for part in settled),
        (CREDIT, account, -credit_minor, None),
    )


def post_return(
    *, account: str, currency: str, fee_minor: int, settlements: Iterable[Settlement], credit_minor: int
) -> tuple[JournalLine, ...]:
    """Return a refund or charge-back: 2300 +credit, 1200 +taken back by invoice, 6200 +fee, 1020 -all of it.

    Revenue stays: the customer owes again what was given back, until a credit note or a write-off says otherwise.
    """
    taken = tuple(settlements)
    returned_minor = sum(settlement.amount_minor for settlement in taken) + credit_minor
    return _lines(
        currency,
        (CREDIT, account, credit_minor, None),
        *((RECEIVABLE, part.party, part.amount_minor, part.invoice_id) for part in taken),
        (FEES, None, fee_minor, None),
        (CLEARING, None, -returned_minor - fee_minor, None),
    )


def post_credit_note(note: Invoice, settled: Settlement | None) -> tuple[JournalLine, ...]:
    """Return 4095 +gross, 4090 -discounts, 2210 +deferral, 2100 +tax, 1200 -what it settles, 2300 -the rest (J7).

    The amounts of `note` are negative. All credit notes of an invoice together take back what a void of it takes back,
    with 4095 in place of 4000. The rest is what was paid already, by payments or by prepaid credit: it is the
    customer's credit.

    Raises:
        InvariantBroken: the note's own sums do not agree.
    """
    settled_minor = settled.amount_minor if settled else 0
    return _lines(
        note.currency,
        *_revenue(note, CREDIT_NOTES),
        (TAX, None, -note.tax_minor, None),
        (RECEIVABLE, note.account, -settled_minor, settled.invoice_id if settled else None),
        (CREDIT, note.account, note.total_minor + settled_minor, None),
    )


def post_void(invoice: Invoice, open_minor: int) -> tuple[JournalLine, ...]:
    """Return the exact negative of the invoice's own journal (J8); what was paid meanwhile becomes credit.

    `open_minor` is what is still open of it, so 1200 falls by that and 2300 takes what was paid.
    """
    paid_minor = invoice.amount_due_minor - open_minor
    legs = [
        msgspec.structs.replace(line, amount_minor=-(open_minor if line.account_code == RECEIVABLE.code else amount))
        for line in post_invoice(invoice)
        if (amount := line.amount_minor)
    ]
    paid = _leg(invoice.currency, CREDIT, invoice.account, -paid_minor, None)
    return balanced(invoice.currency, [line for line in (*legs, paid) if line.amount_minor])


def post_write_off(written_off: Settlement, currency: str) -> tuple[JournalLine, ...]:
    """Return 6100 +all of it, 1200 -what is given up (J9); the tax on it stays owed, so it is expense too."""
    return _lines(
        currency,
        (BAD_DEBT, None, written_off.amount_minor, None),
        (RECEIVABLE, written_off.party, -written_off.amount_minor, written_off.invoice_id),
    )


def post_recovery(recovered: Settlement, currency: str) -> tuple[JournalLine, ...]:
    """Return 1200 +x, 6100 -x: what was written off is owed again, since it is being paid, credited or voided."""
    return _lines(
        currency,
        (RECEIVABLE, recovered.party, recovered.amount_minor, recovered.invoice_id),
        (BAD_DEBT, None, -recovered.amount_minor, None),
    )


def balanced(currency: str, lines: Sequence[JournalLine]) -> tuple[JournalLine, ...]:
    """Return `lines`.

    Raises:
        InvariantBroken: they do not sum to 0.
    """
    imbalance_minor = sum(line.amount_minor for line in lines)
    if imbalance_minor:
        raise InvariantBroken(f"a journal is off by {imbalance_minor} minor units of {currency}: {lines}")
    return tuple(lines)


def _lines(currency: str, *legs: Leg) -> tuple[JournalLine, ...]:
    """Return the legs that are not 0.

    Raises:
        InvariantBroken: they do not sum to 0 (an invoice whose total is not subtotal and tax).
    """
    return balanced(
        currency,
        [
            _leg(currency, account, party, amount_minor, invoice_id)
            for account, party, amount_minor, invoice_id in legs
            if amount_minor
        ],
    )


def _leg(
    currency: str, account: LedgerAccount, party: str | None, amount_minor: int, invoice_id: str | None
) -> JournalLine:
    return JournalLine(
        account_code=account.code,
        account_name=account.name,
        party=party,
        currency=currency,
        amount_minor=amount_minor,
        invoice_id=invoice_id,
    )
