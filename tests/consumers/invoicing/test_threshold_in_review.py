"""A bill at a threshold that is in review while its month goes on: newer usage, a void, and the month's own bill."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import pytest
from msgspec import structs

from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.schemas.events.invoices import Invoice
from tests.consumers.invoicing.books import Books
from tests.consumers.invoicing.conftest import Desk, account, item, month, settings_of, statement, subscription

DAY = timedelta(days=1)
TENTH, TWENTIETH = month(1) + 9 * DAY, month(1) + 19 * DAY


@pytest.fixture
def books(desk: Desk) -> Books:
    """Return books at which nobody reviews but where a subscription asks for approval."""
    return Books(desk)


async def begin(desk: Desk, *, approval: bool = True) -> None:
    """Sign UA up: a terminal at 15,000.00 a month, and movements that are billed at 100.00."""
    watched = structs.replace(
        subscription("UA", item("movement", metered=True), item("terminal")),
        billing_threshold_minor=10_000,
        approval_required=approval,
    )
    await desk.take(account("UA"), watched)
    await desk.tick(month(1))


async def count(books: Books, amount: int, at: datetime) -> list[Invoice]:
    """Let the movements of January come to `amount` (cents) at `at`; return what is said by the next day."""
    await books.desk.take(statement("UA", "movement", 1, (amount, amount), final=False), watermark_at=at)
    return await books.tick(at + DAY)


def lines(*invoices: Invoice) -> list[tuple[str, str, int]]:
    return [(line.kind, line.subscription_item, line.amount_minor) for one in invoices for line in one.lines]


async def drafts(connection: asyncpg.Connection) -> Sequence[str]:
    rows = await connection.fetch("SELECT invoice_id FROM invoicing.draft ORDER BY due_at, invoice_id")
    return [row["invoice_id"] for row in rows]


async def test_newer_usage_changes_the_draft_and_an_approved_one_is_billed_before_the_month_is_over(
    books: Books,
) -> None:
    """110.00, then 130.00 in review, approved: 130.00 on 10 January; 150.00 by the month's end leaves 20.00."""
    await begin(books.desk)
    (first,) = await count(books, 11_000, TENTH)
    (second,) = await count(books, 13_000, TWENTIETH)
    assert (first.invoice_id, lines(first)) == (second.invoice_id, [("charge", "movement", 11_000)])
    assert lines(second) == [("charge", "movement", 13_000)]
    await books.ask("approve", first.invoice_id, at=TWENTIETH + DAY)
    (invoice,) = await books.tick(TWENTIETH + 2 * DAY)
    assert (invoice.invoice_id, invoice.number, invoice.issue_date) == (
        first.invoice_id, "NYC-00000001", TENTH.date(),
    )  # fmt: skip
    assert lines(invoice) == [("charge", "movement", 13_000)]
    await books.desk.take(statement("UA", "movement", 1, (15_000, 15_000)))
    (rest,) = await books.tick(month(2))
    assert lines(rest) == [("correction", "movement", 2_000), ("charge", "terminal", 1_500_000)]
    assert rest.lines[0].corrects == invoice.lines[0].line_id


async def test_the_months_own_draft_takes_over_what_nobody_approved_at_the_threshold(books: Books) -> None:
    """110.00 in review, 150.00 by the month's end: one draft of all of it, and the earlier one is said to be gone."""
    await begin(books.desk)
    (partial,) = await count(books, 11_000, TENTH)
    await books.desk.take(statement("UA", "movement", 1, (15_000, 15_000)))
    months, gone = await books.tick(month(2))
    assert lines(months) == [("charge", "movement", 15_000), ("charge", "terminal", 1_500_000)]
    assert (gone.invoice_id, gone.status, lines(gone), gone.total_minor) == (partial.invoice_id, "draft", [], 0)
    assert await drafts(books.desk.connection) == [months.invoice_id]
    assert months.invoice_id != partial.invoice_id
    await books.ask("approve", months.invoice_id, at=month(2) + DAY)
    (invoice,) = await books.tick(month(2) + 2 * DAY)
    assert (invoice.number, lines(invoice)) == ("NYC-00000001", lines(months))
    assert len({event.id for event in books.events}) == len(books.events) == 4


