"""Interim values move at once, and the books never know of them."""

import random
from decimal import Decimal


def newest(events, kpi, window, account="UA"):
    found = [
        event.data
        for event in events
        if (event.data.kpi, event.data.window, event.data.account) == (kpi, window, account)
    ]
    return found[-1].value if found else None


async def test_a_flush_shows_an_invoice_before_its_day_is_closed(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000))
    await desk.tick(1)
    await desk.hand_in(*desk.billed("i2", 2, 5_000), *desk.billed("d1", 2, 700, account="DL"))
    shown = await desk.flush()
    assert newest(shown, "revenue", "30d") == Decimal("150.00")
    assert newest(shown, "open_receivables", "now") == Decimal("150.00")
    assert newest(shown, "revenue", "lifetime", "portfolio") == Decimal("157.00")
    assert newest(shown, "purchase_frequency", "30d", "portfolio") == Decimal("1.5")
    assert (await desk.values())["revenue", "30d"] == Decimal("100.00")
    assert await desk.flush() == []
    before = len(desk.published)
    await desk.tick(2)
    closed = {event.id for event in desk.published[before:]}
    assert "UA/kpi/revenue/30d/EUR/2026-01-02" in closed
    assert not any("interim" in event_id for event_id in closed)


async def test_an_interim_value_that_the_close_does_not_confirm_is_taken_back(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000, due=1))
    await desk.tick(1)
    await desk.hand_in(desk.journal("received", "p1", 2, ("1200", -4_000, "i1")))
    assert newest(await desk.flush(), "open_receivables", "now") == Decimal("60.00")
    await desk.hand_in(desk.journal("refunded", "p1", 2, ("1200", 4_000, "i1")))
    before = len(desk.published)
    await desk.tick(2)
    assert newest(desk.published[before:], "open_receivables", "now") == Decimal("100.00")
    assert await desk.connection.fetchval("SELECT count(*) FROM kpi.live") == 0


async def test_interim_events_of_one_day_have_ids_of_their_own(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000))
    await desk.flush()
    await desk.hand_in(*desk.billed("i2", 1, 5_000))
    await desk.flush()
    await desk.tick(1)
    ids = [event.id for event in desk.published]
    assert len(ids) == len(set(ids))


def history(desk, seed, corrected=False):
    """Return [(day, records)]: invoices, payments, refunds of six customers over 500 days, some of them late."""
    chance = random.Random(seed)
    days, paid, owed = [], [], []
    issued: list[tuple[str, str, int]] = []
    for day in range(1, 500, 3):
        records = []
        if corrected and issued and chance.random() < 0.4:
            account, name, effective = issued.pop(chance.randrange(len(issued)))
            later = {"account": account, "watermark": day}
            by = chance.choice(["invoice", "note", "void"])
            if by == "invoice":
                records += desk.billed(f"c{day}", day, 7_000, corrections={name: chance.randrange(-900, 900)}, **later)
            elif by == "note":
                records.append(desk.credit_note(f"n{day}", name, day, chance.randrange(1, 900), **later))
            else:
                records.append(desk.voided(name, effective, day, 900, **later))
        for number in range(chance.randrange(3)):
            account, name = f"A{chance.randrange(6)}", f"i{day}/{number}"
            effective = max(1, day - chance.choice([0, 0, 0, 0, 45]))
            records += desk.billed(name, effective, chance.randrange(1, 90_000), account=account, watermark=day)
            owed.append((account, name))
            issued.append((account, name, effective))
        if owed and chance.random() < 0.6:
            account, name = owed.pop(chance.randrange(len(owed)))
            amount = chance.randrange(1, 50_000)
            fee = ("6200", chance.randrange(0, 99), None)
            records.append(
                desk.journal("received", f"p{day}", day, ("1200", -amount, name), fee, account=account, watermark=day)
            )
            paid.append((account, name, f"p{day}", amount))
        if paid and chance.random() < 0.1:
            account, name, payment, amount = paid.pop()
            records.append(
                desk.journal("refunded", payment, day, ("1200", amount, name), account=account, watermark=day)
            )
        days.append((day, records))
    return days


