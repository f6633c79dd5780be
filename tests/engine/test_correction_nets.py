"""Corrections of prices that include tax: net and tax are the gross difference, by hand and for any bills."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.invoicing import BilledItem, InvoiceHead, build_invoice
from fakturo.engine.periods import month_period
from fakturo.engine.tax.positions import Positions, TaxPosition
from fakturo.schemas.events.invoices import Invoice, LineTax, Party

JANUARY = month_period(date(2026, 1, 1), "UTC")
HEAD = InvoiceHead(
    account="UA", customer=Party(name="UA"), seller=Party(name="S"), currency="EUR", period=JANUARY, zone="UTC",
    terms_days=30,
)  # fmt: skip


def line(amount: int, rate: str = "20", corrects: str | None = None, product: str = "P") -> BilledItem:
    """Return a line of a gross amount."""
    return BilledItem(
        subscription_item=product, product_code=product, description="P", explanation="", quantity=Decimal(1),
        amount_exact=Decimal(amount).scaleb(-2), amount_minor=amount, period=JANUARY, price_hash="h",
        tax=LineTax(category="standard", rate_percent=Decimal(rate), prices_include_tax=True),
        corrects_invoice=corrects,
    )  # fmt: skip


def billed(net: int, tax: int, rate: str = "20") -> Positions:
    """Return what was taxed of invoice X."""
    return {("X", ("standard", Decimal(rate), "")): TaxPosition(net, tax)}


def amounts(invoice: Invoice) -> list[tuple[int, int]]:
    """Return (net, tax) of each line."""
    return [(one.amount_minor, one.tax_minor or 0) for one in invoice.lines]


def test_a_correction_has_what_its_gross_changes_of_the_tax_inside() -> None:
    """10.00 at 20 % hold 1.67 (1.6667), 20.00 hold 3.33: so 10.00 more hold 1.66 and are 8.34 net. And 10.00 for
    something else on the same document hold 1.67."""
    found = build_invoice(HEAD, [line(1_000, corrects="X"), line(1_000, product="Q")], positions=billed(833, 167))
    assert amounts(found) == [(834, 166), (833, 167)]
    assert (found.subtotal_minor, found.tax_minor, found.total_minor) == (1_667, 333, 2_000)


def test_all_of_it_taken_back_takes_back_all_of_its_tax() -> None:
    """20.00 in two bills were 16.67 and 3.33."""
    found = build_invoice(HEAD, [line(-2_000, corrects="X")], positions=billed(1_667, 333))
    assert amounts(found) == [(-1_667, -333)]


@given(
    st.integers(-(10**6), 10**6),
    st.lists(st.integers(-(10**6), 10**6), max_size=6),
    st.sampled_from(["5.5", "7", "19", "20", "25"]),
)
def test_any_corrections_together_have_the_tax_inside_all_that_was_billed(
    first: int, changes: list[int], rate: str
) -> None:
    key = ("standard", Decimal(rate), "")
    document = build_invoice(HEAD, [line(first, rate)])
    net, tax = document.subtotal_minor, document.tax_minor
    for change in changes:
        positions: Positions = {("X", key): TaxPosition(net, tax)}
        found = build_invoice(HEAD, [line(change, rate, corrects="X")], positions=positions)
        assert found.subtotal_minor + found.tax_minor == change
        net, tax = net + found.subtotal_minor, tax + found.tax_minor
    gross = first + sum(changes)
    exact = abs(Decimal(gross)) * Decimal(rate) / (100 + Decimal(rate))
    inside = int((exact + Decimal("0.5")).to_integral_value(rounding="ROUND_FLOOR"))
    assert (net, tax) == (gross - (inside if gross >= 0 else -inside), inside if gross >= 0 else -inside)


def test_what_is_net_already_is_worked_out_anew_where_it_corrects() -> None:
    """The tax inside 10.00 alone is 1.67; after 10.00 that were billed it is 1.66."""
    before = replace(line(1_000, corrects="X"), amount_minor=833, gross_minor=1_000)
    assert amounts(build_invoice(HEAD, [before], positions=billed(833, 167))) == [(834, 166)]
