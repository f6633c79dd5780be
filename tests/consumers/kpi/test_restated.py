"""Closed months restated by later documents, beside what was reported; values by hand. Day 1 is 1 January 2026.

Days      31 is 31 January, 32 is 1 February, 59 the 28th, 60 is 1 March, 90 the 31st.
"""

from decimal import Decimal

JANUARY, FEBRUARY, MARCH, APRIL = "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"


async def reported(desk, kpi, window, as_of):
    return await desk.connection.fetchval(
        "SELECT value FROM kpi.value_history WHERE account = 'UA' AND kpi = $1 AND \"window\" = $2 "
        "AND as_of <= $3::text::date ORDER BY as_of DESC LIMIT 1",
        kpi,
        window,
        as_of,
    )


async def test_a_correction_of_a_closed_month_restates_it_beside_what_was_reported(desk):
    """100.00 on 2 January. On 1 February 50.00, and 8.00 more for January: February's invoice of 58.00.

    Reported: 100.00 for January, 58.00 for the 30 days to 28 February. Restated: 108.00 and 50.00, 158.00 both ways.
    """
    await desk.hand_in(*desk.billed("i1", 2, 10_000))
    await desk.tick(31)
    assert await desk.restated("revenue", "30d") == []
    await desk.hand_in(*desk.billed("i2", 32, 5_800, corrections={"i1": 800}, watermark=32))
    await desk.tick(32)
    assert await desk.restated("revenue", "30d") == [(JANUARY, "2026-02-01", Decimal("108.00"))]
    assert await desk.restated("average_invoice", "30d") == [(JANUARY, "2026-02-01", Decimal("108.00"))]
    assert await desk.restated("open_receivables", "now") == [(JANUARY, "2026-02-01", Decimal("108.00"))]
    await desk.tick(60)
    assert await reported(desk, "revenue", "30d", JANUARY) == Decimal("100.00")
    assert await reported(desk, "revenue", "30d", FEBRUARY) == Decimal("58.00")
    assert await desk.restated("revenue", "30d") == [
        (JANUARY, "2026-02-01", Decimal("108.00")),
        (FEBRUARY, FEBRUARY, Decimal("50.00")),
    ]
    assert await desk.restated("revenue", "90d") == [(JANUARY, "2026-02-01", Decimal("108.00"))]  # the same by February


async def test_a_restated_value_is_published_beside_the_reported_one_and_once(desk):
    await desk.hand_in(*desk.billed("i1", 2, 10_000))
    await desk.tick(31)
    before = len(desk.published)
    await desk.hand_in(*desk.billed("i2", 32, 5_800, corrections={"i1": 800}, watermark=32))
    await desk.tick(32)
    told = [event for event in desk.published[before:] if event.data.basis == "restated" and event.subject == "UA"]
    (revenue,) = [event for event in told if (event.data.kpi, event.data.window) == ("revenue", "30d")]
    assert revenue.id == "UA/kpi/revenue/30d/EUR/restated/2026-01-31/2026-02-01"
    assert (str(revenue.data.as_of), revenue.data.value, revenue.data.unit) == (JANUARY, Decimal("108.00"), "currency")
    before = len(desk.published)
    await desk.tick(40)
    assert [event for event in desk.published[before:] if event.data.basis == "restated"] == []


async def test_a_second_correction_restates_the_month_again_and_one_that_takes_it_all_back_says_so(desk):
    """January 100.00, restated by 8.00 and then by -8.00: it is 100.00 again, as it was reported."""
    await desk.hand_in(*desk.billed("i1", 2, 10_000))
    await desk.tick(32)
    await desk.hand_in(*desk.billed("i2", 40, 800, corrections={"i1": 800}, watermark=39))
    await desk.tick(41)
    await desk.hand_in(desk.credit_note("c1", "i1", 50, 800, watermark=49))
    await desk.tick(51)
    assert await desk.restated("revenue", "30d") == [
        (JANUARY, "2026-02-09", Decimal("108.00")),
        (JANUARY, "2026-02-19", Decimal("100.00")),
    ]


async def test_a_void_restates_the_month_of_its_invoice_whole(desk):
    """100.00 and 50.00 in January; 50.00 is void in February: January was 100.00, with one invoice, 100.00 owed."""
    await desk.hand_in(*desk.billed("i1", 2, 10_000), *desk.billed("i2", 3, 5_000))
    await desk.tick(32)
    await desk.hand_in(desk.voided("i2", 3, 40, 5_000, watermark=39))
    await desk.hand_in(desk.journal("voided", "i2", 40, ("1200", -5_000, "i2"), watermark=39))
    await desk.tick(41)
    for kpi, window in (("revenue", "90d"), ("average_invoice", "90d"), ("lifetime_value", "lifetime")):
        assert await desk.restated(kpi, window) == [(JANUARY, "2026-02-09", Decimal("100.00"))], kpi
    assert await desk.restated("open_receivables", "now") == [(JANUARY, "2026-02-09", Decimal("100.00"))]
    await desk.tick(95)
    assert len(await desk.restated("revenue", "90d")) == 1  # since 9 February what is reported says the same


async def test_a_void_invoice_that_corrected_another_restates_both_months_back(desk):
    """January 100.00; February's 58.00 hold 8.00 for January; it is void in March: 100.00 and nothing, in the end."""
    await desk.hand_in(*desk.billed("i1", 2, 10_000))
    await desk.tick(31)
    await desk.hand_in(*desk.billed("i2", 32, 5_800, corrections={"i1": 800}, watermark=32))
    await desk.tick(60)
    await desk.hand_in(desk.voided("i2", 32, 61, 5_800, corrections={"i1": 800}, watermark=60))
    await desk.tick(61)
    assert (await desk.restated("revenue", "30d"))[2:] == [
        (JANUARY, "2026-03-02", Decimal("100.00")),
        (FEBRUARY, "2026-03-02", Decimal("0.00")),
    ]


async def test_dso_is_restated_by_what_was_owed_and_invoiced(desk):
    """Owed 100.00, invoiced 100.00 + nothing: 30 days. 20.00 credited later: 80.00 of 80.00, 30 days still.

    With 60.00 paid: 40.00 / 100.00 x 30 = 12; restated (40 - 20) / (100 - 20) x 30 = 7.5.
    """
    await desk.hand_in(*desk.billed("i1", 2, 10_000))
    await desk.hand_in(desk.journal("received", "p1", 20, ("1200", -6_000, "i1")))
    await desk.tick(32)
    await desk.hand_in(desk.credit_note("c1", "i1", 40, 2_000, watermark=39))
    await desk.tick(41)
    assert await reported(desk, "dso", "30d", JANUARY) == Decimal(12)
    assert await desk.restated("dso", "30d") == [(JANUARY, "2026-02-09", Decimal("7.5"))]


async def test_the_portfolio_is_restated_by_all_its_customers(desk):
    await desk.hand_in(*desk.billed("i1", 2, 10_000), *desk.billed("j1", 2, 4_000, account="DL"))
    await desk.tick(32)
    await desk.hand_in(
        desk.credit_note("c1", "i1", 40, 1_000, watermark=39),
        desk.credit_note("c2", "j1", 40, 500, account="DL", watermark=39),
    )
    await desk.tick(41)
    assert await desk.restated("revenue", "90d", "portfolio") == [(JANUARY, "2026-02-09", Decimal("125.00"))]
    assert await desk.restated("revenue", "90d", "DL") == [(JANUARY, "2026-02-09", Decimal("35.00"))]
