"""What shapes an invoice, through the books: amounts by hand, given back when void, refused beyond what is left."""

from datetime import UTC, date, datetime
from decimal import Decimal

import asyncpg
import pytest
from msgspec import structs

from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.events.contracts import Commitment, LoyaltyProgramme
from fakturo.schemas.events.credit import CreditLow, CreditMovement, PointsExpired
from fakturo.schemas.events.invoices import Invoice
from tests.consumers.invoicing.till import (
    Till,
    coupon,
    grant_coupon,
    grant_credit,
    line,
    month,
    redeem,
    subscription,
)

MILES = LoyaltyProgramme(
    code="MILES", points_per_unit=Decimal(1), point_amount=Decimal("0.05"), redemption_percent=Decimal(80)
)


@pytest.fixture
def till(connection: asyncpg.Connection) -> Till:
    """Return a till at empty books."""
    return Till(connection)


def shown(invoice: Invoice) -> list[tuple[str, str | None, int]]:
    """Return (kind, code, amount) of an invoice's discounts."""
    return [(one.kind, one.code, one.amount_minor) for one in invoice.discounts]


async def test_all_seven_steps_in_their_order(till: Till) -> None:
    """The worked example of docs/invoices.md.

    1. lines 900.00 and 400.00, true-up of 2,000.00 - 1,300.00 = 700.00: 2,000.00. 2. cap of 1,200.00 on 1,300.00:
    -100.00. 3. 10 % of 1,900.00: -190.00, then 50.00. 4. promotional credit -60.00: 1,600.00. 5. 400 points -20.00.
    Subtotal 1,580.00. 6. 20 %: 316.00, total 1,896.00. 7. prepaid 500.00; due 1,396.00.
    Points: 1,580 for it; worth 1,580 x 0.05 x 0.8 = 63.20; 1,580 x 63.20 / 1,643.20 = 60.7692..., so 60.77 waits.
    """
    terms = subscription(
        coupons=(coupon("FIFTY", amount_minor=5_000, priority=200),), spend_cap_minor=120_000, loyalty=MILES,
        commitment=Commitment(amount_minor=200_000, start_on=date(2026, 2, 1), end_on=date(2026, 3, 1)),
    )  # fmt: skip
    await till.bill(1, line(40_000, product="A"), by=(subscription(loyalty=MILES),))  # 400 points
    await till.ask(
        grant_coupon("TEN"),
        grant_credit("promo", "60.00", kind="promotional", description="Sorry"),
        grant_credit("top-up", "500.00"),
        redeem("r1", 400),
    )
    invoice = await till.bill(2, line(90_000, product="A", number=2), line(40_000, product="B", number=2), by=(terms,))
    assert [(one.kind, one.amount_minor) for one in invoice.lines] == [
        ("charge", 90_000), ("charge", 40_000), ("true_up", 70_000),
    ]  # fmt: skip
    assert invoice.lines[2].explanation == "committed to 2,000.00, billed 1,300.00 in the term"
    assert shown(invoice) == [
        ("spend_cap", "S", -10_000),
        ("coupon", "TEN", -19_000),
        ("coupon", "FIFTY", -5_000),
        ("promotional_credit", "promo", -6_000),
        ("loyalty", "MILES", -2_000),
    ]
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (158_000, 31_600, 189_600)
    assert (invoice.credits_applied_minor, invoice.amount_due_minor) == (50_000, 139_600)
    assert invoice.loyalty is not None
    assert (invoice.loyalty.points_earned, invoice.loyalty.deferred_minor) == (1_580, 6_077)
    assert invoice.loyalty.points_redeemed == 400


async def test_a_coupon_is_used_on_as_many_invoices_as_it_says(till: Till) -> None:
    await till.ask(grant_coupon("THREE", duration="periods", periods=3), grant_coupon("ONE", duration="once"))
    found = [shown(await till.bill(number, line(10_000, number=number))) for number in range(1, 6)]
    assert [[code for _, code, _ in one] for one in found] == [["ONE", "THREE"], ["THREE"], ["THREE"], [], []]