async def test_the_months_bill_takes_over_also_where_it_is_not_reviewed_itself(books: Books) -> None:
    """Approval is asked for no more when the month is over: its invoice has all, and the draft is gone."""
    await begin(books.desk)
    (partial,) = await count(books, 11_000, TENTH)
    await books.desk.take(
        structs.replace(subscription("UA", item("movement", metered=True), item("terminal")), approval_required=False),
        statement("UA", "movement", 1, (15_000, 15_000)),
        watermark_at=TWENTIETH,
    )
    invoice, gone = await books.tick(month(2))
    assert (invoice.number, lines(invoice)) == (
        "NYC-00000001", [("charge", "movement", 15_000), ("charge", "terminal", 1_500_000)],
    )  # fmt: skip
    assert (gone.invoice_id, lines(gone)) == (partial.invoice_id, [])
    assert await drafts(books.desk.connection) == []


async def test_a_void_for_good_leaves_the_draft_that_bills_what_came_after_it(books: Books) -> None:
    """120.00 is invoiced and voided for good while 130.00 more is in review: 130.00, and 10.00 with the month's 260.00.

    Nothing of the 120.00 is billed again.
    """
    await begin(books.desk)
    (first,) = await count(books, 12_000, TENTH)
    await books.ask("approve", first.invoice_id, at=TENTH + DAY)
    (void,) = await books.tick(TENTH + 2 * DAY)
    (second,) = await count(books, 25_000, TWENTIETH)
    assert lines(second) == [("correction", "movement", 13_000)]
    assert await books.ask("void", void.invoice_id, at=TWENTIETH + DAY) == []
    assert await books.tick(TWENTIETH + 2 * DAY) == []  # made anew, and the same: it is not said again
    assert await drafts(books.desk.connection) == [second.invoice_id]
    await books.ask("approve", second.invoice_id, at=TWENTIETH + 2 * DAY)
    (invoice,) = await books.tick(TWENTIETH + 3 * DAY)
    assert (invoice.invoice_id, lines(invoice)) == (second.invoice_id, [("correction", "movement", 13_000)])
    await books.desk.take(statement("UA", "movement", 1, (26_000, 26_000)))
    (rest,) = await books.tick(month(2))
    assert lines(rest) == [("correction", "movement", 1_000), ("charge", "terminal", 1_500_000)]


async def test_a_void_for_good_and_then_the_months_own_draft_lose_and_double_nothing(books: Books) -> None:
    """120.00 voided for good, 130.00 more in review, 260.00 by the month's end: 140.00 on the month's draft."""
    await begin(books.desk)
    (first,) = await count(books, 12_000, TENTH)
    await books.ask("approve", first.invoice_id, at=TENTH + DAY)
    await books.tick(TENTH + 2 * DAY)
    (second,) = await count(books, 25_000, TWENTIETH)
    await books.ask("void", first.invoice_id, at=TWENTIETH + DAY)
    assert await books.tick(TWENTIETH + 2 * DAY) == []
    await books.desk.take(statement("UA", "movement", 1, (26_000, 26_000)))
    months, gone = await books.tick(month(2))
    assert lines(months) == [("correction", "movement", 14_000), ("charge", "terminal", 1_500_000)]
    assert (gone.invoice_id, lines(gone)) == (second.invoice_id, [])


async def test_a_void_for_good_does_not_end_billing_at_the_threshold(desk: Desk) -> None:
    """Without review: 120.00 is voided for good, and 130.00 more reaches the threshold again."""
    books = Books(desk)
    await begin(desk, approval=False)
    (first,) = await count(books, 12_000, TENTH)
    await books.ask("void", first.invoice_id, at=TENTH + DAY)
    (second,) = await count(books, 25_000, TWENTIETH)
    assert lines(second) == [("correction", "movement", 13_000)]


