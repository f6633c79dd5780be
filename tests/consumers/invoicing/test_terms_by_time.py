"""A commitment's term that no invoice of its subscription meets is trued up by time, once; amounts by hand.

A terminal costs 15,000.00 a month and 8.875 % of tax.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.schemas.events.contracts import Commitment, Coupon, SubscriptionItem
from fakturo.schemas.events.invoices import Invoice
from tests.consumers.invoicing.books import Books
from tests.consumers.invoicing.conftest import (
    Desk,
    account,
    item,
    month,
    settings_of,
    statement,
    subscription,
    version,
)

DAY = timedelta(days=1)
LATER = datetime(2014, 6, 1, tzinfo=UTC)


def committed(*items: SubscriptionItem, amount: int = 10_000_000, end_on: date = date(2013, 7, 1), **fields: Any):
    """Return a subscription committed to 100,000.00 for January to June, or as given."""
    commitment = Commitment(amount_minor=amount, start_on=date(2013, 1, 1), end_on=end_on)
    return msgspec.structs.replace(subscription("UA", *items), commitment=commitment, **fields)


def true_ups(invoices: list[Invoice]) -> list[tuple[date, int]]:
    """Return the issue date and amount of each true-up."""
    return [(one.issue_date, line.amount_minor) for one in invoices for line in one.lines if line.kind == "true_up"]


@pytest.mark.parametrize(
    "ended",
    [
        item("terminal", service_end_on=date(2013, 4, 1)),
        item("terminal", billing="advance", service_end_on=date(2013, 4, 1)),
    ],
    ids=["cancelled", "in advance"],
)
async def test_a_subscription_that_ended_before_its_term_is_trued_up_at_the_terms_end(
    desk: Desk, ended: SubscriptionItem
) -> None:
    """January to March are 45,000.00 of 100,000.00: 55,000.00 and 4,881.25 of tax, due on 1 July and not before."""
    await desk.take(account("UA"), committed(ended))
    await desk.tick(month(7) - timedelta(seconds=1))
    assert true_ups(desk.invoices) == []
    (document,) = await desk.tick(month(7))
    assert true_ups([document]) == [(date(2013, 7, 1), 5_500_000)]
    assert (document.subtotal_minor, document.tax_minor, document.total_minor) == (5_500_000, 488_125, 5_988_125)
    assert (document.period.start, document.period.end) == (month(1), month(7))
    assert await desk.tick(LATER) == []


async def test_a_term_whose_last_month_was_billed_in_advance_is_trued_up_by_time(desk: Desk) -> None:
    """Six months in advance up to 1 July, the last on 1 June: 90,000.00, so 10,000.00 short."""
    await desk.take(account("UA"), committed(item("terminal", billing="advance", service_end_on=date(2013, 7, 1))))
    found = await desk.tick(LATER)
    assert true_ups(found) == [(date(2013, 7, 1), 1_000_000)]
    assert len(found) == 7


async def test_a_term_that_was_met_makes_no_document_and_is_looked_at_once(desk: Desk) -> None:
    terms = committed(item("terminal", service_end_on=date(2013, 4, 1)), amount=4_500_000)
    await desk.take(account("UA"), terms)
    assert len(await desk.tick(LATER)) == 3
    row = await desk.connection.fetchrow("SELECT billed_minor, short_minor FROM invoicing.commitment_term")
    assert tuple(row or ()) == (4_500_000, 0)


async def test_a_true_up_waits_for_the_statement_of_a_period_of_its_term(desk: Desk) -> None:
    """March's movements come late: they are billed first, 5,000.00 beside twice 1.00: 94,998.00 are short."""
    await desk.take(account("UA"), committed(item("movement", metered=True, service_end_on=date(2013, 4, 1))))
    for number in (1, 2):
        await desk.take(statement("UA", "movement", number, (1, 100)))
    assert len(await desk.tick(month(8))) == 2
    await desk.take(statement("UA", "movement", 3, (1, 500_000)), watermark_at=month(8))
    march, document = await desk.tick(month(8) + DAY)
    assert (true_ups([march]), true_ups([document])) == ([], [(date(2013, 7, 1), 9_499_800)])