async def test_an_invoice_on_which_a_coupon_comes_to_nothing_does_not_use_it_up(till: Till) -> None:
    await till.ask(grant_coupon("ONE", duration="once", products=("X",)))
    assert shown(await till.bill(1, line(10_000))) == []
    assert shown(await till.bill(2, line(10_000, product="X", number=2))) == [("coupon", "ONE", -1_000)]


async def test_a_coupon_of_a_subscription_covers_its_lines_and_goes_with_it(till: Till) -> None:
    with_coupon = subscription(coupons=(coupon("TEN"),))
    other = subscription(name="T")
    both = (line(10_000), line(10_000, of="T"))
    assert shown(await till.bill(1, *both, by=(with_coupon, other))) == [("coupon", "TEN", -1_000)]
    assert shown(await till.bill(2, line(10_000, number=2), by=(subscription(),))) == []


async def test_a_budget_is_shared_by_all_and_the_last_gets_the_rest(till: Till) -> None:
    budget = {"budget_minor": 1_500, "currency": "EUR"}
    await till.ask(grant_coupon("TEN", **budget), grant_coupon("TEN", "B", **budget))
    assert shown(await till.bill(1, line(10_000))) == [("coupon", "TEN", -1_000)]
    assert shown(await till.bill(1, line(10_000, of="T"), account="B")) == [("coupon", "TEN", -500)]
    assert shown(await till.bill(2, line(10_000, number=2))) == []


async def test_two_invoices_at_once_never_spend_a_budget_twice(till: Till, database_url: str) -> None:
    """One holds the budget; the other waits for its row, sees what is left of it and takes no more."""
    budget = {"budget_minor": 1_500, "currency": "EUR"}
    await till.ask(grant_coupon("TEN", **budget), grant_coupon("TEN", "B", **budget))
    await _race(till, database_url, "coupon_budget")
    spent = await till.connection.fetchval("SELECT sum(amount_minor) FROM invoicing.coupon_use")
    assert spent == 1_500


async def test_two_invoices_at_once_never_spend_a_wallet_twice(till: Till, database_url: str) -> None:
    """Both bill 120.00 of account A, whose wallet holds 150.00: one is paid by it, the other gets the 30.00 left."""
    await till.ask(grant_credit("w", "150.00"))
    first, second = await _race(till, database_url, "credit_grant", other="A")
    assert (first.credits_applied_minor, second.credits_applied_minor) == (12_000, 3_000)
    assert await till.connection.fetchval("SELECT used_minor FROM invoicing.credit_grant") == 15_000


async def _race(till: Till, database_url: str, table: str, other: str = "B") -> tuple[Invoice, Invoice]:
    """Bill 100.00 on two connections, the second while the first has not committed; it must wait for `table`."""
    import asyncio

    connection = await asyncpg.connect(database_url)
    try:
        rival = Till(connection, numbers=iter(range(1_000, 2_000)))
        held = till.connection.transaction()
        await held.start()
        first = await till.bill_within(1, line(10_000))
        waiting = asyncio.create_task(rival.bill(2, line(10_000, of="T", number=2), account=other))
        for _ in range(200):
            blocked = await till.connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1", f"%{table}%"
            )
            if blocked:
                break
            await asyncio.sleep(0.01)
        assert not waiting.done()
        await held.commit()
        return first, await waiting
    finally:
        await connection.close()


