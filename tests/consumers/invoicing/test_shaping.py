"""When things fall due and on which document: advance, one-time, corrections, thresholds, sellers, parents, drafts."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
from msgspec import structs

from fakturo.consumers.invoicing import corrections_store, drafts_store
from fakturo.consumers.invoicing.corrections_store import CorrectionRow
from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import ItemTerms, PriceVersion, Seller
from fakturo.schemas.events.invoices import Invoice
from tests.consumers.invoicing.conftest import (
    TERMINAL,
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


def lines(invoice: Invoice) -> list[tuple[str, str, int]]:
    return [(line.kind, line.subscription_item, line.amount_minor) for line in invoice.lines]


async def test_an_advance_charge_falls_due_at_the_start_of_its_period_with_the_arrears_of_the_last(desk: Desk) -> None:
    """On 1 February: January's 2.00 of movements and February's terminal of 15,000.00 on one invoice."""
    await desk.take(
        account("UA"), subscription("UA", item("movement", metered=True), item("terminal", billing="advance"))
    )
    (first,) = await desk.tick(month(1))
    assert (lines(first), first.issue_date) == ([("charge", "terminal", 1_500_000)], date(2013, 1, 1))
    await desk.take(statement("UA", "movement", 1, (2, 200)), watermark_at=month(1))
    (second,) = await desk.tick(month(2))
    assert lines(second) == [("charge", "movement", 200), ("charge", "terminal", 1_500_000)]
    assert (second.period.start, second.period.end, second.issue_date) == (month(1), month(2), date(2013, 2, 1))
    assert second.lines[1].period.start == month(2)


async def test_a_one_time_charge_is_billed_once_on_the_day_that_service_starts(desk: Desk) -> None:
    fee = {"model": "flat", "amount": "99.50", "currency": "USD", "proration": "none"}
    setup = item("setup", billing_months=0, price=fee, service_start_on=date(2013, 1, 10))
    await desk.take(account("UA"), subscription("UA", setup))
    invoices = await desk.tick(month(4))
    assert [(lines(one), one.issue_date) for one in invoices] == [([("one_time", "setup", 9950)], date(2013, 1, 10))]


async def test_seats_added_in_a_billed_month_are_corrected_on_the_next_invoice(desk: Desk) -> None:
    """June in advance: 15,000. From 16 June two: -15,000 + 7,500 (15 of 30 days) + 15,000 = 7,500 more, then 30,000."""
    seat = item("seat", billing="advance", service_start_on=date(2013, 6, 1))
    await desk.take(account("UA"), subscription("UA", seat))
    (june,) = await desk.tick(month(6))
    more = structs.replace(seat, terms=(*seat.terms, ItemTerms(effective_from=date(2013, 6, 16), quantity=Decimal(2))))
    await desk.take(subscription("UA", more), watermark_at=month(6))
    assert await desk.tick(month(6) + 20 * DAY) == []
    (july,) = await desk.tick(month(7))
    assert lines(july) == [
        ("reversal", "seat", -1_500_000), ("correction", "seat", 750_000), ("correction", "seat", 1_500_000),
        ("charge", "seat", 3_000_000),
    ]  # fmt: skip
    assert {line.corrects for line in july.lines} == {june.lines[0].line_id, None}
    assert july.subtotal_minor == 3_750_000
    assert july.lines[0].explanation == "takes back 15,000.00 already billed"


async def test_a_cancel_in_a_billed_month_with_nothing_to_come_is_a_credit_note_at_once(desk: Desk) -> None:
    """Cancelled from 16 June: 15 of 30 days come back: -15,000 + 7,500 = -7,500; tax of 8.875 % was 1,331.25 and
    is 665.625, so 665.63: -665.62."""
    seat = item("seat", billing="advance", service_start_on=date(2013, 6, 1))
    await desk.take(account("UA"), subscription("UA", seat))
    (june,) = await desk.tick(month(6))
    ended = structs.replace(seat, service_end_on=date(2013, 6, 16))
    await desk.take(subscription("UA", ended), watermark_at=month(6) + DAY)
    (note,) = await desk.tick(month(6) + 2 * DAY)
    assert (note.subtotal_minor, note.tax_minor, note.total_minor) == (-750_000, -66_562, -816_562)
    assert (note.number, note.corrects, note.issue_date) == ("CRN-00000001", june.invoice_id, date(2013, 6, 2))
    event = desk.events[-1]
    assert (event.type, event.id) == ("fakturo.credit_note.issued.v1", f"{note.invoice_id}:issued")
    position = await desk.connection.fetchrow(
        "SELECT taxable_minor, tax_minor FROM invoicing.tax_position WHERE invoice_id = $1", june.invoice_id
    )
    assert tuple(position or ()) == (750_000, 66_563)
    assert await desk.tick(month(9)) == []


async def test_a_price_learned_late_corrects_every_month_that_it_touches(desk: Desk) -> None:
    """From 1 February 16,000 in place of 15,000, learned in March: February is 1,000 short, on March's invoice."""
    seat = item("seat")
    await desk.take(account("UA"), subscription("UA", seat))
    assert len(await desk.tick(month(3))) == 2
    dearer = PriceVersion(effective_from=date(2013, 2, 1), price={**TERMINAL, "unit_amount": "16000"}, hash="d" * 64)
    await desk.take(subscription("UA", structs.replace(seat, prices=(*seat.prices, dearer))), watermark_at=month(3))
    (march,) = await desk.tick(month(4))
    assert lines(march) == [
        ("reversal", "seat", -1_500_000), ("correction", "seat", 1_600_000), ("charge", "seat", 1_600_000),
    ]  # fmt: skip


