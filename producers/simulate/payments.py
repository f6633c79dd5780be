"""Who pays when in the flights year: a pure function from an invoice to its payments.

Place     `billing.invoices` -> producers/simulate/year -> [this] -> `billing.payments`.
Rule      in full on the due date by bank transfer, except F9 (20 days late), YV (half, rounded down to the cent, on the
          due date, the rest 40 days later) and OO (never). Money arrives at noon, New York time.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fakturo.producers.simulate.flights_contracts import TIMEZONE
from fakturo.schemas.envelope import Event
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.payments import PAYMENT_RECEIVED, Payment

SOURCE = "bank/nyc"
METHOD = "bank_transfer"
LATE_ACCOUNT, LATE_DAYS = "F9", 20
SPLIT_ACCOUNT, SPLIT_DAYS = "YV", 40
NEVER_PAYS = "OO"
NOON = time(12)


def payments_of(invoice: Invoice) -> list[Event[Payment]]:
    """Return the payments of `invoice` in the order that they arrive; none where nothing is due."""
    due_minor = invoice.amount_due_minor
    if invoice.account == NEVER_PAYS or due_minor <= 0:
        return []
    if invoice.account == SPLIT_ACCOUNT:
        parts = [(0, due_minor // 2), (SPLIT_DAYS, due_minor - due_minor // 2)]
    else:
        parts = [(LATE_DAYS if invoice.account == LATE_ACCOUNT else 0, due_minor)]
    return [
        _payment(invoice, number, amount_minor, invoice.due_date + timedelta(days=days))
        for number, (days, amount_minor) in enumerate(parts, start=1)
        if amount_minor
    ]


def _payment(invoice: Invoice, number: int, amount_minor: int, on: date) -> Event[Payment]:
    received_at = datetime.combine(on, NOON, ZoneInfo(TIMEZONE)).astimezone(UTC)
    payment_id = f"{invoice.invoice_id}/payment/{number}"
    return Event(
        specversion="1.0",
        id=payment_id,
        source=SOURCE,
        type=PAYMENT_RECEIVED,
        subject=invoice.account,
        time=received_at,
        datacontenttype="application/json",
        data=Payment(
            payment_id=payment_id,
            account=invoice.account,
            currency=invoice.currency,
            amount=f"{amount_minor // 100}.{amount_minor % 100:02}",
            method=METHOD,
            received_at=received_at,
            invoice_id=invoice.invoice_id,
        ),
    )
