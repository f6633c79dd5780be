"""Credit notes on invoices with discounts, points and prepaid credit: together they take back what a void takes back.

Terminals at 15,000.00, 8.875 % of tax; a point for each whole dollar, worth 0.05, of which 80 % are expected to be
redeemed: of a net amount the 26th part waits (0.04 of 1.04).
"""

from decimal import Decimal

from msgspec import structs

from fakturo.consumers.runtime.records import Record
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import Coupon, LoyaltyProgramme
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.requests import POINTS_REDEMPTION_REQUESTED, CreditGrant, PointsRedemption
from tests.consumers.invoicing.books import Books
from tests.consumers.invoicing.conftest import BEGINNING, Desk, account, item, month, subscription
from tests.consumers.invoicing.test_credit_through_the_agent import ask, with_terms

MILES = LoyaltyProgramme(
    code="MILES", points_per_unit=Decimal(1), point_amount=Decimal("0.05"), redemption_percent=Decimal(80)
)
TEN = Coupon(code="TEN", description="Welcome", percent=Decimal(10), duration="once")


async def balances(desk: Desk) -> dict[str, int]:
    """Return the ledger's balances that are not 0, by account."""
    rows = await desk.connection.fetch("SELECT account_code, amount_minor FROM ledger.balance WHERE amount_minor <> 0")
    return {row["account_code"]: row["amount_minor"] for row in rows}


async def billed(books: Books, number: int) -> Invoice:
    """Return the invoice of the month before `number`, booked."""
    before = len(books.told("invoice.finalized"))
    await books.tick(month(number))
    await books.post()
    (event,) = books.told("invoice.finalized")[before:]
    return event.data


async def test_a_part_takes_its_share_of_discount_and_deferral_and_the_rest_leaves_nothing(desk: Desk) -> None:
    """15,000.00 less 10 % are 13,500.00, tax 1,198.125, so 1,198.13; 13,500 points, 519.23 wait.

    4,500.00 of it: a third, so 5,000.00 less 500.00, 4,500 points and 173.08 (519.23 / 3 = 173.077); tax on 9,000.00
    is 798.75: 399.38 less. In the books: 4095 4,826.92, 4090 -500.00, 2210 173.08, 2100 399.38, 1200 -4,899.38."""
    books = Books(desk)
    await desk.take(account("UA"), with_terms(coupons=(TEN,), loyalty=MILES))
    invoice = await billed(books, 2)
    assert await balances(desk) == {
        "1200": 1_469_813, "2100": -119_813, "4090": 150_000, "4000": -1_448_077, "2210": -51_923,
    }  # fmt: skip
    line = invoice.lines[0].line_id
    assert await books.ask("credit", invoice.invoice_id, lines=[(line, "4500.00")]) == []
    await books.post()
    note = books.told("credit_note.issued")[0].data
    assert ([one.amount_minor for one in note.lines], [one.amount_minor for one in note.discounts]) == (
        [-500_000], [50_000],
    )  # fmt: skip
    assert (note.subtotal_minor, note.tax_minor) == (-450_000, -39_938)
    assert (note.loyalty.points_earned, note.loyalty.deferred_minor) == (-4_500, -17_308)
    assert await balances(desk) == {
        "1200": 1_469_813 - 489_938, "2100": -119_813 + 39_938, "4090": 100_000, "4000": -1_448_077,
        "4095": 482_692, "2210": -51_923 + 17_308,
    }  # fmt: skip
    assert await desk.connection.fetchval("SELECT points FROM invoicing.point_balance") == 9_000
    (refused,) = await books.ask("credit", invoice.invoice_id, lines=[(line, "9000.01")])
    assert refused.message.startswith(f"900001 is more than the 900000 left of line {line}")
    assert await books.ask("credit", invoice.invoice_id) == []
    await books.post()
    assert await balances(desk) == {"4000": -1_448_077, "4095": 1_448_077}
    assert await books.status(invoice.invoice_id) == ("paid", 0, 0)
    assert await desk.connection.fetchval("SELECT points FROM invoicing.point_balance") == 0


