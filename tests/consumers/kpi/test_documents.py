"""Credit notes, voids, write-offs and recoveries in the KPIs; values by hand. Day 1 is 1 January 2026."""

from decimal import Decimal


async def test_a_credit_note_lowers_revenue_and_gross_from_its_own_issue_date(desk):
    """100.00 + 20.00 on day 1; 30.00 + 6.00 credited on day 20: net 70.00, gross 84.00, 84.00 open: DSO 30."""
    await desk.hand_in(*desk.billed("i1", 1, 10_000, tax=2_000), desk.credit_note("c1", "i1", 20, 3_000, tax=600))
    await desk.hand_in(desk.journal("issued", "c1", 20, ("1200", -3_600, "i1"), ("4095", 3_000, None)))
    await desk.tick(19)
    assert (await desk.values())["revenue", "30d"] == Decimal("100.00")
    await desk.tick(20)
    values = await desk.values()
    assert values["revenue", "30d"] == values["lifetime_value", "lifetime"] == Decimal("70.00")
    assert values["average_invoice", "30d"] == Decimal("70.00")  # one invoice, less what was credited
    assert values["dso", "30d"] == Decimal(30)
    await desk.tick(31)  # the invoice has left the window, its credit note has not
    assert (await desk.values())["revenue", "30d"] == Decimal("-30.00")


async def test_a_void_takes_the_invoice_off_its_own_day_and_closed_days_keep_what_they_said(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000), *desk.billed("i2", 2, 5_000))
    await desk.tick(10)
    await desk.hand_in(desk.voided("i1", 1, 12, 10_000, watermark=11))
    await desk.hand_in(desk.journal("voided", "i1", 12, ("1200", -10_000, "i1"), watermark=11))
    await desk.tick(12)
    values = await desk.values()
    assert values["revenue", "30d"] == values["open_receivables", "now"] == Decimal("50.00")
    assert values["purchase_frequency", "30d"] == 1
    then = await desk.connection.fetchval(
        "SELECT value FROM kpi.value_history WHERE kpi = 'revenue' AND \"window\" = '30d' AND account = 'UA' "
        "AND as_of <= '2026-01-10' ORDER BY as_of DESC LIMIT 1"
    )
    assert then == Decimal("150.00")
    await desk.tick(31)  # day 1 leaves the window: invoice and void together
    assert (await desk.values())["revenue", "30d"] == Decimal("50.00")


async def test_a_customer_whose_only_invoice_is_void_is_no_longer_active(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000), *desk.billed("i2", 1, 10_000, account="DL"))
    await desk.tick(2)
    await desk.hand_in(desk.voided("i1", 1, 3, 10_000), desk.journal("voided", "i1", 3, ("1200", -10_000, "i1")))
    await desk.tick(3)
    assert (await desk.values())["purchase_frequency", "lifetime"] is None
    assert (await desk.values("portfolio"))["purchase_frequency", "lifetime"] == 1


async def test_bad_debt_comes_back_when_a_written_off_invoice_is_paid(desk):
    """100.00 written off on day 40, 60.00 paid on day 50, 19 days after it was due: bad debt 40.00."""
    await desk.hand_in(*desk.billed("i1", 1, 10_000))
    await desk.hand_in(desk.journal("written_off", "w1", 40, ("1200", -10_000, "i1"), ("6100", 10_000, None)))
    await desk.tick(40)
    assert (await desk.values())["lifetime_value", "lifetime"] == 0
    await desk.hand_in(desk.journal("recovered", "p1", 50, ("1200", 6_000, "i1"), ("6100", -6_000, None)))
    await desk.hand_in(desk.journal("received", "p1", 50, ("1200", -6_000, "i1")))
    await desk.tick(50)
    values = await desk.values()
    assert values["lifetime_value", "lifetime"] == Decimal("60.00")
    assert values["open_receivables", "now"] == 0
    assert values["payment_delay", "lifetime"] == 19


async def test_a_credit_note_or_void_that_comes_twice_counts_once(desk):
    note, void = desk.credit_note("c1", "i1", 2, 1_000), desk.voided("i2", 1, 2, 5_000)
    await desk.hand_in(*desk.billed("i1", 1, 10_000), *desk.billed("i2", 1, 5_000), note, void, note)
    await desk.hand_in(void)
    await desk.tick(2)
    assert (await desk.values())["revenue", "lifetime"] == Decimal("90.00")


async def test_interim_values_show_credit_notes_and_voids_before_their_day_closes(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000), *desk.billed("i2", 1, 5_000))
    await desk.hand_in(desk.credit_note("c1", "i1", 1, 1_000), desk.voided("i2", 1, 1, 5_000))
    shown = {(e.data.kpi, e.data.window): e.data.value for e in await desk.flush() if e.data.account == "UA"}
    assert shown["revenue", "30d"] == Decimal("90.00")
    await desk.tick(1)
    assert (await desk.values())["revenue", "30d"] == Decimal("90.00")
