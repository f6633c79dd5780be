"""The agent takes requests and subscriptions with terms, and its own invoices show what came of them."""

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from fakturo.consumers.runtime.records import Record
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import Commitment, Coupon, Subscription
from fakturo.schemas.events.requests import CREDIT_GRANT_REQUESTED, CreditGrant
from tests.consumers.invoicing.conftest import BEGINNING, Desk, account, item, month, subscription


async def ask(desk: Desk, grant: CreditGrant, watermark_at: datetime) -> None:
    """Hand in a request for credit that came when time had reached `watermark_at`."""
    event = event_of(
        agent="cli", event_type=CREDIT_GRANT_REQUESTED, id=grant.grant_id, subject=grant.account, time=BEGINNING,
        data=grant,
    )  # fmt: skip
    record = Record("billing.requests", 0, next(desk.offsets), None, encode(event), (), BEGINNING, watermark_at)
    tx = desk.transaction()
    async with desk.connection.transaction():
        await desk.agent.handle([record], tx)
    assert [decode_event(row.value).type for row in tx.outbox] == ["fakturo.credit.granted.v1"]


async def test_an_invoice_uses_the_coupon_of_its_subscription_and_the_wallet_of_its_customer(desk: Desk) -> None:
    """15,000.00 less 10 %: 13,500.00; 8.875 % of it 1,198.125, so 1,198.13; 14,698.13 less 5,000.00. The grant that
    came after the tick waits for February."""
    terms = with_terms(coupons=(Coupon(code="TEN", description="Welcome", percent=Decimal(10), duration="once"),))
    await desk.take(account("UA"), terms)
    await ask(desk, CreditGrant(grant_id="w", account="UA", currency="USD", amount="5000.00"), BEGINNING)
    await ask(desk, CreditGrant(grant_id="late", account="UA", currency="USD", amount="1.00"), month(2))
    (january,) = await desk.tick(month(2))
    assert (january.subtotal_minor, january.tax_minor, january.total_minor) == (1_350_000, 119_813, 1_469_813)
    assert (january.credits_applied_minor, january.amount_due_minor) == (500_000, 969_813)
    assert [(one.kind, one.description, one.amount_minor) for one in january.discounts] == [
        ("coupon", "Welcome", -150_000)
    ]
    (february,) = await desk.tick(month(3))
    assert (february.discounts, february.credits_applied_minor) == ((), 100)


async def test_a_term_that_ends_with_the_year_is_trued_up_by_december(desk: Desk) -> None:
    """12 x 15,000.00 are 180,000.00 of the 200,000.00 committed: 20,000.00 short, on the invoice of 1 January."""
    await desk.take(
        account("UA"),
        with_terms(commitment=Commitment(amount_minor=20_000_000, start_on=date(2013, 1, 1), end_on=date(2014, 1, 1))),
    )
    invoices = await desk.tick(datetime(2014, 3, 2, tzinfo=UTC))
    true_ups = [(one.issue_date, line.amount_minor) for one in invoices for line in one.lines if line.kind == "true_up"]
    assert true_ups == [(date(2014, 1, 1), 2_000_000)]
    assert len(invoices) == 14


def with_terms(**fields: object) -> Subscription:
    """Return a subscription of one terminal at 15,000.00 with terms that shape its invoices."""
    return msgspec.structs.replace(subscription("UA", item("terminal")), **fields)