async def test_ticks_one_by_one_and_jumps_over_months_give_the_same_books(desk):
    """The second run flushes all the time, gets its facts in other batches, and closes many days at once."""
    days = history(desk, seed=7, corrected=True)
    for day, records in days:
        if records:
            await desk.hand_in(*records)
        await desk.tick(day)
    await desk.tick(900)
    calm = await desk.books()
    assert len(calm["value_history"]) > 1_000
    assert len(calm["restated"]) > 1_000

    tables = (
        "fact",
        "invoice",
        "journal",
        "settlement",
        "live",
        "value",
        "value_history",
        "day",
        "total",
        "activity",
        "active",
        *("move", "restated", "restated_due"),
    )
    await desk.connection.execute("TRUNCATE " + ", ".join(f"kpi.{table}" for table in tables))
    await desk.connection.execute("UPDATE kpi.progress SET closed_on = NULL, closing_on = NULL, closing_after = ''")
    chance = random.Random(8)
    held = []
    for day, records in days:
        held += records
        if chance.random() < 0.2:
            chance.shuffle(held)
            await desk.hand_in(*held)
            await desk.flush()
            if chance.random() < 0.3:
                await desk.tick(day)
                await desk.flush()
            held = []
    if held:
        await desk.hand_in(*held)
    await desk.tick(900)
    jumpy = await desk.books()
    for table, rows in calm.items():
        assert jumpy[table] == rows, table


async def test_every_value_equals_a_recomputation_from_the_plain_facts(desk):
    """Independent arithmetic over the list of facts, on days chosen at random."""
    chance = random.Random(3)
    invoices, payments = [], []
    for number in range(60):
        day, net, account = chance.randrange(1, 400), chance.randrange(1, 90_000), f"A{chance.randrange(4)}"
        due = day + chance.choice([7, 30])
        invoices.append((day, net, account, due))
        await desk.hand_in(*desk.billed(f"i{number}", day, net, account=account, due=due))
        if chance.random() < 0.8:
            paid_on = day + chance.randrange(1, 60)
            payments.append((paid_on, net, account, due))
            await desk.hand_in(
                desk.journal("received", f"p{number}", paid_on, ("1200", -net, f"i{number}"), account=account)
            )
    for today in sorted(chance.sample(range(30, 480), 12)):
        await desk.tick(today)
        for account in ("A0", "A1", "A2", "A3", "portfolio"):
            values = await desk.values(account)
            mine = [row for row in invoices if account in (row[2], "portfolio") and row[0] <= today]
            settled = [row for row in payments if account in (row[2], "portfolio") and row[0] <= today]
            if not mine:
                continue
            owed = sum(row[1] for row in mine) - sum(row[1] for row in settled)
            assert values["open_receivables", "now"] * 100 == owed
            for window, length in (("30d", 30), ("90d", 90), ("365d", 365), ("lifetime", 10_000)):
                sales = [row for row in mine if row[0] > today - length]
                net = sum(row[1] for row in sales)
                assert values["revenue", window] * 100 == net
                customers = len({row[2] for row in sales})
                expected = _half_up(len(sales), customers, 4) if customers else None
                assert values["purchase_frequency", window] == expected
                assert values["average_invoice", window] == (_half_up(net, 100 * len(sales), 2) if sales else None)
                if length < 1_000:
                    assert values["dso", window] == (_half_up(owed * length, net, 4) if net else None)
                late = [row for row in settled if row[0] > today - length]
                weights = sum(row[1] for row in late)
                days = sum(row[1] * (row[0] - row[3]) for row in late)
                assert values["payment_delay", window] == (_half_up(days, weights, 4) if weights else None)


def _half_up(numerator, denominator, digits):
    """Return the quotient, half away from zero, by integer arithmetic alone."""
    scaled = abs(numerator) * 10**digits
    whole = (2 * scaled + denominator) // (2 * denominator)
    return Decimal(whole if numerator >= 0 else -whole).scaleb(-digits)