async def test_the_book_refuses_what_is_beyond_it_whoever_asks(till: Till) -> None:
    await till.ask(grant_credit("w", "1.00"), grant_coupon("TEN", budget_minor=100, currency="EUR", duration="once"))
    for change in (
        "UPDATE invoicing.credit_grant SET used_minor = 101",
        "UPDATE invoicing.coupon_budget SET spent_minor = 101",
        "UPDATE invoicing.coupon_holder SET used_count = 2",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await till.connection.execute(change)


async def test_a_redemption_of_more_points_than_there_are_is_refused_by_the_book_and_changes_nothing(
    till: Till,
) -> None:
    await till.bill(1, line(10_000), by=(subscription(loyalty=MILES),))
    tx = await till.ask(redeem("too-much", 101), redeem("fits", 60), redeem("no-longer", 41))
    assert [rejection.reason for rejection in tx.rejections] == [Reason.REFUSED_BY_BOOK] * 2
    assert "fewer than 101 points" in tx.rejections[0].message
    assert tx.outcomes["billing.requests", "applied"] == 1
    assert await till.connection.fetchval("SELECT points FROM invoicing.point_balance") == 40
    assert await till.connection.fetchval("SELECT count(*) FROM invoicing.point_redemption") == 1


async def test_a_grant_asked_for_twice_is_one_and_another_under_its_id_a_conflict(till: Till) -> None:
    first = await till.ask(grant_credit("w", "10.00"), grant_credit("w", "10.00"), grant_coupon("TEN"))
    assert first.outcomes["billing.requests", "duplicate"] == 1
    second = await till.ask(grant_credit("w", "11.00"), grant_coupon("TEN"), grant_coupon("TEN", percent=Decimal(5)))
    assert [rejection.reason for rejection in second.rejections] == [Reason.IDENTITY_CONFLICT] * 2
    assert await till.connection.fetchval("SELECT sum(amount_minor) FROM invoicing.credit_grant") == 1_000


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (grant_credit("w", "0.001"), Reason.INVALID_AMOUNT),
        (grant_credit("w", "-5"), Reason.INVALID_AMOUNT),
        (grant_credit("w", "5", currency="EURO"), Reason.UNKNOWN_CURRENCY),
        (grant_credit("w", "5", kind="gift"), Reason.UNKNOWN_SHAPE),
        (grant_coupon("C", percent=Decimal(101)), Reason.INVALID_AMOUNT),
        (grant_coupon("C", percent=Decimal(5), amount_minor=5), Reason.INVALID_AMOUNT),
        (grant_coupon("C", amount_minor=5, currency=None), Reason.UNKNOWN_CURRENCY),
        (grant_coupon("C", duration="periods"), Reason.UNKNOWN_SHAPE),
        (redeem("r", 0), Reason.INVALID_AMOUNT),
    ],
)
async def test_a_bad_request_is_rejected_with_its_reason_and_keeps_nobody_else(
    till: Till, asked: object, reason: Reason
) -> None:
    tx = await till.ask(asked, grant_credit("good", "5.00"))  # type: ignore[arg-type]
    assert [rejection.reason for rejection in tx.rejections] == [reason]
    assert await till.connection.fetchval("SELECT array_agg(grant_id) FROM invoicing.credit_grant") == ["good"]


async def test_a_draft_shows_what_it_would_be_and_holds_nothing(till: Till) -> None:
    await till.ask(grant_coupon("ONE", duration="once"), grant_credit("w", "50.00"))
    draft = await till.bill(1, line(10_000), hold=False, by=(subscription(loyalty=MILES),))
    final = await till.bill(1, line(10_000), by=(subscription(loyalty=MILES),))
    for invoice in (draft, final):
        assert (shown(invoice), invoice.credits_applied_minor) == ([("coupon", "ONE", -1_000)], 5_000)
    assert await till.connection.fetchval("SELECT count(*) FROM invoicing.coupon_use") == 1


async def test_a_spend_cap_counts_all_documents_of_its_billing_period(till: Till) -> None:
    """Cap 100.00: 60.00 by a progressive bill, 70.00 at the end: 30.00 off. February begins anew. A correction of
    January by -50.00 leaves 80.00 of it, so the cap gives its 30.00 back."""
    terms = subscription(spend_cap_minor=10_000)
    assert shown(await till.bill(1, line(6_000), by=(terms,))) == []
    assert shown(await till.bill(1, line(7_000, product="Q"), by=(terms,))) == [("spend_cap", "S", -3_000)]
    correction = line(-5_000, product="R", kind="correction")
    february = await till.bill(2, line(9_000, number=2), correction, by=(terms,))
    assert shown(february) == [("spend_cap", "S", 3_000)]
    assert february.subtotal_minor == 9_000 - 5_000 + 3_000


