"""Late, repeated, corrected and voided events in any order: all documents of a period sum to one bill at the end.

Story     events are told in any order and in batches of any size; some again, some corrected or voided, once or more,
          some corrections before what they correct. After each batch the period is billed as far as it is known.
Expected  one_bill.py: the final events priced once, by a second reading of PRICING.md; tax by the group of the invoice
          that was corrected, or by the line, rounded once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fakturo.engine.corrections import BilledSlice, outstanding
from fakturo.engine.invoicing import BilledItem, InvoiceHead, build_invoice, net_items
from fakturo.engine.money import exponent_of
from fakturo.engine.periods import Period, date_period, month_period
from fakturo.engine.prices import MODELS, UsageEvent, parse_price
from fakturo.engine.rating import RateRequest, rate_slices
from fakturo.engine.tax.positions import TaxPosition, key_of
from fakturo.schemas.events.invoices import Invoice, InvoiceLine, LineTax, Party
from tests.engine.one_bill import half_away, one_bill
from tests.engine.strategies import amounts, models, priced, single_events, small, text, usage_of_history

JUNE = month_period(date(2013, 6, 1), "UTC")
HALVES = (
    date_period(date(2013, 6, 1), date(2013, 6, 16), "UTC"),
    date_period(date(2013, 6, 16), date(2013, 7, 1), "UTC"),
)
Told = tuple[int, int]
"""Which event, and which saying of it: 0 is the event itself, the others are corrections of it, the last one stands."""


@dataclass(frozen=True)
class History:
    """What each event is by each saying of it (None: voided), and the batches in which that is told."""

    sayings: Sequence[Sequence[UsageEvent | None]]
    batches: Sequence[Sequence[Told]]

    def known(self, batches: int) -> list[UsageEvent]:
        """Return what counts once so many batches were told; a correction alone counts nothing."""
        told = {one for batch in self.batches[:batches] for one in batch}
        found = []
        for number, sayings in enumerate(self.sayings):
            if (number, 0) in told:
                found.append(sayings[max(saying for which, saying in told if which == number)])
        return [event for event in found if event is not None]

    def final(self) -> list[UsageEvent]:
        """Return what counts in the end."""
        return [sayings[-1] for sayings in self.sayings if sayings[-1] is not None]


@st.composite
def stories(draw: st.DrawFn) -> History:
    """Draw events of June at times of their own, corrections of them, and how all that is told."""
    shape = draw(st.lists(st.lists(st.booleans(), max_size=3), max_size=6))
    count = sum(1 + len(corrections) for corrections in shape)
    seconds = iter(draw(st.lists(st.integers(0, 30 * 86400 - 1), min_size=count, max_size=count, unique=True)))
    sayings: list[list[UsageEvent | None]] = []
    told: list[Told] = []
    for number, corrections in enumerate(shape):
        versions: list[UsageEvent | None] = []
        for is_void in (False, *corrections):
            at = datetime(2013, 6, 1, tzinfo=UTC) + timedelta(seconds=next(seconds))
            versions.append(None if is_void else structs.replace(draw(single_events), at=at))
            told += [(number, len(versions) - 1)] * draw(st.integers(1, 2))
        sayings.append(versions)
    told = draw(st.permutations(told))
    cuts = sorted(draw(st.lists(st.integers(0, len(told)), max_size=4)))
    return History(sayings, [told[one:other] for one, other in zip([0, *cuts], [*cuts, len(told)], strict=True)])


@st.composite
def plain_prices(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a price of any model with the modifiers that one_bill.py knows."""
    model = draw(st.sampled_from(sorted(MODELS)))
    document: dict[str, Any] = draw(models(model))
    modifiers: dict[str, Any] = {
        "discount": draw(st.sampled_from([{"percent": "12.5"}, {"amount": "7"}])),
        "maximum_amount": text(draw(amounts)),
        "minimum_amount": text(draw(amounts)),
    }
    if model in ("per_unit", "graduated", "volume", "package"):
        modifiers["free_units"] = text(draw(small))
    chosen = draw(st.sets(st.sampled_from(sorted(modifiers))))
    return document | {name: modifiers[name] for name in chosen}