async def test_a_full_credit_note_moves_what_a_void_moves_with_4095_in_place_of_4000(desk: Desk) -> None:
    moved = []
    for name, what in (("UA", "void"), ("DL", "credit")):
        books = Books(desk)
        terms = structs.replace(subscription(name, item(f"terminal-{name}")), coupons=(TEN,), loyalty=MILES)
        await desk.take(account(name), terms, watermark_at=month(1))
        await books.tick(month(2))
        await books.post()
        (invoice,) = (event.data for event in books.told("invoice.finalized") if event.data.account == name)
        before = await balances(desk)
        assert await books.ask(what, invoice.invoice_id, name, request_id=what) == []
        await books.post()
        after = await balances(desk)
        moved.append({code: after.get(code, 0) - before.get(code, 0) for code in before.keys() | after.keys()})
        await desk.connection.execute("DELETE FROM invoicing.subscription_item")
    void, credit = ({code: amount for code, amount in one.items() if amount} for one in moved)
    assert {"4000" if code == "4095" else code: amount for code, amount in credit.items()} == void
    assert void["4090"] == -150_000


async def test_prepaid_credit_that_paid_a_credited_invoice_is_the_customers_credit(desk: Desk) -> None:
    """16,331.25, of which 10,000.00 prepaid: credited in full, 6,331.25 is owed no more and 10,000.00 is on 2300."""
    books = Books(desk)
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    await ask(desk, CreditGrant(grant_id="w", account="UA", currency="USD", amount="10000.00"), BEGINNING)
    invoice = await billed(books, 2)
    assert invoice.amount_due_minor == 633_125
    await books.ask("credit", invoice.invoice_id)
    await books.post()
    found = await balances(desk)
    assert "1200" not in found
    assert (found["2300"], found["2320"]) == (-1_000_000, 1_000_000)  # this ledger was not told of the grant
    assert await books.status(invoice.invoice_id) == ("paid", 0, 0)


async def test_points_that_came_off_a_credited_invoice_go_back_with_the_last_of_it(desk: Desk) -> None:
    """January earns 15,000 points, 576.92 wait. 1,000 come off February: 50.00, so 14,950.00, and release 48.08
    (576.92 x 1,000 / 12,000 = 48.077). February credited in full, March redeems them again."""
    books = Books(desk)
    await desk.take(account("UA"), with_terms(loyalty=MILES))
    await billed(books, 2)
    redemption = PointsRedemption(redemption_id="r", account="UA", points=1_000)
    event = event_of(
        agent="cli", event_type=POINTS_REDEMPTION_REQUESTED, id="r", subject="UA", time=BEGINNING, data=redemption
    )
    asked = Record("billing.requests", 0, 10**6, None, encode(event), (), BEGINNING, month(2))
    assert await books.invoicing(asked) == []
    february = await billed(books, 3)
    assert (february.subtotal_minor, february.loyalty.released_minor) == (1_495_000, 4_808)
    before = (await balances(desk))["2210"]
    line = february.lines[0].line_id
    assert await books.ask("credit", february.invoice_id, lines=[(line, "14949.00")]) == []
    assert await books.ask("credit", february.invoice_id) == []
    first, last = (event.data.loyalty for event in books.told("credit_note.issued"))
    assert (first.points_redeemed, last.points_redeemed, last.released_minor) == (0, -1_000, -4_808)
    assert first.points_earned + last.points_earned == -14_950
    assert first.deferred_minor + last.deferred_minor == -57_500
    await books.post()
    assert (await balances(desk))["2210"] == before + 57_500 - 4_808 == -57_692
    march = await billed(books, 4)
    assert [(one.kind, one.amount_minor) for one in march.discounts] == [("loyalty", -5_000)]
