"""KPIs of closed days; every expected value is worked out by hand beside it. Day 1 is 1 January 2026."""

from decimal import Decimal

import pytest


async def test_dso_is_receivables_over_gross_invoiced_times_days_of_the_window(desk):
    """The reference's example: 600 open, 500 invoiced in 30 days -> 600 / 500 x 30 = 36."""
    await desk.hand_in(*desk.billed("old", 1, 10_000), *desk.billed("i1", 40, 40_000, tax=10_000))
    await desk.tick(40)
    values = await desk.values()
    assert values["open_receivables", "now"] == Decimal("600.00")
    assert values["dso", "30d"] == Decimal(36)
    assert values["dso", "90d"] == Decimal(90)
    assert values["dso", "365d"] == Decimal(365)
    assert ("dso", "lifetime") not in values


async def test_revenue_average_and_frequency_count_net_by_issue_date(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000, tax=900), *desk.billed("i2", 20, 5_001, tax=450))
    await desk.tick(25)
    values = await desk.values()
    for window in ("30d", "90d", "365d", "lifetime"):
        assert values["revenue", window] == Decimal("150.01")
        assert values["average_invoice", window] == Decimal("75.01")  # 75.005, half away from zero
        assert values["purchase_frequency", window] == 2


async def test_an_invoice_falls_out_of_its_window_on_the_thirtieth_day_after_it(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000))
    await desk.tick(30)
    assert (await desk.values())["revenue", "30d"] == Decimal("100.00")
    await desk.tick(31)
    values = await desk.values()
    assert values["revenue", "30d"] == 0
    assert values["average_invoice", "30d"] is None
    assert values["dso", "30d"] is None
    assert values["revenue", "90d"] == values["revenue", "lifetime"] == Decimal("100.00")
    await desk.tick(91)
    assert (await desk.values())["revenue", "90d"] == 0
    await desk.tick(366)
    values = await desk.values()
    assert values["revenue", "365d"] == 0
    assert values["revenue", "lifetime"] == Decimal("100.00")
    assert values["purchase_frequency", "365d"] is None
    assert values["purchase_frequency", "lifetime"] == 1


async def test_fees_and_bad_debt_lower_the_lifetime_value(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000))
    await desk.hand_in(desk.journal("received", "p1", 2, ("1200", -9_000, "i1"), ("6200", 150, None)))
    await desk.hand_in(desk.journal("written_off", "w1", 3, ("1200", -1_000, None), ("6100", 1_000, None)))
    await desk.tick(3)
    values = await desk.values()
    assert values["lifetime_value", "lifetime"] == Decimal("88.50")
    assert values["open_receivables", "now"] == 0


async def test_payment_delay_weighs_days_by_amount(desk):
    """75.00 ten days early, 25.00 thirty days late: (75 x -10 + 25 x 30) / 100 = 0; then 100.00 four days late: 2."""
    await desk.hand_in(*desk.billed("i1", 1, 10_000, due=31), *desk.billed("i2", 1, 10_000, due=61))
    await desk.hand_in(
        desk.journal("received", "p1", 21, ("1200", -7_500, "i1")),
        desk.journal("received", "p2", 61, ("1200", -2_500, "i1")),
    )
    await desk.tick(61)
    assert (await desk.values())["payment_delay", "lifetime"] == 0
    await desk.hand_in(desk.journal("received", "p3", 65, ("1200", -10_000, "i2")))
    await desk.tick(65)
    values = await desk.values()
    assert values["payment_delay", "lifetime"] == 2
    assert values["payment_delay", "30d"] == Decimal("9.2")  # (25 x 30 + 100 x 4) / 125: days 36 to 65


async def test_a_refund_takes_the_delay_of_its_payment_back(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000, due=11), *desk.billed("i2", 1, 10_000, due=11))
    await desk.hand_in(
        desk.journal("received", "p1", 15, ("1200", -10_000, "i1")),
        desk.journal("received", "p2", 19, ("1200", -10_000, "i2")),
    )
    await desk.tick(19)
    assert (await desk.values())["payment_delay", "lifetime"] == 6
    await desk.hand_in(desk.journal("refunded", "p2", 25, ("1200", 10_000, "i2")))
    await desk.tick(25)
    values = await desk.values()
    assert values["payment_delay", "lifetime"] == values["payment_delay", "30d"] == 4
    assert values["open_receivables", "now"] == Decimal("100.00")


async def test_a_settlement_that_comes_before_its_invoice_is_counted_with_it(desk):
    await desk.hand_in(desk.journal("received", "p1", 5, ("1200", -10_000, "i1")))
    await desk.tick(5)
    assert (await desk.values())["payment_delay", "lifetime"] is None
    await desk.hand_in(*desk.billed("i1", 6, 10_000, due=2))
    await desk.tick(6)
    assert (await desk.values())["payment_delay", "lifetime"] == 3