class Till:
    """The documents of one account: each bills the item as far as it is known, and something else beside it."""

    def __init__(self, tax: LineTax, currency: str, rounding: str) -> None:
        self.tax, self.currency, self.rounding = tax, currency, rounding
        self.documents: list[Invoice] = []
        self.billed: list[BilledSlice] = []
        self.positions: dict[Any, TaxPosition] = {}

    def bill(self, prices: Sequence[dict[str, Any]], events: Sequence[UsageEvent], beside_minor: int) -> None:
        """Issue a document of what the events change, and of a charge of `beside_minor`."""
        own = outstanding(self.rated(prices, events), self.billed, self.currency)
        beside = replace(
            self.item(JUNE, "b", beside_minor, Decimal(beside_minor)),
            subscription_item="beside",
            product_code="B",
            sequence=len(self.documents) + 1,
        )
        items = net_items((*own, beside), self.rounding, self.positions)
        head = InvoiceHead(
            account="UA", customer=Party(name="UA"), seller=Party(name="S"), currency=self.currency, period=JUNE,
            zone="UTC", terms_days=30, revision=len(self.documents) + 1,
        )  # fmt: skip
        document = build_invoice(head, items, tax_rounding=self.rounding, positions=self.positions)
        self.documents.append(document)
        for item, line in zip(items, document.lines, strict=True):
            root = item.corrects_invoice or document.invoice_id
            before = self.positions.get((root, key_of(line.tax)), TaxPosition())
            self.positions[root, key_of(line.tax)] = TaxPosition(
                before.taxable_minor + line.amount_minor, before.tax_minor + (line.tax_minor or 0)
            )
            if item.subscription_item == "i":
                rated = replace(item, amount_minor=gross_minor(item), gross_minor=None, taxed=None)
                taxed = TaxPosition(line.amount_minor, line.tax_minor or 0)
                self.billed.append(
                    BilledSlice(line=rated, line_id=line.line_id, invoice_id=document.invoice_id, taxed=taxed)
                )

    def rated(self, prices: Sequence[dict[str, Any]], events: Sequence[UsageEvent]) -> list[BilledItem]:
        """Return what June should be: one slice, or two at two prices."""
        parts = (JUNE,) if len(prices) == 1 else HALVES
        requests = [
            RateRequest(
                price=parse_price(price, self.currency),
                usage=usage_of_history(price, [event for event in events if event.at and part.contains(event.at)]),
                period=JUNE,
                active=part,
            )
            for price, part in zip(prices, parts, strict=True)
        ]
        return [
            self.item(part, f"p{number}", result.amount_minor, result.exact)
            for number, (part, result) in enumerate(zip(parts, rate_slices(requests), strict=True))
        ]

    def item(self, period: Period, price_hash: str, minor: int, exact: Decimal) -> BilledItem:
        """Return a line of the item."""
        return BilledItem(
            subscription_item="i", product_code="P", description="P", explanation="", quantity=Decimal(1),
            amount_exact=exact, amount_minor=minor, period=period, tax=self.tax, price_hash=price_hash,
            item_period=JUNE,
        )  # fmt: skip


def standard(rate: str, *, included: bool = False) -> LineTax:
    return LineTax(category="standard", rate_percent=Decimal(rate), prices_include_tax=included)


def gross_minor(item: BilledItem) -> int:
    return item.amount_minor if item.gross_minor is None else item.gross_minor


def bill_all(till: Till, prices: Sequence[dict[str, Any]], story: History) -> list[InvoiceLine]:
    """Bill June after each batch, with 0.07 beside it, 0.14, ...; return the lines of the item."""
    for count in range(1, len(story.batches) + 1):
        till.bill(prices, story.known(count), beside_minor=7 * count)
    return [line for document in till.documents for line in document.lines if line.subscription_item == "i"]


@settings(max_examples=200, deadline=None)
@given(plain_prices(), stories(), st.sampled_from(["EUR", "JPY", "BHD"]), st.sampled_from(["7", "8.875", "20", "25"]))
def test_all_documents_of_any_history_are_one_bill_net_and_in_tax(
    price: dict[str, Any], story: History, currency: str, rate: str
) -> None:
    till = Till(standard(rate), currency, "group")
    lines = bill_all(till, [price], story)
    expected = half_away(one_bill(price, story.final()), exponent_of(currency))
    assert sum(line.amount_minor for line in lines) == expected
    # All of June's usage is taxed with the invoice that charged it first; what is beside a correction is taxed alone.
    bases = [expected + 7, *(7 * count for count in range(2, len(story.batches) + 1))]
    tax = sum(document.tax_minor for document in till.documents)
    assert tax == sum(half_away(Fraction(base) * Fraction(rate) / 100) for base in bases)
    charge, *corrections = lines
    assert (charge.kind, charge.corrects) == ("charge", None)
    assert {(line.kind, line.corrects) for line in corrections} <= {("correction", charge.line_id)}


