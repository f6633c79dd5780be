"""Explained lines of every kind, over the real agents; amounts are worked out by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fakturo.cli.explain.answer import Explanation
from fakturo.cli.explain.explaining import explain
from fakturo.schemas.events import requests
from tests.journey.conftest import licensed, metered
from tests.journey.journey import Journey

Begin = Callable[..., Journey]

TIERS = [
    {"up_to": "10", "unit_amount": "10", "flat_amount": "2"},
    {"up_to": "20", "unit_amount": "5", "flat_amount": "3"},
    {"up_to": None, "unit_amount": "4", "flat_amount": "0"},
]


def priced(meter: str = "calls", **price: Any) -> dict[str, Any]:
    """Return a product of one price since 2020."""
    return {"name": "Calls", "meter": meter, "prices": [{"effective_from": "2020-01-01", **price}]}


async def explained(journey: Journey, name: str, events: int = 20) -> Explanation:
    """Return the explanation, having checked what holds for each: its steps add up to its amount."""
    async with journey.connection.transaction(readonly=True):
        answer = await explain(journey.connection, name, events)
    assert answer is not None
    assert sum(step.amount for step in answer.steps) == answer.amount
    return answer


def line_id(journey: Journey, document: int, line: int = 0) -> str:
    """Return the id of a line of the documents issued."""
    return journey.documents[document].lines[line].line_id


async def a_month(begin: Begin, product: dict[str, Any], *uses: tuple[str, str], **fields: Any) -> Journey:
    """Return a journey in which an account used something in March and was billed in April."""
    catalog = {**begin().catalog}
    journey = begin({"products": {**catalog["products"], "P": product}})
    journey.account("A", **fields)
    journey.order("O", "A", "2026-03-01")
    journey.item("item", "O", "P")
    for day, quantity in uses:
        journey.use("A", day, quantity)
    await journey.until("2026-04-03", 0)
    return journey


async def test_a_metered_line_is_explained_down_to_tiers_price_version_hours_and_events(begin: Begin) -> None:
    product = priced(model="graduated", tiers=TIERS)
    journey = await a_month(
        begin, product, ("2026-03-05", "4"), ("2026-03-05", "9"), ("2026-03-20", "8.5"), zone="Asia/Kolkata"
    )
    answer = await explained(journey, line_id(journey, 0))
    # 21.5 units: 10 at 10.00 and 2.00, 10 at 5.00 and 3.00, 1.5 at 4.00.
    assert [(step.quantity, step.unit_amount, step.amount) for step in answer.steps] == [
        (Decimal(10), Decimal(10), Decimal(102)),
        (Decimal(10), Decimal(5), Decimal(53)),
        (Decimal("1.5"), Decimal(4), Decimal(6)),
    ]
    assert answer.amount == Decimal("161.00")
    assert answer.price is not None
    assert (answer.price.model, answer.price.effective_from.isoformat()) == ("graduated", "2020-01-01")
    assert answer.price.hash == journey.documents[0].lines[0].price_hash
    assert answer.used is not None
    # 12:00 UTC is 17:30 in Kolkata: the local hour began at 11:30 UTC.
    assert [(hour.start, hour.local, hour.events, hour.quantity) for hour in answer.used.hours] == [
        (datetime(2026, 3, 5, 11, 30, tzinfo=UTC), "2026-03-05T17:00+05:30", 2, Decimal(13)),
        (datetime(2026, 3, 20, 11, 30, tzinfo=UTC), "2026-03-20T17:00+05:30", 1, Decimal("8.5")),
    ]
    assert answer.slice is not None
    assert answer.slice.start == datetime(2026, 2, 28, 18, 30, tzinfo=UTC)  # midnight in Kolkata
    assert answer.events is not None
    assert [(e.source, e.at.day, e.value, e.data, e.topic, e.late, e.counts) for e in answer.events.shown] == [
        ("meter", 5, Decimal(4), {"quantity": "4"}, "billing.usage", False, True),
        ("meter", 5, Decimal(9), {"quantity": "9"}, "billing.usage", False, True),
        ("meter", 20, Decimal("8.5"), {"quantity": "8.5"}, "billing.usage", False, True),
    ]
    offsets = [event.offset for event in answer.events.shown]
    assert offsets == sorted(set(offsets))
    assert (answer.events.held, answer.notes) == (True, ())


async def test_the_events_stop_where_enough_are_shown_and_none_is_called_lost_for_that(begin: Begin) -> None:
    journey = await a_month(begin, metered("calls", "0.10"), *[(f"2026-03-{day:02d}", "1") for day in range(1, 9)])
    answer = await explained(journey, line_id(journey, 0), events=3)
    assert answer.events is not None
    assert answer.used is not None
    assert (len(answer.events.shown), answer.events.more, answer.events.held) == (3, True, True)
    assert answer.used.event_count == 8
    none = await explained(journey, line_id(journey, 0), events=0)
    assert none.events is not None
    assert (none.events.shown, none.events.more, none.notes) == ((), True, ())
    assert answer.notes == ()


PRICES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    # Of a usage of 4 and 3. Price, amount of the line, amounts of its steps.
    # 2 free, 5 at 1.00.
    "FREE": ({"model": "per_unit", "unit_amount": "1", "free_units": "2"}, "5.00", ["0", "5"]),
    # 3 % of 7.00 is 0.21, 0.30 for each of the two events.
    "PERCENT": ({"model": "percentage", "percent": "3", "fixed_amount": "0.30"}, "0.81", ["0.21", "0.60"]),
    # 4 and 3 by themselves: each starts a package of 5 at 2.00.
    "PACKAGE": ({"model": "package", "package_size": "5", "package_amount": "2", "per_event": True}, "4.00", ["4"]),
    # 7 at 0.333 is 2.331: rounded to 2.33.
    "ROUNDED": ({"model": "per_unit", "unit_amount": "0.333"}, "2.33", ["2.331", "-0.001"]),
    # 7.00, raised to the minimum.
    "MINIMUM": ({"model": "per_unit", "unit_amount": "1", "minimum_amount": "20"}, "20.00", ["7", "13"]),
    # 7.00 less half.
    "HALF": ({"model": "per_unit", "unit_amount": "1", "discount": {"percent": "50"}}, "3.50", ["7", "-3.50"]),
    # All 7 land in the second tier, at 2.00 each.
    "VOLUME": (
        {"model": "volume", "tiers": [{"up_to": "5", "unit_amount": "3"}, {"up_to": None, "unit_amount": "2"}]},
        "14.00",
        ["14"],
    ),
}


async def test_the_steps_of_each_kind_of_price_add_up_to_the_line(begin: Begin) -> None:
    journey = begin({"products": {code: priced(**price) for code, (price, _, _) in PRICES.items()}})
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    for code in PRICES:
        journey.item(code, "O", code)
    journey.use("A", "2026-03-05", "4")
    journey.use("A", "2026-03-20", "3")
    await journey.until("2026-04-03", 0)
    (invoice,) = journey.documents
    assert len(invoice.lines) == len(PRICES)
    for line in invoice.lines:
        answer = await explained(journey, line.line_id)
        _, amount, steps = PRICES[line.product_code]
        assert answer.amount == Decimal(amount), line.product_code
        assert [step.amount for step in answer.steps] == [Decimal(step) for step in steps], line.product_code
        assert answer.notes == ()


async def test_a_month_in_a_year_with_an_allowance_is_what_counts_less_what_the_months_before_were(
    begin: Begin,
) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("item", "O", "ALLOWANCE")
    journey.use("A", "2026-01-10", "10000")
    await journey.until("2026-02-02", 0)
    journey.use("A", "2026-02-10", "5000")
    await journey.until("2026-03-03", 0)
    answer = await explained(journey, line_id(journey, 1))
    # 15,000 in the year, 12,000 free: 3,000 at 0.10; of the 10,000 before all were free.
    assert answer.amount == Decimal("300.00")
    assert answer.notes == ()
    assert [(step.quantity, step.amount) for step in answer.steps if step.amount] == [(Decimal(3000), Decimal(300))]


async def test_a_licensed_line_is_explained_by_its_days(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-17")
    journey.item("seat", "O", "SEAT", quantity="2")
    await journey.until("2026-04-02", 0)
    answer = await explained(journey, line_id(journey, 0))
    # Two seats at 31.00, 15 of 31 days.
    assert answer.amount == Decimal("30.00")
    assert [(step.quantity, step.unit_amount, step.amount) for step in answer.steps] == [
        (Decimal(2), Decimal(31), Decimal(30))
    ]
    assert (answer.used, answer.events, answer.change) == (None, None, None)
    assert answer.item_period is not None
    assert answer.item_period.start == datetime(2026, 3, 1, tzinfo=UTC)


async def test_a_correction_says_what_was_billed_before_on_which_line_and_what_it_is_now(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-10", 5)
    journey.change("OrderItem", "seat", Quantity="2")
    await journey.until("2026-05-02", 5)
    kinds = {line.kind: line for line in journey.documents[1].lines}
    journey.change("OrderItem", "seat", Quantity="3", Fakturo_Effective_On__c="2026-04-10")
    await journey.until("2026-06-02", 5)
    correction = next(line for line in journey.documents[2].lines if line.kind == "correction")
    answer = await explained(journey, correction.line_id)
    # From 10 April three seats in place of two: 93.00 x 21 / 30 = 65.10, billed 62.00 x 21 / 30 = 43.40.
    assert answer.amount == Decimal("21.70")
    assert answer.change is not None
    assert (answer.change.before.amount, answer.change.now.amount) == (Decimal("43.40"), Decimal("65.10"))
    assert (answer.change.before.quantity, answer.change.now.quantity) == (Decimal(2), Decimal(3))
    assert [one.line_id for one in answer.change.earlier] == [correction.corrects]
    assert answer.corrects is not None
    assert answer.corrects.line_id == correction.corrects
    assert answer.corrects.invoice == journey.documents[1].number
    assert [step.amount for step in answer.steps] == [Decimal("65.1"), Decimal("-43.40")]
    corrected = await explained(journey, correction.corrects or "")
    assert corrected.change is not None
    assert [one.line_id for one in corrected.change.later] == [correction.line_id]
    assert "charge" in kinds


async def test_a_line_that_a_later_contract_contradicts_is_explained_by_what_it_kept(begin: Begin) -> None:
    journey = await a_month(begin, metered("calls", "0.10"), ("2026-03-05", "40"))
    journey.change("OrderItem", "item", Fakturo_Discount_Percent__c="50", Fakturo_Effective_On__c="2026-03-01")
    await journey.until("2026-05-02", 1)
    answer = await explained(journey, line_id(journey, 0))
    assert [(step.quantity, step.unit_amount, step.amount) for step in answer.steps] == [
        (Decimal(40), Decimal("0.10"), Decimal(4))
    ]
    assert len(answer.notes) == 1
    assert answer.notes[0].startswith("the contract or the usage has changed since")
    correction = next(line for document in journey.documents[1:] for line in document.lines if line.amount_minor < 0)
    now = await explained(journey, correction.line_id)
    assert [step.amount for step in now.steps] == [Decimal(4), Decimal(-2), Decimal(-4)]


async def test_a_commitments_line_is_what_was_committed_less_what_was_billed(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order(
        "O", "A", "2026-01-01", Fakturo_Commitment_Amount__c="200", Fakturo_Commitment_Months__c="3"
    )  # fmt: skip
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03", 1)
    line = next(line for document in journey.documents for line in document.lines if line.kind == "true_up")
    answer = await explained(journey, line.line_id)
    # Three months at 31.00 of 200.00.
    assert [step.amount for step in answer.steps] == [Decimal(200), Decimal(-93)]


async def test_a_discount_is_explained_by_its_part_of_each_line(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01", Fakturo_Coupons__c="TEN")
    journey.item("seat", "O", "SEAT")
    journey.item("big", "O", "BIG")
    await journey.until("2026-04-02", 0)
    invoice = journey.documents[0]
    answer = await explained(journey, f"{invoice.number}:discount:1")
    # Ten per cent of 31.00 and of 62.00.
    assert sorted(step.amount for step in answer.steps) == [Decimal("-6.20"), Decimal("-3.10")]
    assert answer.discount == {"number": 1, "kind": "coupon", "code": "TEN", "description": "Ten per cent"}


async def test_a_credit_note_by_request_says_which_line_it_takes_back(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03", 0)
    (invoice,) = journey.documents
    asked = requests.CreditedLine(line_id=invoice.lines[0].line_id, amount="2.00")
    journey.ask("credit_note", "A", invoice_id=invoice.invoice_id, reason="goodwill", lines=(asked,))
    await journey.settle()
    answer = await explained(journey, line_id(journey, 1))
    assert answer.amount == Decimal("-2.00")
    assert answer.document.kind == "credit_note"
    assert answer.corrects is not None
    assert answer.corrects.line_id == invoice.lines[0].line_id


async def test_a_line_is_found_by_its_place_and_another_name_is_not(begin: Begin) -> None:
    journey = await a_month(begin, licensed("31"))
    (invoice,) = journey.documents
    by_place = await explained(journey, f"{invoice.number}:1")
    assert by_place.line is not None
    assert by_place.line.line_id == invoice.lines[0].line_id
    for name in (
        "lin_unknown",
        f"{invoice.number}:2",
        f"{invoice.number}:0",
        "INV-9:1",
        f"{invoice.number}:discount:1",
    ):
        assert await explain(journey.connection, name, 20) is None
