"""The life of an invoice, amounts by hand: two terminals at 15,000.00 with 8.875 % tax are 30,000.00 + 2,662.50."""

import asyncio
from datetime import date

import asyncpg
import pytest

from fakturo.consumers.invoicing.handler import InvoicingAgent
from tests.consumers.invoicing.books import Books
from tests.consumers.invoicing.conftest import Desk, account, item, month, settings_of, subscription


@pytest.fixture
async def books(desk: Desk) -> Books:
    """Return books with the January of UA invoiced and booked: one invoice over two terminals."""
    await desk.take(account("UA"), subscription("UA", item("terminal-1"), item("terminal-2")))
    made = Books(desk)
    await made.tick(month(2))
    await made.post()
    return made


def invoice_of(books: Books):
    (event,) = books.told("invoice.finalized")
    return event.data


async def test_an_invoice_is_paid_once_its_payments_reach_what_is_due(books: Books) -> None:
    invoice = invoice_of(books)
    assert (invoice.status, invoice.total_minor) == ("open", 3_266_250)
    await books.pay("p1", "32662.00", invoice.invoice_id)
    assert await books.status(invoice.invoice_id) == ("open", 50, 50)
    assert books.told("invoice.paid") == []
    await books.pay("p2", "0.50", invoice.invoice_id)
    assert await books.status(invoice.invoice_id) == ("paid", 0, 0)
    (paid,) = books.told("invoice.paid")
    assert (paid.id, paid.data.status, paid.data.number) == (
        f"{invoice.invoice_id}:paid", "paid", "NYC-00000001",
    )  # fmt: skip


async def test_a_charge_back_opens_it_again_and_the_next_settling_is_told_under_another_id(books: Books) -> None:
    invoice = invoice_of(books)
    await books.pay("p1", "32662.50", invoice.invoice_id)
    await books.pay("p1", "32662.50", invoice.invoice_id, "charged_back")
    assert await books.status(invoice.invoice_id) == ("open", 3_266_250, 3_266_250)
    await books.pay("p2", "32662.50", invoice.invoice_id)
    assert [event.id.rpartition(invoice.invoice_id)[2] for event in books.told("invoice.paid")] == [":paid", ":paid:2"]


async def test_a_credit_note_in_part_mirrors_the_tax_and_settles_what_is_open(books: Books) -> None:
    """1,000.00 of a line: tax on 30,000.00 is 2,662.50, on 29,000.00 2,573.75: 88.75 less."""
    invoice = invoice_of(books)
    line = invoice.lines[0]
    assert await books.ask("credit", invoice.invoice_id, lines=[(line.line_id, "1000.00")], reason="late") == []
    (event,) = books.told("credit_note.issued")
    note = event.data
    assert (note.subtotal_minor, note.tax_minor, note.total_minor) == (-100_000, -8_875, -108_875)
    assert (note.number, note.corrects, note.reason) == ("CRN-00000001", invoice.invoice_id, "late")
    assert note.issue_date == date(2013, 2, 10)
    assert [(one.corrects, one.amount_minor, one.tax_minor) for one in note.lines] == [(line.line_id, -100_000, -8_875)]
    assert await books.post() == ["issued"]
    assert await books.status(invoice.invoice_id) == ("open", 3_157_375, 3_157_375)
    await books.pay("p1", "31573.75", invoice.invoice_id)
    assert (await books.status(invoice.invoice_id))[0] == "paid"


async def test_many_parts_and_the_rest_credit_exactly_the_whole(books: Books) -> None:
    """Three times 0.01 and then the rest: net 30,000.00 and tax 2,662.50 in all, whatever each rounds to."""
    invoice = invoice_of(books)
    for number in range(3):
        await books.ask("credit", "NYC-00000001", lines=[(invoice.lines[0].line_id, "0.01")], request_id=f"c{number}")
    assert await books.ask("credit", invoice.invoice_id) == []
    notes = [event.data for event in books.told("credit_note.issued")]
    assert sum(note.subtotal_minor for note in notes) == -3_000_000
    assert sum(note.tax_minor for note in notes) == -266_250
    assert [note.number for note in notes] == [f"CRN-{number:08d}" for number in range(1, 5)]
    await books.post()
    assert await books.status(invoice.invoice_id) == ("paid", 0, 0)
    (rejection,) = await books.ask("credit", invoice.invoice_id)
    assert rejection.reason.value == "refused_by_book"
    assert rejection.message.startswith("nothing is left to credit of invoice NYC-00000001")