@pytest.mark.parametrize(("setting", "numbers"), [("next_invoice", [1, 1]), ("at_once", [1, 1, 1])])
async def test_a_revised_final_statement_bills_the_difference(
    connection: asyncpg.Connection, setting: str, numbers: list[int]
) -> None:
    """January was 7.00, is 9.00: 2.00 with February, or by itself at once."""
    desk = Desk(connection, InvoicingAgent(settings_of(corrections=setting)))
    await desk.take(account("UA"), subscription("UA", item("movement", metered=True)))
    await desk.take(statement("UA", "movement", 1, (7, 700)))
    await desk.tick(month(2))
    revised = structs.replace(statement("UA", "movement", 1, (9, 900)), revision=2)
    await desk.take(revised, watermark_at=month(2))
    await desk.tick(month(2) + DAY)
    await desk.take(statement("UA", "movement", 2, (1, 100)), watermark_at=month(2) + DAY)
    await desk.tick(month(3))
    found = [line for invoice in desk.invoices for line in lines(invoice)]
    assert sorted(found) == [("charge", "movement", 100), ("charge", "movement", 700), ("correction", "movement", 200)]
    assert len(desk.invoices) == len(numbers)


async def test_daily_ticks_and_one_jump_give_the_same_documents(
    connection: asyncpg.Connection, database_url: str
) -> None:
    """A contract that is changed between two ticks is billed by what was known at each, however far time jumps."""
    seat = item("seat", billing="advance")
    later = structs.replace(seat, terms=(*seat.terms, ItemTerms(effective_from=date(2013, 2, 11), quantity=Decimal(3))))
    desk = Desk(connection, InvoicingAgent(settings_of()))
    await desk.take(account("UA"), subscription("UA", seat))
    await desk.take(subscription("UA", later), watermark_at=month(2) + DAY)
    await desk.tick(month(4))
    at_once = [(invoice.invoice_id, lines(invoice)) for invoice in desk.invoices]
    await connection.execute(
        "TRUNCATE invoicing.account, invoicing.subscription, invoicing.subscription_item, invoicing.invoice, "
        "invoicing.invoice_line, invoicing.series, invoicing.billed_period, invoicing.tax_position CASCADE"
    )
    daily = Desk(connection, InvoicingAgent(settings_of()))
    await daily.take(account("UA"), subscription("UA", seat))
    for number in range(1, 95):
        at = month(1) + number * DAY
        await daily.tick(at)
        if at == month(2) + DAY:
            await daily.take(subscription("UA", later), watermark_at=at)
    await daily.tick(month(4))
    assert [(invoice.invoice_id, lines(invoice)) for invoice in daily.invoices] == at_once
    assert len(at_once) == 4