@settings(max_examples=100, deadline=None)
@given(plain_prices(), stories(), st.sampled_from(["7", "8.875", "20"]))
def test_where_tax_is_rounded_by_line_a_line_and_its_corrections_are_taxed_as_one(
    price: dict[str, Any], story: History, rate: str
) -> None:
    lines = bill_all(Till(standard(rate), "EUR", "line"), [price], story)
    expected = half_away(one_bill(price, story.final()), 2)
    assert sum(line.amount_minor for line in lines) == expected
    assert sum(line.tax_minor or 0 for line in lines) == half_away(Fraction(expected) * Fraction(rate) / 100)


@settings(max_examples=100, deadline=None)
@given(plain_prices(), stories(), st.sampled_from(["7", "8.875", "20"]), st.sampled_from(["group", "line"]))
def test_of_prices_that_include_tax_net_and_tax_are_those_of_one_bill(
    price: dict[str, Any], story: History, rate: str, rounding: str
) -> None:
    till = Till(standard(rate, included=True), "EUR", rounding)
    lines = bill_all(till, [price], story)
    gross = half_away(one_bill(price, story.final()), 2)
    beside = [7 * count for count in range(1, len(story.batches) + 1)]
    assert sum(one.total_minor for one in till.documents) == gross + sum(beside)
    inside = Fraction(rate) / (100 + Fraction(rate))
    bases = [gross + beside[0], *beside[1:]] if rounding == "group" else [gross, *beside]
    assert sum(one.tax_minor for one in till.documents) == sum(half_away(base * inside) for base in bases)
    if rounding == "line":
        assert sum(line.tax_minor or 0 for line in lines) == half_away(gross * inside)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(priced(sorted(MODELS)), min_size=2, max_size=2),
    stories(),
    st.integers(0, 4),
    st.sampled_from(["group", "line"]),
)
def test_a_price_change_that_is_learned_late_and_usage_that_comes_late_are_one_bill(
    prices: list[dict[str, Any]], story: History, learned: int, rounding: str
) -> None:
    """All modifiers; from the batch `learned` on a second price holds from 16 June. Each half is a line of the bill."""
    till = Till(standard("8.875"), "EUR", rounding)
    for count in range(1, len(story.batches) + 1):
        till.bill(prices if count > learned else prices[:1], story.known(count), beside_minor=7)
    is_learned = len(story.batches) > learned
    one = Till(standard("8.875"), "EUR", rounding)
    one.bill(prices if is_learned else prices[:1], story.final(), beside_minor=7)
    lines = [line for document in till.documents for line in document.lines if line.subscription_item == "i"]
    (bill,) = one.documents
    for expected in bill.lines[:-1] if bill.lines[-1].subscription_item == "beside" else bill.lines[1:]:
        same = [line for line in lines if (line.period, line.price_hash) == (expected.period, expected.price_hash)]
        assert sum(line.amount_minor for line in same) == expected.amount_minor
    assert sum(line.amount_minor for line in lines) == bill.subtotal_minor - 7
    alone = half_away(Fraction(7) * Fraction("8.875") / 100)
    assert sum(one.tax_minor for one in till.documents) == bill.tax_minor + alone * (len(till.documents) - 1)


def test_the_second_correction_of_a_line_is_taxed_with_the_first_and_names_the_charge() -> None:
    """25 % of 0.01 is 0.0025, of 0.02 0.005, of 0.03 0.0075: so 0.00, then 0.01 more, then nothing more.

    Against the first correction alone (0.01 + 0.01 = 0.02, so 0.01) the second would be taxed 0.01 again.
    """
    price = {"model": "per_unit", "unit_amount": "0.01"}
    used = [UsageEvent(quantity=Decimal(1), at=datetime(2013, 6, day, tzinfo=UTC)) for day in (1, 2, 3)]
    for rounding in ("group", "line"):
        till = Till(standard("25"), "EUR", rounding)
        for count in (1, 2, 3):
            till.bill([price], used[:count], beside_minor=0)
        own = [line for document in till.documents for line in document.lines if line.subscription_item == "i"]
        assert [(line.amount_minor, line.tax_minor) for line in own] == [(1, 0), (1, 1), (1, 0)]
        assert [line.corrects for line in own] == [None, own[0].line_id, own[0].line_id]