async def test_a_term_is_trued_up_once_with_what_its_invoices_fell_short(till: Till) -> None:
    """300.00 for January to March: 80.00 and 90.00 and, issued on 1 April, 100.00: 30.00 short. April pays nothing."""
    terms = subscription(commitment=Commitment(amount_minor=30_000, start_on=date(2026, 1, 1), end_on=date(2026, 4, 1)))
    amounts = {1: 8_000, 2: 9_000, 3: 10_000, 4: 1_000}
    found = [await till.bill(number, line(amount, number=number), by=(terms,)) for number, amount in amounts.items()]
    assert [[one.amount_minor for one in invoice.lines if one.kind == "true_up"] for invoice in found] == [
        [], [], [3_000], [],
    ]  # fmt: skip
    (true_up,) = (one for one in found[2].lines if one.kind == "true_up")
    assert (true_up.tax.rate_percent, true_up.period.start, true_up.period.end) == (
        Decimal(20), month(1).start_at, month(3).end_at,
    )  # fmt: skip


async def test_a_void_invoice_gives_back_all_it_used_and_takes_back_the_points_it_earned(till: Till) -> None:
    terms = subscription(
        loyalty=MILES, spend_cap_minor=8_000,
        commitment=Commitment(amount_minor=9_000, start_on=date(2026, 2, 1), end_on=date(2026, 3, 1)),
    )  # fmt: skip
    await till.bill(1, line(10_000), by=(subscription(loyalty=MILES),))
    await till.ask(
        grant_coupon("ONE", duration="once", budget_minor=5_000, currency="EUR"),
        grant_credit("w", "50.00"), grant_credit("p", "5.00", kind="promotional"), redeem("r", 40),
    )  # fmt: skip
    first = await till.bill(2, line(8_500, number=2), by=(terms,))
    back = await till.void(first)
    await till.void(first)  # a second time gives back nothing
    again = await till.bill(2, line(8_500, number=2, sequence=2), by=(terms,))
    assert shown(again) == shown(first)
    assert sorted(one.amount_minor for one in again.lines) == [500, 8_500]
    assert (again.credits, again.loyalty, back.loyalty) == (first.credits, first.loyalty, first.loyalty)


async def test_points_of_a_void_invoice_that_were_redeemed_stay_redeemed_and_their_revenue_released(till: Till) -> None:
    """1,000.00 earned 1,000 points, 38.46 deferred; 400 came off the next invoice and released 19.23. Void now, it
    takes back 600 points and the 19.23 that still wait; and when the second is void too, its points are gone."""
    programme = (subscription(loyalty=MILES),)
    first = await till.bill(1, line(100_000), by=programme)
    await till.ask(redeem("r", 500))
    second = await till.bill(2, line(2_000, number=2))
    assert second.loyalty is not None
    assert (second.subtotal_minor, second.loyalty.points_redeemed, second.loyalty.released_minor) == (0, 400, 1_923)
    back = await till.void(first)
    assert back.loyalty is not None
    assert (back.loyalty.points_earned, back.loyalty.deferred_minor) == (600, 1_923)
    assert shown(await till.bill(3, line(2_000, number=3))) == []  # the other 100 that were claimed are gone
    gone = await till.void(second)
    assert gone.loyalty is not None
    assert (gone.loyalty.points_redeemed, gone.loyalty.released_minor) == (400, 0)
    assert await till.connection.fetchval("SELECT points FROM invoicing.point_balance") == 0


async def test_credit_expires_on_its_day_and_is_told_once(till: Till) -> None:
    await till.ask(grant_credit("w", "50.00", expires_on=date(2026, 3, 1)))
    await till.bill(1, line(1_000))  # 12.00 of it
    assert await till.tick(datetime(2026, 2, 28, 23, tzinfo=UTC)) == []
    (told,) = await till.tick(datetime(2026, 3, 1, tzinfo=UTC))
    assert isinstance(told, CreditMovement)
    assert (told.amount_minor, told.balance_minor, told.effective_on) == (3_800, 0, date(2026, 3, 1))
    assert await till.tick(datetime(2026, 4, 1, tzinfo=UTC)) == []
    assert (await till.bill(3, line(1_000, number=3))).credits == ()


async def test_credit_that_a_void_invoice_gives_back_after_its_day_expires_again_under_another_id(till: Till) -> None:
    await till.ask(grant_credit("w", "50.00", expires_on=date(2026, 3, 1)))
    invoice = await till.bill(1, line(1_000))
    await till.tick(datetime(2026, 3, 1, tzinfo=UTC))
    await till.void(invoice)
    (told,) = await till.tick(datetime(2026, 3, 2, tzinfo=UTC))
    assert told.amount_minor == 1_200
    assert [event.id for event in till.events if "expired" in event.id] == ["w/expired/3800", "w/expired/5000"]