async def test_a_full_credit_note_is_the_invoice_negated(books: Books) -> None:
    invoice = invoice_of(books)
    await books.ask("credit", invoice.invoice_id, reason="duplicate")
    (event,) = books.told("credit_note.issued")
    note = event.data
    assert [-line.amount_minor for line in note.lines] == [line.amount_minor for line in invoice.lines]
    assert [-line.quantity for line in note.lines] == [line.quantity for line in invoice.lines]
    assert [(tax.taxable_minor, tax.tax_minor) for tax in note.taxes] == [(-3_000_000, -266_250)]
    assert (note.subtotal_minor, note.total_minor, note.amount_due_minor) == (-3_000_000, -3_266_250, -3_266_250)


async def test_more_than_is_left_of_a_line_is_refused_and_leaves_no_gap_in_the_numbers(books: Books) -> None:
    invoice = invoice_of(books)
    line = invoice.lines[0].line_id
    (rejection,) = await books.ask("credit", invoice.invoice_id, lines=[(line, "15000.01")], request_id="much")
    assert rejection.message.startswith(f"1500001 is more than the 1500000 left of line {line}, in minor units")
    (rejection,) = await books.ask("credit", invoice.invoice_id, lines=[("lin_x", "1")])
    assert "none of this invoice's" in rejection.message
    (rejection,) = await books.ask("credit", invoice.invoice_id, lines=[(line, "0.001")])
    assert rejection.reason.value == "invalid_amount"
    await books.ask("credit", invoice.invoice_id, lines=[(line, "15000.00")], request_id="much")
    (event,) = books.told("credit_note.issued")
    assert event.data.number == "CRN-00000001"


async def test_the_same_request_again_is_done_once_and_another_under_its_id_is_refused(books: Books) -> None:
    invoice = invoice_of(books)
    asked = {"lines": [(invoice.lines[0].line_id, "1.00")], "request_id": "same"}
    for _ in range(2):
        assert await books.ask("credit", invoice.invoice_id, **asked) == []
    (rejection,) = await books.ask("credit", invoice.invoice_id, request_id="same")
    assert rejection.reason.value == "identity_conflict"
    assert len(books.told("credit_note.issued")) == 1


async def test_a_void_invoice_owes_nothing_and_is_not_billed_again(books: Books) -> None:
    invoice = invoice_of(books)
    assert await books.ask("void", invoice.invoice_id, reason="wrong customer") == []
    (event,) = books.told("invoice.voided")
    assert (event.data.status, event.data.reason, event.data.number) == ("void", "wrong customer", "NYC-00000001")
    assert await books.post() == ["voided"]
    assert await books.status(invoice.invoice_id) == ("void", 0, 0)
    assert books.told("invoice.paid") == []
    documents = await books.tick(month(3))
    assert [(one.number, one.total_minor) for one in documents] == [("NYC-00000002", 3_266_250)]


async def test_void_and_reissue_bill_the_same_periods_again_and_say_so(books: Books) -> None:
    invoice = invoice_of(books)
    await books.ask("void", invoice.invoice_id, reissue=True, at=month(2).replace(day=10))
    documents = await books.tick(month(2).replace(day=11))
    (again,) = documents
    assert (again.reissues, again.number, again.total_minor) == (invoice.invoice_id, "NYC-00000002", 3_266_250)
    assert again.invoice_id != invoice.invoice_id
    assert [line.period for line in again.lines] == [line.period for line in invoice.lines]
    await books.post()
    assert (await books.status(again.invoice_id))[1:] == (3_266_250, 3_266_250)
    (march,) = await books.tick(month(3))
    assert (march.reissues, march.total_minor) == (None, 3_266_250)


async def test_an_invoice_with_a_credit_note_or_a_payment_in_full_cant_be_voided(books: Books) -> None:
    invoice = invoice_of(books)
    await books.ask("credit", invoice.invoice_id, lines=[(invoice.lines[0].line_id, "1.00")])
    (rejection,) = await books.ask("void", invoice.invoice_id)
    assert "only when no credit note" in rejection.message
    await books.post()
    await books.pay("p1", "32661.41", invoice.invoice_id)
    (rejection,) = await books.ask("void", invoice.invoice_id)
    assert "is paid and can't be voided: credit it instead" in rejection.message


