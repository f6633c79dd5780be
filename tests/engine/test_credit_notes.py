"""Credit notes: amounts by hand, and parts that always sum to the whole."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fakturo.engine.credit_notes import Left, NoteHead, NothingLeft, credit_note
from fakturo.engine.invoicing import AppliedDiscount, BilledItem, InvoiceHead, build_invoice
from fakturo.engine.periods import month_period
from fakturo.engine.tax.positions import TaxPosition
from fakturo.schemas.events.invoices import Invoice, LineTax, Party

JANUARY = month_period(date(2026, 1, 1), "UTC")
HEAD = NoteHead(
    note_id="crn_1", issued_on=date(2026, 3, 1), reason="late", recorded_at=datetime(2026, 3, 1, tzinfo=UTC)
)


def invoice(*amounts: tuple[int, str], discounts: tuple[AppliedDiscount, ...] = ()) -> Invoice:
    """Return an invoice of lines of (net minor units, tax rate in percent)."""
    head = InvoiceHead(
        account="UA", customer=Party(name="UA"), seller=Party(name="S"), currency="EUR", period=JANUARY, zone="UTC",
        terms_days=30, number="INV-1",
    )  # fmt: skip
    items = [
        BilledItem(
            subscription_item=f"i{place}", product_code=f"P{place}", description="P", explanation="",
            quantity=Decimal(2), amount_exact=Decimal(amount).scaleb(-2), amount_minor=amount, period=JANUARY,
            tax=LineTax(category="standard", rate_percent=Decimal(rate)), price_hash="h",
        )
        for place, (amount, rate) in enumerate(amounts)
    ]  # fmt: skip
    return build_invoice(head, items, discounts=discounts)


def left_of(document: Invoice, *notes: Invoice, shares: dict[str, tuple[int, ...]] | None = None) -> Left:
    """Return what is left after `notes`, added up here by hand; `shares` of discounts as given."""
    lines = {line.line_id: line.amount_minor for line in document.lines}
    groups = {
        (tax.category, tax.rate_percent, tax.country or ""): [tax.taxable_minor, tax.tax_minor]
        for tax in document.taxes
    }
    for note in notes:
        for line in note.lines:
            lines[line.corrects or ""] += line.amount_minor
        for tax in note.taxes:
            group = groups[tax.category, tax.rate_percent, tax.country or ""]
            group[0] += tax.taxable_minor
            group[1] += tax.tax_minor
    positions = {key: TaxPosition(*value) for key, value in groups.items()}
    return Left(lines=lines, groups=positions, shares=shares or {})


def test_in_full_it_is_the_invoice_negated_discount_and_all() -> None:
    """100.00 and 50.00 at 20 and 10 %, a coupon of 15.00 shared 10 to 5: 90 + 45 net, 18.00 + 4.50 tax."""
    coupon = AppliedDiscount(kind="coupon", code="X", description="X", amount_minor=-1_500, shares=(-1_000, -500))
    document = invoice((10_000, "20"), (5_000, "10"), discounts=(coupon,))
    shares = {line.line_id: (share,) for line, share in zip(document.lines, coupon.shares, strict=True)}
    note = credit_note(document, left_of(document, shares=shares), None, HEAD)
    assert (note.subtotal_minor, note.tax_minor, note.total_minor) == (-13_500, -2_250, -15_750)
    assert [line.amount_minor for line in note.lines] == [-10_000, -5_000]
    assert [line.quantity for line in note.lines] == [Decimal(-2), Decimal(-2)]
    assert [(one.code, one.amount_minor) for one in note.discounts] == [("X", 1_500)]
    assert [(tax.rate_percent, tax.taxable_minor, tax.tax_minor) for tax in note.taxes] == [
        (Decimal(10), -4_500, -450), (Decimal(20), -9_000, -1_800),
    ]  # fmt: skip
    assert (note.corrects, note.status, note.reason, note.number) == (document.invoice_id, "open", "late", None)


def test_a_part_is_no_more_than_what_the_discount_left_of_its_line() -> None:
    """Of a line of 100.00 a coupon took 10.00: 90.00 can be credited, 90.01 can't, and then nothing is left."""
    coupon = AppliedDiscount(kind="coupon", code="X", description="X", amount_minor=-1_000, shares=(-1_000,))
    document = invoice((10_000, "20"), discounts=(coupon,))
    (line,) = document.lines
    left = left_of(document, shares={line.line_id: (-1_000,)})
    with pytest.raises(NothingLeft, match="9001 is more than the 9000 left of line"):
        credit_note(document, left, {line.line_id: 9_001}, HEAD)
    note = credit_note(document, left, {line.line_id: 9_000}, HEAD)
    assert (note.subtotal_minor, note.tax_minor) == (-9_000, -1_800)
    assert [one.amount_minor for one in note.discounts] == [1_000]
    with pytest.raises(NothingLeft, match="nothing is left"):
        credit_note(document, left_of(document, note), None, HEAD)