async def test_usage_that_reaches_its_threshold_is_billed_at_once_and_never_twice(desk: Desk) -> None:
    """Threshold 100.00: at 60.00 nothing, at 110.00 all of it; the month's 150.00 leaves 40.00."""
    watched = structs.replace(subscription("UA", item("movement", metered=True)), billing_threshold_minor=10_000)
    await desk.take(account("UA"), watched)
    await desk.tick(month(1))
    for day, amount in ((5, 6_000), (9, 11_000)):
        at = month(1) + day * DAY
        await desk.take(statement("UA", "movement", 1, (amount, amount), final=False), watermark_at=at)
        await desk.tick(at + DAY)
    (partial,) = desk.invoices
    assert (lines(partial), partial.issue_date) == ([("charge", "movement", 11_000)], date(2013, 1, 10))
    await desk.take(statement("UA", "movement", 1, (15_000, 15_000)), watermark_at=month(1) + 20 * DAY)
    (rest,) = await desk.tick(month(2))
    assert lines(rest) == [("correction", "movement", 4_000)]
    assert rest.lines[0].corrects == partial.lines[0].line_id
    # 8.875 % of 150.00 is 13.3125: 13.31 on both together.
    assert partial.tax_minor + rest.tax_minor == 1_331


async def test_each_seller_has_its_own_numbers_and_invoices(desk: Desk) -> None:
    berlin = Seller(code="BER", name="Berlin GmbH", country="DE", invoice_series="BER", vat_id="DE136695976")
    await desk.take(account("UA"), subscription("UA", item("seat")))
    await desk.take(structs.replace(subscription("UA", item("desk"), name="other"), seller=berlin))
    first, second = await desk.tick(month(2))
    assert [(one.number, one.seller.name, one.seller_code) for one in (first, second)] == [
        ("NYC-00000001", "Airports", None), ("BER-00000001", "Berlin GmbH", "BER"),
    ]  # fmt: skip
    assert (first.revision, second.revision) == (1, 1)
    assert first.invoice_id != second.invoice_id


async def test_a_parent_gets_one_invoice_for_its_children(desk: Desk) -> None:
    child = structs.replace(version("Child"), bill_to="PARENT")
    await desk.take(account("PARENT"), account("C1", child), account("C2", child))
    for name in ("C1", "C2", "PARENT"):
        await desk.take(subscription(name, item(f"seat-{name}")))
    (invoice,) = await desk.tick(month(2))
    assert (invoice.account, invoice.accounts) == ("PARENT", ("C1", "C2"))
    assert [line.account for line in invoice.lines] == ["C1", "C2", None]
    assert invoice.subtotal_minor == 4_500_000


async def test_an_invoice_waits_for_a_parent_that_is_not_known(desk: Desk) -> None:
    await desk.take(
        account("C1", structs.replace(version("Child"), bill_to="PARENT")), subscription("C1", item("seat"))
    )
    assert await desk.tick(month(2)) == []
    message = await desk.connection.fetchval("SELECT message FROM invoicing.pending")
    assert message == "account PARENT, which pays for it, is not known"
    await desk.take(account("PARENT"), watermark_at=month(2))
    assert [one.account for one in await desk.tick(month(2) + DAY)] == ["PARENT"]


async def test_an_account_that_splits_gets_an_invoice_for_each_cost_centre(desk: Desk) -> None:
    await desk.take(
        account("UA", structs.replace(version("UA"), split_by_cost_centre=True)),
        subscription("UA", item("a", cost_centre="ops"), item("b", cost_centre="lab"), item("c", cost_centre="ops")),
    )
    found = await desk.tick(month(2))
    assert [(one.cost_centre, [line.subscription_item for line in one.lines]) for one in found] == [
        ("lab", ["b"]), ("ops", ["a", "c"]),
    ]  # fmt: skip
    assert len({one.invoice_id for one in found}) == 2


async def test_a_draft_follows_what_comes_in_its_review_and_gets_its_number_at_the_end(
    connection: asyncpg.Connection,
) -> None:
    """Two days of review: 7.00, revised to 9.00, finalised with 9.00."""
    desk = Desk(connection, InvoicingAgent(settings_of(review_seconds=2 * 86_400)))
    await desk.take(account("UA"), subscription("UA", item("movement", metered=True)))
    await desk.take(statement("UA", "movement", 1, (7, 700)))
    await desk.tick(month(2))
    await desk.take(structs.replace(statement("UA", "movement", 1, (9, 900)), revision=2), watermark_at=month(2))
    await desk.tick(month(2) + DAY)
    await desk.tick(month(2) + 2 * DAY)
    invoice_id = desk.invoices[0].invoice_id
    assert [(event.id, event.data.subtotal_minor, event.data.number, event.data.status) for event in desk.events] == [
        (f"{invoice_id}:drafted:1", 700, None, "draft"),
        (f"{invoice_id}:drafted:2", 900, None, "draft"),
        (f"{invoice_id}:finalized", 900, "NYC-00000001", "open"),
    ]
    assert await connection.fetchval("SELECT count(*) FROM invoicing.draft") == 0