async def test_a_low_balance_is_told_once_a_fall(till: Till) -> None:
    """50.00 with an alert below 30.00: 26.00 is low, 14.00 says nothing more, a top-up to 64.00 and 16.00 says it."""
    await till.ask(grant_credit("a", "50.00", low_balance="30.00"))
    await till.bill(1, line(2_000))
    await till.bill(2, line(1_000, number=2))
    await till.ask(grant_credit("b", "50.00"))
    await till.bill(3, line(4_000, number=3))
    lows = [event.data for event in till.events if isinstance(event.data, CreditLow)]
    assert [(low.balance_minor, low.threshold_minor) for low in lows] == [(2_600, 3_000), (1_600, 3_000)]


async def test_points_expire_with_the_revenue_that_waited_for_them(till: Till) -> None:
    """1,000 points, 38.46; 400 redeemed, 19.23; on 1 August the other 600 expire and the other 19.23 is breakage."""
    programme = LoyaltyProgramme(
        code="MILES", points_per_unit=Decimal(1), point_amount=Decimal("0.05"), redemption_percent=Decimal(80),
        expires_months=6,
    )  # fmt: skip
    first = await till.bill(1, line(100_000), by=(subscription(loyalty=programme),))
    await till.ask(redeem("r", 400))
    await till.bill(2, line(10_000, number=2))
    assert await till.tick(datetime(2026, 7, 31, tzinfo=UTC)) == []
    (told,) = await till.tick(datetime(2026, 8, 1, tzinfo=UTC))
    assert isinstance(told, PointsExpired)
    assert (told.points, told.released_minor, told.invoice_id) == (600, 1_923, first.invoice_id)
    assert await till.connection.fetchval("SELECT points FROM invoicing.point_balance") == 0


async def test_points_that_were_asked_for_in_time_do_not_expire(till: Till) -> None:
    programme = LoyaltyProgramme(
        code="MILES", points_per_unit=Decimal(1), point_amount=Decimal("0.05"), expires_months=1
    )
    await till.bill(1, line(10_000), by=(subscription(loyalty=programme),))
    await till.ask(redeem("r", 60))
    (told,) = await till.tick(datetime(2026, 3, 1, tzinfo=UTC))
    assert told.points == 40
    assert shown(await till.bill(2, line(10_000, number=2))) == [("loyalty", "MILES", -300)]


async def test_an_invoice_in_another_currency_uses_no_credit_and_no_coupon_of_this_one(till: Till) -> None:
    await till.ask(
        grant_credit("w", "50.00"), grant_credit("p", "5.00", kind="promotional"), grant_coupon("E", amount_minor=100),
        grant_coupon("ANY"),
    )  # fmt: skip
    invoice = await till.bill(1, line(10_000), currency="DKK")
    assert (shown(invoice), invoice.credits) == ([("coupon", "ANY", -1_000)], ())


@pytest.mark.parametrize(
    ("locale", "texts"),
    [
        (None, ["Spend cap of 1,000.00 EUR", "Welcome!", "Promotional credit", "1 point of MILES"]),
        ("de-DE", ["Ausgabenobergrenze von 1.000,00 EUR", "Welcome!", "Aktionsguthaben", "1 Punkt aus MILES"]),
        ("da", ["Forbrugsloft på 1.000,00 EUR", "Welcome!", "Kampagnekredit", "1 point fra MILES"]),
    ],
)
async def test_a_discount_is_named_in_the_customers_language_and_a_coupon_as_it_was_given(
    till: Till, locale: str | None, texts: list[str]
) -> None:
    await till.bill(1, line(10_000), by=(subscription(loyalty=MILES),))
    welcome = structs.replace(coupon("TEN"), description="Welcome!")
    terms = subscription(spend_cap_minor=100_000, coupons=(welcome,), loyalty=MILES)
    await till.ask(grant_credit("p", "5.00", kind="promotional"), redeem("r", 1))
    invoice = await till.bill(2, line(110_000, number=2), by=(terms,), locale=locale)
    assert [one.description for one in invoice.discounts] == texts