@pytest.mark.parametrize("days", [1, 10])
async def test_a_review_window_that_the_months_end_falls_into_gives_one_bill_however_far_time_jumps(
    connection: asyncpg.Connection, days: int
) -> None:
    """Five days of review from 30 January on; the month's own review ends on 6 February."""
    books = Books(Desk(connection, InvoicingAgent(settings_of(review_seconds=5 * 86_400))))
    await begin(books.desk, approval=False)
    (partial,) = await count(books, 11_000, month(1) + 29 * DAY)
    await books.desk.take(statement("UA", "movement", 1, (15_000, 15_000)))
    documents = []
    for day in range(0, 11, days):
        documents += await books.tick(month(2) + day * DAY)
    whole = [("charge", "movement", 15_000), ("charge", "terminal", 1_500_000)]
    assert [(one.status, lines(one)) for one in documents] == [("draft", whole), ("draft", []), ("open", whole)]
    assert documents[1].invoice_id == partial.invoice_id


async def test_an_approved_draft_is_billed_before_the_months_own_in_one_step_too(books: Books) -> None:
    """Approved on 11 January, known in February: nothing of it is on the month's draft."""
    await begin(books.desk)
    (partial,) = await count(books, 11_000, TENTH)
    await books.ask("approve", partial.invoice_id, at=TENTH + DAY)
    await books.desk.take(statement("UA", "movement", 1, (15_000, 15_000)))
    invoice, months = await books.tick(month(2) + DAY)
    assert (invoice.invoice_id, invoice.number, months.status) == (partial.invoice_id, "NYC-00000001", "draft")
    assert lines(invoice, months) == [("charge", "movement", 15_000), ("charge", "terminal", 1_500_000)]


async def test_a_draft_that_is_approved_while_its_month_waits_for_a_statement_is_billed(books: Books) -> None:
    """The month is over, its last statement late: the 110.00 go out, and 40.00 follow with the month's."""
    await begin(books.desk)
    (partial,) = await count(books, 11_000, TENTH)
    assert await books.tick(month(2)) == []
    await books.ask("approve", partial.invoice_id, at=month(2) + DAY)
    (invoice,) = await books.tick(month(2) + 2 * DAY)
    assert (invoice.number, lines(invoice)) == ("NYC-00000001", [("charge", "movement", 11_000)])
    await books.desk.take(statement("UA", "movement", 1, (15_000, 15_000)))
    (months,) = await books.tick(month(2) + 3 * DAY)
    assert lines(months) == [("correction", "movement", 4_000), ("charge", "terminal", 1_500_000)]


async def test_a_draft_that_was_dropped_and_is_made_again_is_said_under_ids_of_its_own(books: Books) -> None:
    """110.00, all of it taken back, then 120.00: one document, said three times, each an event of its own."""
    await begin(books.desk)
    (first,) = await count(books, 11_000, TENTH)
    await books.desk.take(statement("UA", "movement", 1, final=False), watermark_at=TENTH + 2 * DAY)
    (gone,) = await books.tick(TENTH + 3 * DAY)
    (again,) = await count(books, 12_000, TWENTIETH)
    assert [lines(one) for one in (first, gone, again)] == [
        [("charge", "movement", 11_000)], [], [("charge", "movement", 12_000)],
    ]  # fmt: skip
    document = first.invoice_id
    assert [event.id for event in books.events] == [f"{document}:drafted:{number}" for number in (1, 2, 3)]
    await count(books, 12_500, TWENTIETH + 2 * DAY)
    await books.ask("approve", document, at=TWENTIETH + 4 * DAY)
    (invoice,) = await books.tick(TWENTIETH + 5 * DAY)
    assert (books.events[-2].id, lines(invoice)) == (f"{document}:drafted:4", [("charge", "movement", 12_500)])
    assert len({event.id for event in books.events}) == len(books.events) == 5
