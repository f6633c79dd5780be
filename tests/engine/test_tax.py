"""Who is taxed where, at which rate and what it comes to; expected values are published ones, or computed by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.invoicing import AppliedDiscount, BilledItem, InvoiceHead, build_invoice, net_items
from fakturo.engine.periods import Period, month_period
from fakturo.engine.tax import (
    BY_GROUP,
    BY_LINE,
    RATES,
    TaxedLine,
    code_of,
    included_minor,
    net_amounts,
    rate_of,
    tax_lines,
    tax_point,
    treatment_of,
    vat_id_country,
)
from fakturo.engine.tax.rates import EU
from fakturo.engine.tax.treatment import CODES
from fakturo.schemas.events.contracts import AccountVersion, ItemTax, Seller, TaxRate
from fakturo.schemas.events.invoices import LineTax, Party

ROUNDINGS = (BY_GROUP, BY_LINE)
DANISH = Seller(code="dk", name="Fakturo ApS", country="DK", vat_id="DK13585628")
BY_COUNTRY = ItemTax(category="standard", rate_percent=Decimal(0), by_country=True)
ON = date(2026, 3, 31)


def customer(country: str | None, vat_id: str | None = None, *, exempt: bool = False) -> AccountVersion:
    at = datetime(2020, 1, 1, tzinfo=UTC)
    return AccountVersion(
        effective_at=at,
        recorded_at=at,
        name="A customer",
        timezone="UTC",
        terms_days=30,
        currency="EUR",
        country=country,
        vat_id=vat_id,
        tax_exempt=exempt,
    )


def tax(rate: str, *, included: bool = False, category: str = "standard") -> LineTax:
    return LineTax(category=category, rate_percent=Decimal(rate), prices_include_tax=included)


# The Commission's booklet (June 2021, section VIII) and TEDB, as engine/tax/rates.py says; Germany's 2020: Zweites
# Corona-Steuerhilfegesetz, art. 3. Each on the last day of the old rate and the first of the new one.
@pytest.mark.parametrize(
    ("country", "category", "on", "rate"),
    [
        ("DE", "standard", date(2020, 6, 30), "19"),
        ("DE", "standard", date(2020, 7, 1), "16"),
        ("DE", "standard", date(2020, 12, 31), "16"),
        ("DE", "standard", date(2021, 1, 1), "19"),
        ("DE", "reduced", date(2020, 7, 1), "5"),
        ("IE", "standard", date(2020, 9, 1), "21"),
        ("IE", "standard", date(2021, 3, 1), "23"),
        ("EE", "standard", date(2023, 12, 31), "20"),
        ("EE", "standard", date(2024, 1, 1), "22"),
        ("EE", "standard", date(2025, 7, 1), "24"),
        ("SK", "standard", date(2025, 1, 1), "23"),
        ("FI", "standard", date(2024, 8, 31), "24"),
        ("FI", "standard", date(2024, 9, 1), "25.5"),
        ("RO", "standard", date(2025, 7, 31), "19"),
        ("RO", "standard", date(2025, 8, 1), "21"),
        ("LU", "standard", date(2023, 6, 1), "16"),
        ("GR", "standard", date(2016, 6, 1), "24"),
        ("NL", "reduced", date(2019, 1, 1), "9"),
        ("LT", "reduced_2", date(2026, 1, 1), "12"),
        ("CH", "standard", date(2024, 1, 1), "8.1"),
        ("CH", "reduced", date(2023, 12, 31), "2.5"),
        ("NO", "reduced_2", date(2020, 4, 1), "6"),
        ("GB", "standard", date(2011, 1, 4), "20"),
        ("DK", "standard", date(2013, 1, 1), "25"),
    ],
)
def test_a_rate_holds_from_its_day_on(country: str, category: str, on: date, rate: str) -> None:
    assert rate_of(country, category, on) == Decimal(rate)


# The rates in force in 2026 by the same history of the booklet and TEDB, each country's last row.
STANDARD_2026 = (
    "AT20 BE21 BG20 CY19 CZ21 DE19 DK25 EE24 EL24 ES21 FI25.5 FR20 HR25 HU27 IE23 IT22 LT21 LU17 LV21 MT18 NL21 "
    "PL23 PT23 RO21 SE25 SI22 SK23"
)


def test_every_member_state_has_its_standard_rate() -> None:
    published = {row[:2].replace("EL", "GR"): Decimal(row[2:]) for row in STANDARD_2026.split()}
    assert {country: rate_of(country, "standard", ON) for country in EU} == published


def test_the_rates_of_a_country_ascend_by_date() -> None:
    for rates in RATES.values():
        dates = [rate.effective_from for rate in rates]
        assert dates == sorted(set(dates))
        assert all(0 < rate.rate_percent < 30 for rate in rates)


def test_the_price_lists_own_rate_goes_first_from_its_day_on() -> None:
    own = [
        TaxRate(country="ES", category="standard", effective_from=date(2026, 1, 1), rate_percent=Decimal(7)),
        TaxRate(country="ES", category="igic", effective_from=date(2020, 1, 1), rate_percent=Decimal(3)),
    ]
    assert rate_of("ES", "standard", date(2025, 12, 31), own) == 21
    assert rate_of("ES", "standard", date(2026, 1, 1), own) == 7
    assert rate_of("ES", "igic", ON, own) == 3
    assert rate_of("ES", "igic", date(2019, 1, 1), own) is None
    assert rate_of("US", "standard", ON) is None


# Sample numbers of python-stdnum's documentation; the second of each pair has
# one digit changed, so that its check digit is wrong.
@pytest.mark.parametrize(
    ("good", "bad", "country"),
    [
        ("ATU13585627", "ATU13585626", "AT"),
        ("BE0697449992", "BE0697449993", "BE"),
        ("DE136695976", "DE136695977", "DE"),
        ("DK13585628", "DK13585627", "DK"),
        ("EL094259216", "EL094259217", "GR"),
        ("FR61954506077", "FR61954506078", "FR"),
        ("IT00743110157", "IT00743110158", "IT"),
        ("NL004495445B01", "NL004495446B01", "NL"),
        ("PL8567346215", "PL8567346216", "PL"),
        ("SE123456789701", "SE123456789101", "SE"),
    ],
)
def test_a_vat_id_counts_when_its_check_digits_are_right(good: str, bad: str, country: str) -> None:
    assert vat_id_country(good) == country
    assert vat_id_country(f" {good[:4]} {good[4:]}") == country
    assert vat_id_country(good[2:] if country != "AT" else good, country) == country
    assert vat_id_country(bad) is None


def test_numbers_from_outside_of_the_union_are_no_vat_ids_of_it() -> None:
    assert [vat_id_country(text) for text in ("GB980780684", "XI980780684", "CHE107787577IVA", "US-1", "")] == [
        None
    ] * 5


FRENCH, GERMAN = "FR61954506077", "DE136695976"


# Directive 2006/112/EC: 44 and 196 (business), 45, 58 and 59c (consumer), 138 and 146 (goods). Codes: EN 16931.
@pytest.mark.parametrize(
    ("seller", "item", "buyer", "expected"),
    [
        (DANISH, "standard", customer("DK"), ("standard", "25", "DK", "S")),
        (DANISH, "standard", customer("DK", "DK13585628"), ("standard", "25", "DK", "S")),
        (DANISH, "standard", customer(None), ("standard", "25", "DK", "S")),
        (DANISH, "standard", customer("FR", FRENCH), ("reverse_charge", "0", "FR", "AE")),
        (DANISH, "standard", customer("FR", GERMAN), ("reverse_charge", "0", "FR", "AE")),
        (DANISH, "standard", customer("EL", "094259216"), ("reverse_charge", "0", "GR", "AE")),
        (DANISH, "goods", customer("FR", FRENCH), ("intra_community", "0", "FR", "K")),
        (DANISH, "standard", customer("FR"), ("standard", "25", "DK", "S")),
        (DANISH, "standard", customer("FR", "DK13585628"), ("standard", "25", "DK", "S")),
        (DANISH, "standard", customer("US"), ("export", "0", "US", "G")),
        (DANISH, "goods", customer("US"), ("export_goods", "0", "US", "G")),
        (DANISH, "exempt", customer("FR", FRENCH), ("exempt", "0", "DK", "E")),
        (DANISH, "zero", customer("DK"), ("zero", "0", "DK", "Z")),
        (DANISH, "out_of_scope", customer("DK"), ("out_of_scope", "0", "DK", "O")),
        (DANISH, "standard", customer("DK", exempt=True), ("exempt_customer", "0", None, "E")),
        (DANISH, "reduced", customer("DK"), ("rate_unknown", "0", "DK", "O")),
        (Seller(code="ch", name="AG", country="CH"), "standard", customer("CH"), ("standard", "8.1", "CH", "S")),
        (
            Seller(code="ch", name="AG", country="CH"),
            "standard",
            customer("DE", GERMAN),
            ("reverse_charge", "0", "DE", "AE"),
        ),
        (Seller(code="ch", name="AG", country="CH"), "standard", customer("DE"), ("export", "0", "DE", "G")),
        (Seller(code="gb", name="Ltd", country="UK"), "standard", customer("GB"), ("standard", "20", "GB", "S")),
    ],
)
def test_who_is_taxed_where(
    seller: Seller, item: str, buyer: AccountVersion, expected: tuple[str, str, str | None, str]
) -> None:
    found = treatment_of(ItemTax(category=item, rate_percent=Decimal(0), by_country=True), seller, buyer, ON).tax
    assert (found.category, str(found.rate_percent), found.country, code_of(found)) == expected


def test_a_consumer_pays_the_tax_of_a_country_in_which_the_seller_is_registered() -> None:
    registered = Seller(code="dk", name="Fakturo ApS", country="DK", tax_registrations=("FR", "DE"))
    assert treatment_of(BY_COUNTRY, registered, customer("FR"), ON).tax.rate_percent == 20
    assert treatment_of(BY_COUNTRY, registered, customer("FR"), ON).tax.country == "FR"
    assert treatment_of(BY_COUNTRY, registered, customer("FR", FRENCH), ON).tax.category == "reverse_charge"


def test_a_vat_id_that_fails_is_taxed_as_a_consumer_and_the_note_says_so() -> None:
    found = treatment_of(BY_COUNTRY, DANISH, customer("FR", "FR61954506078"), ON)
    assert (found.tax.rate_percent, found.note) == (25, ("tax_vat_id_invalid", "FR61954506078"))
    assert treatment_of(BY_COUNTRY, DANISH, customer("US", "anything"), ON).note is None


def test_a_fixed_rate_is_everybodys_but_an_exempt_customers() -> None:
    fixed = ItemTax(category="standard", rate_percent=Decimal("8.875"))
    for buyer in (customer("US", "US-1"), customer("DE", GERMAN), customer(None)):
        assert treatment_of(fixed, DANISH, buyer, ON).tax == tax("8.875")
    assert treatment_of(fixed, DANISH, customer("US", exempt=True), ON).tax.rate_percent == 0


def test_june_billed_on_the_first_of_july_is_taxed_as_of_june() -> None:
    june = month_period(date(2020, 6, 10), "Europe/Berlin")
    july = month_period(date(2020, 7, 10), "Europe/Berlin")
    billed_on = date(2020, 7, 1)
    assert tax_point(billed_on, june, "Europe/Berlin") == date(2020, 6, 30)
    assert tax_point(billed_on, july, "Europe/Berlin") == billed_on  # in advance


# EN 16931 rounds a group: 3 x 0.33 at 20 % = 0.198, so 0.20; by line 3 x 0.066, so 3 x 0.07.
@pytest.mark.parametrize(("rounding", "total", "parts"), [(BY_GROUP, 20, (7, 7, 6)), (BY_LINE, 21, (7, 7, 7))])
def test_a_group_is_rounded_once_and_a_line_by_itself(rounding: str, total: int, parts: tuple[int, ...]) -> None:
    found = tax_lines([TaxedLine(tax=tax("20"), net_minor=33)] * 3, rounding)
    assert (found.groups[0].tax_minor, found.by_line) == (total, parts)


# HMRC, VAT Notice 700: the VAT fraction at 20 % is 1/6, at 5 % it is 1/21. Chargebee's help on inclusive taxes: 110 at
# 10 % are 100 + 10. Zoho Books: tax = price x rate / (100 + rate): 119 at 19 % hold 19.
@pytest.mark.parametrize(
    ("gross", "rate", "expected"),
    [
        (12_000, "20", 2_000),
        (10_000, "20", 1_667),
        (2_100, "5", 100),
        (11_000, "10", 1_000),
        (11_900, "19", 1_900),
        (-10_000, "20", -1_667),
        (999, "0", 0),
    ],
)
def test_the_tax_in_a_price_that_includes_it(gross: int, rate: str, expected: int) -> None:
    assert included_minor(gross, Decimal(rate)) == expected


def test_groups_are_by_country_too() -> None:
    french = LineTax(category="standard", rate_percent=Decimal(20), country="FR")
    british = LineTax(category="standard", rate_percent=Decimal(20), country="GB")
    found = tax_lines([TaxedLine(tax=one, net_minor=100) for one in (british, french, british)])
    assert [(group.country, group.taxable_minor, group.tax_minor) for group in found.groups] == [
        ("FR", 100, 20),
        ("GB", 200, 40),
    ]


AMOUNTS = st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=8)
PERCENTS = st.decimals(0, 40, places=2)


@given(AMOUNTS, PERCENTS, st.sampled_from(ROUNDINGS))
def test_parts_add_up_to_the_group_and_mirror_for_credits(amounts: list[int], rate: Decimal, rounding: str) -> None:
    one = LineTax(category="standard", rate_percent=rate)
    found = tax_lines([TaxedLine(tax=one, net_minor=amount) for amount in amounts], rounding)
    credit = tax_lines([TaxedLine(tax=one, net_minor=-amount) for amount in amounts], rounding)
    assert sum(found.by_line) == found.groups[0].tax_minor
    assert credit.by_line == tuple(-part for part in found.by_line)
    for amount, part in zip(amounts, found.by_line, strict=True):
        assert abs(Fraction(amount) * Fraction(rate) / 100 - part) < 1 + Fraction(1, 2)


@given(AMOUNTS, PERCENTS, st.sampled_from(ROUNDINGS))
def test_net_and_tax_of_prices_with_tax_are_the_gross_to_the_cent(
    amounts: list[int], rate: Decimal, rounding: str
) -> None:
    one = LineTax(category="standard", rate_percent=rate, prices_include_tax=True)
    nets = net_amounts([(one, amount) for amount in amounts], rounding)
    lines = [TaxedLine(tax=one, net_minor=net, gross_minor=gross) for net, gross in zip(nets, amounts, strict=True)]
    found = tax_lines(lines, rounding)
    assert sum(nets) + found.groups[0].tax_minor == sum(amounts)
    if rounding == BY_LINE:
        assert [net + part for net, part in zip(nets, found.by_line, strict=True)] == amounts


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=6), PERCENTS, st.sampled_from(ROUNDINGS))
def test_a_discount_of_everything_leaves_no_tax(amounts: list[int], rate: Decimal, rounding: str) -> None:
    one = LineTax(category="standard", rate_percent=rate, prices_include_tax=True)
    nets = net_amounts([(one, amount) for amount in amounts], rounding)
    lines = [
        TaxedLine(tax=one, net_minor=net, discount_minor=-net, gross_minor=gross)
        for net, gross in zip(nets, amounts, strict=True)
    ]
    assert tax_lines(lines, rounding).groups[0].tax_minor == 0


JANUARY = month_period(date(2026, 1, 10), "Europe/Copenhagen")


def item(amount_minor: int, line_tax: LineTax, product: str = "SEAT", period: Period = JANUARY) -> BilledItem:
    return BilledItem(
        subscription_item=f"item-{product}",
        product_code=product,
        description=product,
        explanation="",
        quantity=Decimal(1),
        amount_exact=Decimal(amount_minor) / 100,
        amount_minor=amount_minor,
        period=period,
        tax=line_tax,
        price_hash="",
    )


def head(locale: str | None, notes: tuple[str, ...] = ()) -> InvoiceHead:
    return InvoiceHead(
        account="A1",
        customer=Party(name="A", locale=locale),
        seller=Party(name="B"),
        currency="EUR",
        period=JANUARY,
        zone="Europe/Copenhagen",
        terms_days=30,
        notes=notes,
    )


def test_an_invoice_of_prices_with_tax_has_net_lines_and_the_gross_as_its_total() -> None:
    included = tax("25", included=True)
    # 99.99 + 49.99 = 149.98 gross; the tax in it is 29.996, so 30.00: 19.998 and 9.998, the second gets the last cent.
    invoice = build_invoice(head("da"), [item(9_999, included), item(4_999, included, "STORAGE")])
    assert [(line.amount_minor, line.tax_minor) for line in invoice.lines] == [(7_999, 2_000), (3_999, 1_000)]
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (11_998, 3_000, 14_998)


def test_a_coupon_on_prices_with_tax_lowers_net_and_tax_alike() -> None:
    items = net_items([item(10_000, tax("20", included=True))])  # 100.00 gross: 83.33 + 16.67
    assert (items[0].amount_minor, items[0].gross_minor) == (8_333, 10_000)
    half = AppliedDiscount(kind="coupon", code="HALF", description="50 %", amount_minor=-4_167, shares=(-4_167,))
    invoice = build_invoice(head("en"), items, discounts=(half,))
    # net 41.66; 16.67 x 41.66 / 83.33 = 8.334, so 8.33; 49.99 in all, half of 99.98 (83.33 halves to 41.665).
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (4_166, 833, 4_999)


@pytest.mark.parametrize(
    ("locale", "begin"), [("en", "Reverse charge"), ("da-DK", "Omvendt"), ("de_CH", "Steuerschuld"), ("fr", "Reverse")]
)
def test_a_reverse_charge_says_so_in_the_customers_language(locale: str, begin: str) -> None:
    line_tax = treatment_of(BY_COUNTRY, DANISH, customer("DE", GERMAN), ON).tax
    invoice = build_invoice(head(locale, ("Something else",)), [item(10_000, line_tax)])
    assert invoice.taxes[0].note is not None
    assert invoice.taxes[0].note.startswith(begin)
    assert invoice.notes == (invoice.taxes[0].note, "Something else")
    assert (invoice.tax_minor, invoice.taxes[0].country, invoice.taxes[0].taxable_minor) == (0, "DE", 10_000)


def test_every_category_that_charges_nothing_has_a_code_and_a_sentence() -> None:
    for category in CODES:
        one = LineTax(category=category, rate_percent=Decimal(0), country="DE")
        invoice = build_invoice(head("de"), [item(100, one)])
        assert (invoice.taxes[0].note is None) == (category in ("zero", "none"))
        assert code_of(one) in {"Z", "E", "AE", "K", "G", "O"}