def test_a_part_gives_back_its_share_of_the_discount_and_the_last_one_the_rest() -> None:
    """Of 100.00 two coupons took 10.00 and 0.05: 89.95. A third, 29.98, takes 3.33 (10.00 x 29.98 / 89.95 = 3.333) and
    0.02 (0.0167) with it, so 33.33 of the line; the rest is 59.97: 66.67 less 6.67 and 0.03."""
    coupons = tuple(
        AppliedDiscount(kind="coupon", code=code, description=code, amount_minor=-amount, shares=(-amount,))
        for code, amount in (("X", 1_000), ("Y", 5))
    )
    document = invoice((10_000, "0"), discounts=coupons)
    (line,) = document.lines
    first = credit_note(document, left_of(document, shares={line.line_id: (-1_000, -5)}), {line.line_id: 2_998}, HEAD)
    assert ([one.amount_minor for one in first.lines], first.subtotal_minor) == ([-3_333], -2_998)
    assert [(one.code, one.amount_minor) for one in first.discounts] == [("X", 333), ("Y", 2)]
    last = credit_note(document, left_of(document, first, shares={line.line_id: (-667, -3)}), None, HEAD)
    assert ([one.amount_minor for one in last.lines], last.subtotal_minor) == ([-6_667], -5_997)
    assert [(one.code, one.amount_minor) for one in last.discounts] == [("X", 667), ("Y", 3)]


def test_a_line_that_a_coupon_made_free_goes_with_the_last_part() -> None:
    """50.00 wholly discounted beside 20.00: crediting the 20.00 credits all there is, the discount too."""
    coupon = AppliedDiscount(kind="coupon", code="X", description="X", amount_minor=-5_000, shares=(-5_000, 0))
    document = invoice((5_000, "20"), (2_000, "20"), discounts=(coupon,))
    free, paid = document.lines
    left = left_of(document, shares={free.line_id: (-5_000,), paid.line_id: (0,)})
    note = credit_note(document, left, {paid.line_id: 2_000}, HEAD)
    assert [line.amount_minor for line in note.lines] == [-5_000, -2_000]
    assert (note.subtotal_minor, note.tax_minor, note.discounts[0].amount_minor) == (-2_000, -400, 5_000)
    assert [line.tax_minor for line in note.lines] == [0, -400]


def test_tax_that_is_not_that_of_the_group_falls_in_proportion() -> None:
    """By line 3 x 0.33 at 20 % are 0.21, not 0.20; 0.33 of 0.99 takes 0.07 of it, and the rest 0.14."""
    document = invoice((33, "20"), (33, "20"), (33, "20"))
    (tax,) = document.taxes
    document = structs.replace(
        document, taxes=(structs.replace(tax, tax_minor=21),), tax_minor=21, total_minor=120, amount_due_minor=120
    )
    first = credit_note(document, left_of(document), {document.lines[0].line_id: 33}, HEAD)
    assert first.tax_minor == -7
    assert credit_note(document, left_of(document, first), None, HEAD).tax_minor == -14


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 10**7), st.sampled_from(["0", "8.875", "20", "25"])), min_size=1, max_size=5),
    st.lists(st.integers(1, 10**6), max_size=5),
)
def test_parts_and_the_rest_credit_the_whole_to_the_cent(amounts: list[tuple[int, str]], parts: list[int]) -> None:
    document = invoice(*amounts)
    notes: list[Invoice] = []
    for place, part in enumerate(parts):
        line = document.lines[place % len(document.lines)]
        left = left_of(document, *notes).lines[line.line_id]
        if left:
            asked = {line.line_id: min(part, left)}
            notes.append(credit_note(document, left_of(document, *notes), asked, HEAD))
    if any(left_of(document, *notes).lines.values()):
        notes.append(credit_note(document, left_of(document, *notes), None, HEAD))
    assert sum(note.subtotal_minor for note in notes) == -document.subtotal_minor
    assert sum(note.tax_minor for note in notes) == -document.tax_minor
    for note in notes:
        assert note.total_minor == note.subtotal_minor + note.tax_minor
        assert sum(line.tax_minor or 0 for line in note.lines) == note.tax_minor