async def test_a_draft_with_nothing_left_to_bill_is_said_without_lines_and_is_gone(
    connection: asyncpg.Connection,
) -> None:
    desk = Desk(connection, InvoicingAgent(settings_of(review_seconds=2 * 86_400)))
    await desk.take(account("UA"), subscription("UA", item("seat")))
    await desk.tick(month(2))
    await desk.take(subscription("UA"), watermark_at=month(2))
    await desk.tick(month(2) + DAY)
    await desk.tick(month(2) + 2 * DAY)
    first, last = desk.events
    assert (last.id, last.type) == (f"{first.data.invoice_id}:drafted:2", "fakturo.invoice.drafted.v1")
    assert (last.data.lines, last.data.total_minor, last.data.amount_due_minor) == ((), 0, 0)
    assert await connection.fetchval("SELECT count(*) FROM invoicing.draft") == 0


async def test_an_invoice_that_needs_approval_waits_for_it(desk: Desk) -> None:
    await desk.take(account("UA"), structs.replace(subscription("UA", item("seat")), approval_required=True))
    (draft,) = await desk.tick(month(2))
    assert draft.number is None
    assert await desk.tick(month(2) + 9 * DAY) == []
    assert await drafts_store.approve(desk.connection, draft.invoice_id, month(2))
    assert not await drafts_store.approve(desk.connection, draft.invoice_id, month(2))
    (invoice,) = await desk.tick(month(2) + 10 * DAY)
    assert (invoice.invoice_id, invoice.number) == (draft.invoice_id, "NYC-00000001")


async def test_two_processes_that_finalise_one_group_give_one_invoice_and_one_number(
    desk: Desk, database_url: str
) -> None:
    await desk.take(account("UA"), subscription("UA", item("seat")))
    await desk.tick(datetime(2013, 1, 20, tzinfo=UTC))
    other = await asyncpg.connect(database_url)

    async def advance(connection: asyncpg.Connection) -> int:
        tx = Transaction("invoicing", None, connection, partition_count=4)  # type: ignore[arg-type]
        async with connection.transaction():
            while await InvoicingAgent(settings_of()).advance(month(2), tx):
                pass
            await asyncio.sleep(0.05)
        return len(tx.outbox)

    published = await asyncio.gather(advance(desk.connection), advance(other))
    await other.close()
    assert sorted(published) == [0, 1]
    stored = await desk.connection.fetch("SELECT number FROM invoicing.invoice")
    assert [row["number"] for row in stored] == ["NYC-00000001"]
    assert await desk.connection.fetchval("SELECT last_number FROM invoicing.series") == 1


async def test_the_book_refuses_a_second_line_of_one_slice_and_sequence(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("seat")))
    await desk.tick(month(2))
    with pytest.raises(asyncpg.UniqueViolationError, match="sequence"):
        await desk.connection.execute(
            "INSERT INTO invoicing.invoice_line SELECT (l).* FROM (SELECT jsonb_populate_record(l, "
            '\'{"line_id": "lin_other", "line_no": 9}\') AS l FROM invoicing.invoice_line l) again'
        )


async def test_lines_that_count_no_more_are_billed_again_on_an_invoice_that_names_the_void_one(desk: Desk) -> None:
    """What a void with reissue does: the same 15,000.00 again, known on 10 February, with a line id of its own."""
    await desk.take(account("UA"), subscription("UA", item("seat")))
    (void,) = await desk.tick(month(2))
    known_at = month(2) + 9 * DAY
    await desk.connection.execute("UPDATE invoicing.invoice_line SET counts = false")
    period = Period(start_at=month(1), end_at=month(2))
    row = CorrectionRow(item="seat", period=period, known_at=known_at, at_once=True, reissues=void.invoice_id)
    await corrections_store.mark(desk.connection, [row])
    (again,) = await desk.tick(known_at + DAY)
    assert (lines(again), again.reissues, again.issue_date) == (
        [("charge", "seat", 1_500_000)], void.invoice_id, date(2013, 2, 10),
    )  # fmt: skip
    assert again.lines[0].line_id != void.lines[0].line_id
    assert (void.revision, again.revision) == (1, 2)


async def test_an_item_that_cannot_be_scheduled_waits_and_says_so_while_others_go_on(desk: Desk) -> None:
    odd = item("odd", anchor_on=date(9999, 12, 31), service_start_on=date(9999, 12, 31))
    await desk.take(account("UA"), subscription("UA", odd, item("seat")))
    assert len(await desk.tick(month(2))) == 1
