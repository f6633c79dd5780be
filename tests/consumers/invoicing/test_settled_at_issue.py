"""An invoice that nothing is owed of when it is finalised is paid there and then, once; amounts by hand.

A terminal at 15,000.00 with 8.875 % tax (1,331.25) is 16,331.25.
"""

from datetime import date
from decimal import Decimal

from fakturo.schemas.events.contracts import Coupon
from fakturo.schemas.events.requests import CreditGrant
from tests.consumers.invoicing.books import Books
from tests.consumers.invoicing.conftest import BEGINNING, Desk, account, item, month, statement, subscription
from tests.consumers.invoicing.test_credit_through_the_agent import ask, with_terms


async def test_an_invoice_that_prepaid_credit_pays_wholly_is_paid_when_it_is_finalised(desk: Desk) -> None:
    books = Books(desk)
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    await ask(desk, CreditGrant(grant_id="w", account="UA", currency="USD", amount="20000.00"), BEGINNING)
    await books.tick(month(2))
    (finalized,) = books.told("invoice.finalized")
    (paid,) = books.told("invoice.paid")
    assert (finalized.data.total_minor, finalized.data.amount_due_minor) == (1_633_125, 0)
    assert (paid.id, paid.data.status) == (f"{finalized.data.invoice_id}:paid", "paid")
    await books.post()
    assert await books.status(finalized.data.invoice_id) == ("paid", 0, 0)
    await books.tick(month(2))
    assert len(books.told("invoice.paid")) == 1


async def test_an_invoice_of_nothing_is_paid_and_one_that_is_partly_paid_is_not(desk: Desk) -> None:
    """January: no movement, 0.00. February: 16,331.25 less 16,331.24 of credit leaves 0.01."""
    books = Books(desk)
    terminal = item("terminal", service_start_on=date(2013, 2, 1))
    await desk.take(account("UA"), subscription("UA", item("movement", metered=True), terminal))
    for number in (1, 2):
        await desk.take(statement("UA", "movement", number, (0, 0)))
    await ask(desk, CreditGrant(grant_id="w", account="UA", currency="USD", amount="16331.24"), BEGINNING)
    await books.tick(month(3))
    january, february = (event.data for event in books.told("invoice.finalized"))
    assert (january.total_minor, february.amount_due_minor) == (0, 1)
    assert [event.data.invoice_id for event in books.told("invoice.paid")] == [january.invoice_id]
    assert await _statuses(desk) == ["paid", "open"]


async def test_an_invoice_that_a_coupon_makes_free_is_paid(desk: Desk) -> None:
    books = Books(desk)
    free = Coupon(code="FREE", description="Free", percent=Decimal(100), duration="once")
    await desk.take(account("UA"), with_terms(coupons=(free,)))
    await books.tick(month(3))
    assert [event.data.total_minor for event in books.told("invoice.paid")] == [0]
    assert await _statuses(desk) == ["paid", "open"]


async def test_a_document_below_0_is_a_credit_note_and_never_paid(desk: Desk) -> None:
    """Cancelled from 16 January in an advance-billed month: 7,500.00 come back."""
    books = Books(desk)
    seat = item("seat", billing="advance")
    await desk.take(account("UA"), subscription("UA", seat))
    await books.tick(month(1))
    ended = item("seat", billing="advance", service_end_on=date(2013, 1, 16))
    await desk.take(subscription("UA", ended), watermark_at=month(1))
    await books.tick(month(2))
    assert len(books.told("credit_note.issued")) == 1
    assert books.told("invoice.paid") == []
    assert await _statuses(desk) == ["open", "open"]


async def _statuses(desk: Desk) -> list[str]:
    rows = await desk.connection.fetch("SELECT status FROM invoicing.invoice ORDER BY period_end_at, kind DESC")
    return [row["status"] for row in rows]
