"""Verify, of documents: sums, tax, numbers, status, the books of credit; nothing to find, or exactly what changed."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal

import asyncpg
import pytest

from fakturo.schemas.events import requests
from fakturo.schemas.events.contracts import (
    AccountChanged,
    Commitment,
    Coupon,
    ItemTax,
    LoyaltyProgramme,
    Seller,
    TaxRate,
)
from tests.cli.company import Company, account, figures, item, subscription, terms, version

CENTS = Decimal("19")


@pytest.fixture
async def company(database_url: str) -> AsyncIterator[Company]:
    """Return a company without books."""
    connection = await asyncpg.connect(database_url)
    yield Company(connection)
    await connection.close()


async def test_a_credit_note_a_void_with_reissue_a_write_off_and_payments_agree_in_all_books(company: Company) -> None:
    """Four invoices over 31.00 + 6.20, each with a life of its own."""
    await company.sign(account(), subscription(item("seat")))
    issued = [(await company.tick(2026, month))[0] for month in (2, 3, 4, 5)]
    await company.pay("p1", "37.20", issued[0])
    await company.credit(issued[0], (issued[0].lines[0].line_id, "10.00"))
    await company.credit(issued[1])
    await company.pay("p2", "20.00", issued[2])
    await company.void(issued[2], reissue=True)
    await company.write_off(issued[3])
    await company.tick(2026, 5, 20)
    assert figures(await company.verify()) == []
    await company.pay("p3", "7.20", issued[3])
    await company.pay("p1", "5.00", issued[0], "refunded")
    for day in (21, 22):
        await company.tick(2026, 5, day)
    found = await company.verify()
    assert figures(found) == []
    rows = await company.connection.fetch("SELECT status FROM invoicing.invoice WHERE kind = 'invoice' ORDER BY number")
    assert [row["status"] for row in rows] == ["paid", "paid", "void", "uncollectible", "open"]


CHANGES = {
    "a total": (
        "UPDATE invoicing.invoice SET total_minor = total_minor + 1, tax_minor = tax_minor + 1 WHERE number LIKE '%1'",
        {"tax kept of", "total kept of", "A EUR dso", "portfolio EUR dso", "moved from"},
    ),
    "a number": (
        "UPDATE invoicing.invoice SET number = 'INV-00000009' WHERE number = 'INV-00000002'",
        {"numbers missing"},
    ),
    "a status": ("UPDATE invoicing.invoice SET status = 'paid' WHERE number = 'INV-00000002'", {"status of"}),
    "what was credited": (
        "UPDATE invoicing.invoice SET credited_minor = credited_minor + 1 WHERE number = 'INV-00000001'",
        {"credited of"},
    ),
    "what was taxed": ("UPDATE invoicing.tax_position SET tax_minor = tax_minor + 1", {"taxed in all"}),
    "bad debt": (
        "UPDATE ledger.balance SET amount_minor = amount_minor + 1 WHERE account_code = '6100'",
        {"balance of 6100"},
    ),
    "credit notes": (
        "UPDATE ledger.balance SET amount_minor = amount_minor + 1 WHERE account_code = '4095'",
        {"balance of 4095"},
    ),
    "what is open": (
        "UPDATE ledger.invoice SET open_minor = open_minor - 1 WHERE number = 'INV-00000002'",
        {"open amount of", "open of"},
    ),
    "a KPI": (
        "UPDATE kpi.value SET value = value + 1 WHERE kpi = 'revenue' AND account = 'A' AND \"window\" = '30d'",
        {"A EUR revenue 30d"},
    ),
    "a restated KPI": (
        "UPDATE kpi.restated SET value = value + 1 WHERE kpi = 'revenue' AND account = 'A' AND \"window\" = '90d'",
        {"restated A EUR revenue 90d"},
    ),
    "what was moved": (
        "UPDATE kpi.move SET net_minor = net_minor - 1 WHERE account = 'A'",
        {"moved from", "restated A EUR revenue", "restated A EUR average_invoice", "restated A EUR lifetime_value"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_figure_that_was_changed_is_listed_and_nothing_else(company: Company, change: str) -> None:
    await company.sign(account(), subscription(item("seat")))
    first, second, third = [(await company.tick(2026, month))[0] for month in (2, 3, 4)]
    await company.credit(first, (first.lines[0].line_id, "10.00"))
    await company.write_off(third)
    await company.tick(2026, 4, 9)
    assert figures(await company.verify()) == []
    statement, expected = CHANGES[change]
    await company.tamper(statement)
    found = [figure for figure, _, _ in figures(await company.verify())]
    assert found
    assert all(any(figure.startswith(start) for start in expected) for figure in found), found
    assert all(any(figure.startswith(start) for figure in found) for start in expected), found
    assert second.number == "INV-00000002"


def business(name: str, country: str, vat_id: str | None) -> AccountChanged:
    return account(version(country=country, vat_id=vat_id), name=name)


async def test_tax_by_country_reverse_charge_prices_with_tax_and_rounding_by_line(company: Company) -> None:
    """A seller in Germany: 19 % at home, reverse charge to Austria; prices that include tax; tax by line."""
    by_country = ItemTax(
        category="standard", rate_percent=Decimal(0), by_country=True,
        rates=(TaxRate(country="DE", category="standard", effective_from=date(2020, 1, 1), rate_percent=CENTS),),
    )  # fmt: skip
    inside = ItemTax(category="standard", rate_percent=CENTS, prices_include_tax=True)
    by_line = Seller(code="DE2", name="Lines", country="DE", tax_rounding="line", invoice_series="L")
    half = (terms(date(2026, 1, 1), "1", own_unit_amount=Decimal("0.33")),)
    for name, country, vat_id in (("A", "DE", None), ("B", "AT", "ATU10223006")):
        items = [item(f"{name}-{kind}", tax=tax) for kind, tax in (("own", by_country), ("gross", inside))]
        await company.sign(
            business(name, country, vat_id),
            subscription(*items, account=name, subscription_id=f"sub-{name}"),
            subscription(
                *(item(f"{name}-line-{number}", terms=half) for number in range(3)),
                account=name, subscription_id=f"lines-{name}", seller=by_line,
            ),
        )  # fmt: skip
    invoices = [*await company.tick(2026, 2), *await company.tick(2026, 3)]
    changed = item("A-own", tax=by_country, terms=(terms(date(2026, 1, 1)), terms(date(2026, 2, 11), "2")))
    gross = item("A-gross", tax=inside, terms=(terms(date(2026, 1, 1)), terms(date(2026, 1, 11), "2")))
    await company.sign(subscription(changed, gross, account="A", subscription_id="sub-A"))
    await company.tick(2026, 3, 2)
    await company.tick(2026, 4)
    assert {tax.category for invoice in invoices for tax in invoice.taxes} == {"standard", "reverse_charge"}
    assert {invoice.tax_minor for invoice in invoices if invoice.seller_code} == {21}  # 3 x round(0.066), not 0.20
    assert figures(await company.verify()) == []


PROGRAMME = LoyaltyProgramme(
    code="club", points_per_unit=Decimal(1), point_amount=Decimal("0.05"), redemption_percent=Decimal(80)
)
TEN = Coupon(code="TEN", description="Ten", percent=Decimal(10), duration="forever", budget_minor=100_000)


async def discounted(company: Company) -> None:
    """Bill four months with a coupon, a cap, a commitment over three, promotional and prepaid credit, and points."""
    seats = subscription(
        item("seat", terms=(terms(date(2026, 1, 1), "10"),)),
        coupons=(TEN,),
        spend_cap_minor=30_000,
        commitment=Commitment(amount_minor=100_000, start_on=date(2026, 1, 1), end_on=date(2026, 4, 1)),
        loyalty=PROGRAMME,
    )
    await company.sign(account(), seats)
    for grant_id, kind, amount in (("gift", "promotional", "5.00"), ("top-up", "prepaid", "500.00")):
        grant = requests.CreditGrant(
            grant_id=grant_id, account="A", currency="EUR", amount=amount, kind=kind, expires_on=date(2026, 5, 1)
        )
        await company.ask(requests.CREDIT_GRANT_REQUESTED, grant)
    await company.tick(2026, 2)
    redemption = requests.PointsRedemption(redemption_id="r1", account="A", points=100)
    await company.ask(requests.POINTS_REDEMPTION_REQUESTED, redemption)
    for month, day in ((3, 1), (4, 1), (4, 2)):
        await company.tick(2026, month, day)


async def test_coupons_caps_commitments_credit_and_points_agree_with_the_documents(company: Company) -> None:
    await discounted(company)
    assert figures(await company.verify()) == []
    kinds = {one.kind for invoice in company.documents for one in invoice.discounts}
    assert kinds == {"spend_cap", "coupon", "promotional_credit", "loyalty"}
    assert any(line.kind == "true_up" for invoice in company.documents for line in invoice.lines)
    first = company.documents[0]
    await company.credit(first, (first.lines[0].line_id, "7.77"))
    await company.void(company.documents[-2], reissue=True)
    for month, day in ((4, 3), (5, 1), (5, 2), (6, 1)):
        await company.tick(2026, month, day)
    assert figures(await company.verify()) == []


BOOKS = {
    "budget of coupon TEN: spent": "UPDATE invoicing.coupon_budget SET spent_minor = spent_minor + 1",
    "credit top-up: used": "UPDATE invoicing.credit_grant SET used_minor = used_minor - 1 WHERE grant_id = 'top-up'",
    "free points of A": "UPDATE invoicing.point_balance SET points = points + 1",
    "true-up of sub from 2026-01-01: line": "UPDATE invoicing.commitment_term SET short_minor = short_minor + 1",
    "balance of 2320 A EUR": "UPDATE ledger.balance SET amount_minor = amount_minor + 1 WHERE account_code = '2320'",
    "balance of 2210  EUR": "UPDATE ledger.balance SET amount_minor = amount_minor + 1 WHERE account_code = '2210'",
}


async def test_a_book_of_credit_that_was_changed_is_listed(company: Company) -> None:
    await discounted(company)
    for figure, statement in BOOKS.items():
        await company.tamper(statement)
        assert figure in [one.figure for one in (await company.verify()).differences]


async def test_a_parent_that_pays_cost_centres_and_corrections_at_once_agree(database_url: str) -> None:
    """B is paid for by A, which splits by cost centre; a seat that ends earlier gives a credit note of its own."""
    connection = await asyncpg.connect(database_url)
    company = Company(connection, {"corrections": "at_once"})
    paid_for = account(version(bill_to="A"), name="B")
    await company.sign(
        account(version(split_by_cost_centre=True)),
        paid_for,
        subscription(item("north", cost_centre="N"), item("south", cost_centre="S", billing="advance")),
        subscription(item("child", cost_centre="S"), account="B", subscription_id="sub-B"),
    )
    for month in (1, 2, 3):
        await company.tick(2026, month)
    ended = item("south", cost_centre="S", billing="advance", service_end_on=date(2026, 3, 2))
    await company.sign(subscription(item("north", cost_centre="N"), ended))
    notes = [*await company.tick(2026, 3, 3), *await company.tick(2026, 3, 4)]
    assert [note.total_minor < 0 for note in notes] == [True]
    for day in (5, 6):
        await company.tick(2026, 3, day)
    assert figures(await company.verify()) == []
    await connection.close()


async def test_a_correction_on_an_invoice_with_discounts_that_is_void_gives_back_what_it_had_taxed(
    company: Company,
) -> None:
    """February's seats are one more, which March's invoice corrects, 10 % off; then March's invoice is void."""
    await company.sign(account(), subscription(item("seat"), coupons=(TEN,)))
    for month in (2, 3):
        await company.tick(2026, month)
    more = item("seat", terms=(terms(date(2026, 1, 1)), terms(date(2026, 2, 11), "2")))
    await company.sign(subscription(more, coupons=(TEN,)))
    await company.tick(2026, 3, 2)
    (corrected,) = await company.tick(2026, 4)
    assert any(line.corrects for line in corrected.lines)
    await company.void(corrected)
    for day in (2, 3):
        await company.tick(2026, 4, day)
    found = await company.verify()
    assert figures(found) == []


async def test_what_was_voided_for_good_is_a_note_when_its_contract_changes_later(company: Company) -> None:
    await company.sign(account(), subscription(item("seat")))
    (january,) = await company.tick(2026, 2)
    await company.void(january)
    await company.sign(subscription(item("seat", terms=(terms(date(2026, 1, 1)), terms(date(2026, 1, 11), "2")))))
    for month, day in ((2, 2), (3, 1), (3, 2)):
        await company.tick(2026, month, day)
    found = await company.verify()
    assert figures(found) == []
    (note,) = found.notes
    assert "settled by a void invoice" in note.text


async def test_what_an_item_that_left_its_subscription_was_billed_is_a_note(company: Company) -> None:
    await company.sign(account(), subscription(item("seat"), item("gone")))
    await company.tick(2026, 2)
    await company.sign(subscription(item("seat")))
    found = await company.verify()
    assert [(note.count, note.text) for note in found.notes] == [
        (1, "lines of items that left their subscription keep what was billed, not recomputed")
    ]