async def test_where_an_invoice_is_still_to_come_the_true_up_rides_on_it(desk: Desk) -> None:
    """A term up to 11 July: the invoice of 1 August has July's 15,000.00 and what is short of 120,000.00: 15,000.00."""
    await desk.take(account("UA"), committed(item("terminal"), amount=12_000_000, end_on=date(2013, 7, 11)))
    await desk.tick(month(8))
    assert true_ups(desk.invoices) == [(date(2013, 8, 1), 1_500_000)]
    assert len(desk.invoices) == 7


async def test_an_account_that_splits_is_trued_up_once_over_all_its_cost_centres(desk: Desk) -> None:
    """Two terminals, six months: 180,000.00 of 200,000.00 committed: 20,000.00, whichever is billed first."""
    split = msgspec.structs.replace(version("UA"), split_by_cost_centre=True)
    await desk.take(
        account("UA", split),
        committed(item("a", cost_centre="ops"), item("b", cost_centre="lab"), amount=20_000_000),
    )
    found = await desk.tick(month(8))
    assert true_ups(found) == [(date(2013, 7, 1), 2_000_000)]
    (document,) = (one for one in found if true_ups([one]))
    assert (len(document.lines), document.cost_centre) == (1, None)


async def test_daily_ticks_and_one_jump_true_up_alike(desk: Desk) -> None:
    await desk.take(account("UA"), committed(item("terminal", service_end_on=date(2013, 4, 1))))
    for number in range(200):
        await desk.tick(month(1) + number * DAY)
    daily = desk.invoices[-1]
    assert true_ups([daily]) == [(date(2013, 7, 1), 5_500_000)]
    assert daily.invoice_id == desk.invoices[-1].invoice_id
    assert len(desk.invoices) == 4


async def test_discounts_come_off_a_true_up_and_its_tax_is_the_subscriptions(desk: Desk) -> None:
    """10 % of 55,000.00: 49,500.00, and 8.875 % of that is 4,393.125, so 4,393.13."""
    ten = Coupon(code="TEN", description="Welcome", percent=Decimal(10), duration="forever")
    await desk.take(
        account("UA"), committed(item("terminal", service_end_on=date(2013, 4, 1)), coupons=(ten,), amount=10_000_000)
    )
    document = (await desk.tick(LATER))[-1]
    assert (document.subtotal_minor, document.tax_minor) == (4_950_000, 439_313)


async def test_a_parent_pays_the_true_up_of_its_child(desk: Desk) -> None:
    child = msgspec.structs.replace(version("UA"), bill_to="PARENT")
    await desk.take(account("PARENT"), account("UA", child))
    await desk.take(committed(item("terminal", service_end_on=date(2013, 4, 1))))
    document = (await desk.tick(LATER))[-1]
    assert (document.account, document.accounts, document.lines[0].account) == ("PARENT", ("UA",), "UA")


async def test_a_true_up_that_needs_approval_is_a_draft_until_it_has_it(connection: asyncpg.Connection) -> None:
    desk = Desk(connection, InvoicingAgent(settings_of()))
    books = Books(desk)
    terms = committed(item("terminal", service_start_on=date(2013, 3, 1), service_end_on=date(2013, 3, 1)))
    await desk.take(account("UA"), msgspec.structs.replace(terms, approval_required=True))
    (draft,) = await books.tick(month(8))
    assert (draft.status, draft.number, true_ups([draft])) == ("draft", None, [(date(2013, 7, 1), 10_000_000)])
    assert await books.tick(month(9)) == []
    await books.ask("approve", draft.invoice_id, at=month(9))
    (document,) = await books.tick(month(10))
    assert (document.invoice_id, document.number) == (draft.invoice_id, "NYC-00000001")
    assert await books.tick(LATER) == []


async def test_a_void_true_up_comes_again_where_that_is_asked_for_and_only_there(desk: Desk) -> None:
    books = Books(desk)
    await desk.take(account("UA"), committed(item("terminal", service_end_on=date(2013, 4, 1))))
    first = (await books.tick(month(8)))[-1]
    await books.ask("void", first.invoice_id, reissue=True, at=month(8))
    (second,) = await books.tick(month(9))
    assert true_ups([second]) == [(date(2013, 7, 1), 5_500_000)]
    assert second.reissues == first.invoice_id
    await books.ask("void", second.invoice_id, at=month(9))
    assert await books.tick(LATER) == []