async def test_the_portfolio_sums_its_customers_and_counts_the_active_ones(desk):
    await desk.hand_in(
        *desk.billed("a", 1, 10_000, account="UA"),
        *desk.billed("b", 1, 20_000, account="DL"),
        *desk.billed("c", 20, 30_000, account="DL"),
        *desk.billed("y", 1, 700, account="NH", currency="JPY"),
    )
    await desk.tick(20)
    rows = await desk.connection.fetch("SELECT * FROM kpi.value WHERE account = 'portfolio'")
    values = {(row["currency"], row["kpi"], row["window"]): row["value"] for row in rows}
    assert values["EUR", "revenue", "30d"] == Decimal("600.00")
    assert values["EUR", "purchase_frequency", "30d"] == Decimal("1.5")
    assert values["JPY", "revenue", "lifetime"] == 700
    assert values["JPY", "purchase_frequency", "30d"] == 1
    await desk.tick(31)
    rows = await desk.connection.fetch("SELECT * FROM kpi.value WHERE account = 'portfolio' AND currency = 'EUR'")
    values = {(row["kpi"], row["window"]): row["value"] for row in rows}
    assert values["revenue", "30d"] == Decimal("300.00")
    assert values["purchase_frequency", "30d"] == 1
    assert values["purchase_frequency", "90d"] == Decimal("1.5")


async def test_only_what_changed_is_published_and_the_history_keeps_the_day_of_each_change(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000))
    await desk.tick(29)
    before = len(desk.published)
    await desk.tick(30)
    assert len(desk.published) == before
    await desk.tick(31)
    changed = {(event.data.account, event.data.kpi, event.data.window) for event in desk.published[before:]}
    assert changed == {
        (account, kpi, "30d")
        for account in ("UA", "portfolio")
        for kpi in ("revenue", "average_invoice", "purchase_frequency", "lifetime_value", "dso")
    }
    rows = await desk.connection.fetch(
        "SELECT as_of::text, value FROM kpi.value_history WHERE account = 'UA' AND kpi = 'revenue' "
        "AND \"window\" = '30d' ORDER BY as_of"
    )
    assert [tuple(row) for row in rows] == [("2026-01-01", Decimal("100.00")), ("2026-01-31", Decimal(0))]
    event = next(event for event in desk.published if event.data.kpi == "dso" and event.data.account == "UA")
    assert event.id == "UA/kpi/dso/30d/EUR/2026-01-01"
    assert (event.data.unit, event.data.basis, event.data.numerator, event.data.denominator) == (
        "days",
        "as_reported",
        Decimal(3000),
        Decimal(100),
    )


async def test_a_fact_that_comes_after_its_day_is_reported_on_the_first_open_day_and_the_past_stays(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000))
    await desk.tick(10)
    await desk.hand_in(*desk.billed("i0", 5, 5_000, watermark=11))
    await desk.tick(12)
    rows = await desk.connection.fetch(
        "SELECT as_of::text, value FROM kpi.value_history WHERE account = 'UA' AND kpi = 'revenue' "
        "AND \"window\" = '30d' ORDER BY as_of"
    )
    assert [tuple(row) for row in rows] == [("2026-01-01", Decimal(100)), ("2026-01-11", Decimal(150))]
    await desk.tick(35)
    assert (await desk.values())["revenue", "30d"] == 0  # days 1 and 5 have both left the window of days 6 to 35


async def test_repeats_are_ignored_and_another_payload_is_a_conflict(desk):
    invoice, journal = desk.billed("i1", 1, 10_000)
    tx = await desk.hand_in(invoice, invoice, journal)
    assert tx.outcomes["billing.invoices", "duplicate"] == 1
    tx = await desk.hand_in(invoice, journal)
    assert tx.outcomes["billing.ledger", "duplicate"] == 1
    tx = await desk.hand_in(desk.invoice("i1", 1, 10_001))
    assert [rejection.reason for rejection in tx.rejections] == ["identity_conflict"]
    await desk.tick(1)
    assert (await desk.values())["revenue", "lifetime"] == Decimal("100.00")


@pytest.mark.parametrize("accounts_a_call", [1, 3, 500])
async def test_a_day_of_many_accounts_is_closed_in_bounded_calls_with_the_same_books(
    desk, monkeypatch, accounts_a_call
):
    monkeypatch.setattr("fakturo.consumers.kpi.closing.ACCOUNTS_A_CALL", accounts_a_call)
    for number in range(7):
        await desk.hand_in(*desk.billed(f"i{number}", 1 + number % 2, 1_000, account=f"A{number}"))
    calls = await desk.tick(40)
    assert calls >= 7 * 2 / accounts_a_call
    values = await desk.values("portfolio")
    assert values["revenue", "lifetime"] == Decimal("70.00")
    assert values["purchase_frequency", "90d"] == 1
    assert values["revenue", "30d"] == 0