async def test_what_was_paid_of_an_invoice_that_is_voided_is_the_customers_credit(books: Books) -> None:
    invoice = invoice_of(books)
    await books.pay("p1", "100.00", invoice.invoice_id)
    await books.ask("void", invoice.invoice_id)
    await books.post()
    credit = await books.desk.connection.fetchval("SELECT amount_minor FROM ledger.balance WHERE account_code = '2300'")
    assert credit == -10_000
    assert await books.status(invoice.invoice_id) == ("void", 0, 0)


async def test_a_write_off_and_a_recovery(books: Books) -> None:
    invoice = invoice_of(books)
    assert await books.ask("write_off", invoice.invoice_id, reason="bankrupt") == []
    assert await books.post() == ["written_off"]
    assert await books.status(invoice.invoice_id) == ("uncollectible", 0, 0)
    assert books.told("invoice.paid") == []
    assert await books.pay("p1", "32000.00", invoice.invoice_id) == ["recovered", "received"]
    assert (await books.status(invoice.invoice_id))[0] == "uncollectible"
    await books.pay("p2", "662.50", invoice.invoice_id)
    assert await books.status(invoice.invoice_id) == ("paid", 0, 0)
    assert len(books.told("invoice.paid")) == 1
    (rejection,) = await books.ask("write_off", invoice.invoice_id)
    assert "is paid and can't be written off: nothing is owed on it" in rejection.message


async def test_a_request_that_comes_before_its_invoice_waits_for_it(desk: Desk) -> None:
    books = Books(desk)
    assert await books.ask("write_off", "NYC-00000001") == []
    assert await desk.connection.fetchval("SELECT reference FROM runtime.parked") == "invoice/NYC-00000001"
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    await books.tick(month(2))
    assert [event.data.status for event in books.told("invoice.uncollectible")] == ["uncollectible"]
    assert await desk.connection.fetchval("SELECT count(*) FROM runtime.parked") == 0


async def test_a_request_about_somebody_elses_invoice_is_refused(books: Books) -> None:
    (rejection,) = await books.ask("void", invoice_of(books).invoice_id, account="DL")
    assert "is not of account 'DL'" in rejection.message


async def test_an_approved_draft_is_finalised_and_one_that_is_not_waits(connection: asyncpg.Connection) -> None:
    desk = Desk(connection, InvoicingAgent(settings_of(review_seconds=86_400)))
    books = Books(desk)
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    (draft,) = await books.tick(month(2))
    assert (draft.status, draft.number) == ("draft", None)
    (rejection,) = await books.ask("void", draft.invoice_id)
    assert "is draft and can't be voided: it has not been issued" in rejection.message
    assert await books.ask("approve", draft.invoice_id) == []
    (final,) = await books.tick(month(2).replace(day=2))
    assert (final.invoice_id, final.status, final.number) == (draft.invoice_id, "open", "NYC-00000001")
    (rejection,) = await books.ask("approve", draft.invoice_id)
    assert "is open and can't be approved" in rejection.message


@pytest.mark.parametrize(("first", "second"), [("void", "void"), ("void", "credit"), ("credit", "credit")])
async def test_of_two_workers_that_cant_both_be_right_one_wins(
    books: Books, database_url: str, first: str, second: str
) -> None:
    """Two workers, each with a transaction of its own, at the same time: one document, one number, one refusal."""
    other = await asyncpg.connect(database_url)
    invoice = invoice_of(books)
    found = await asyncio.gather(
        books.ask(first, invoice.invoice_id, request_id="one"),
        books.ask(second, invoice.invoice_id, request_id="two", connection=other),
    )
    rejections = [one for many in found for one in many]
    assert [rejection.reason.value for rejection in rejections] == ["refused_by_book"]
    assert len(books.told("invoice.voided")) + len(books.told("credit_note.issued")) == 1
    assert await other.fetchval("SELECT coalesce(max(last_number), 0) FROM invoicing.series WHERE series = 'CRN'") == (
        len(books.told("credit_note.issued"))
    )
    await other.close()


async def test_the_book_itself_refuses_more_than_is_left(books: Books) -> None:
    connection, invoice = books.desk.connection, invoice_of(books)
    for statement in (
        "UPDATE invoicing.invoice SET credited_minor = total_minor + 1 WHERE invoice_id = $1",
        "UPDATE invoicing.invoice_line SET credited_minor = amount_minor + 1 WHERE invoice_id = $1",
        "UPDATE invoicing.invoice SET credited_minor = 1, status = 'void' WHERE invoice_id = $1",
        "UPDATE invoicing.invoice SET status = 'lost' WHERE invoice_id = $1",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(statement, invoice.invoice_id)
