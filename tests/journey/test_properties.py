"""Random histories: how one is handed in changes no document, and late knowledge adds up to one bill.

Each run is one transaction that is rolled back, so one database serves all of them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fakturo.schemas.events.requests import CreditedLine
from tests.journey.checks import check
from tests.journey.conftest import CATALOG
from tests.journey.journey import Journey, settings_of

BEGAN_ON = date(2026, 1, 1)
PRODUCTS = ("SEAT", "SEAT-ADV", "QUARTER", "CALLS", "ALLOWANCE", "SETUP")

BOUNDED = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # shrinking a history takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Step = tuple[int, str, dict[str, Any]]
"""After how many days, what, and with what."""


@dataclass(frozen=True)
class Manner:
    """How a history is handed in."""

    batch_max: int = 1000
    daily: bool = True
    usage_first: bool = False
    at_once: bool = False


MANNERS = (
    Manner(batch_max=1, daily=False),
    Manner(batch_max=3, usage_first=True),
    Manner(daily=False, usage_first=True, at_once=True),
)

changes = st.one_of(
    st.tuples(st.just("use"), st.fixed_dictionaries({"quantity": st.integers(1, 9000)})),
    st.tuples(
        st.just("quantity"),
        st.fixed_dictionaries({"to": st.integers(1, 5), "days": st.none() | st.integers(-70, 40)}),
    ),
    st.tuples(
        st.just("discount"),
        st.fixed_dictionaries({"to": st.sampled_from(("10", "33")), "days": st.none() | st.integers(-70, 40)}),
    ),
    st.tuples(st.just("upgrade"), st.fixed_dictionaries({"to": st.sampled_from(("BIG", "BIG-ADV", "SEAT"))})),
    st.tuples(
        st.just("pause"),
        st.fixed_dictionaries({"days": st.integers(-20, 20), "length": st.none() | st.integers(0, 50)}),
    ),
    st.tuples(st.just("resume"), st.just({})),
    st.tuples(
        st.just("cancel"),
        st.fixed_dictionaries({"days": st.integers(-40, 40), "at": st.sampled_from(("now", "period_end"))}),
    ),
    st.tuples(st.just("withdraw"), st.just({})),
    st.tuples(st.just("void"), st.fixed_dictionaries({"which": st.integers(0, 5), "reissue": st.booleans()})),
    st.tuples(st.just("credit_note"), st.fixed_dictionaries({"which": st.integers(0, 5), "whole": st.booleans()})),
    st.tuples(st.just("pay"), st.fixed_dictionaries({"amount": st.sampled_from(("5.00", "37.20", "200.00"))})),
)
histories = st.fixed_dictionaries(
    {
        "products": st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=3, unique=True),
        "order": st.sampled_from(
            ({}, {"Fakturo_Coupons__c": "TEN"}, {"Fakturo_Spend_Cap__c": "60"}, {"Fakturo_Loyalty__c": "MILES"})
        ),
        "steps": st.lists(st.tuples(st.integers(0, 20), changes), min_size=1, max_size=4),
    }
)


@asynccontextmanager
async def rolled_back(connection: asyncpg.Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def live(connection: asyncpg.Connection, history: dict[str, Any], manner: Manner) -> list[Any]:
    """Live through a history; return the documents that were issued, without their numbers, in the order of ids."""
    async with rolled_back(connection):
        journey = Journey(connection, CATALOG, BEGAN_ON, settings_of(), manner.batch_max)
        _begin(journey, history, manner)
        for gap, (what, given_) in history["steps"]:
            day = journey.today + timedelta(days=gap)
            await journey.until(day.isoformat(), int(manner.daily))
            await journey.settle()
            _do(journey, what, given_, history["products"])
            if manner.at_once:
                await journey.settle()
        await journey.until("2026-05-02", int(manner.daily) * 5)
        await check(journey, rejected=len(journey.pipeline.rejections))
        assert {one.reason.value for one in journey.pipeline.rejections} <= {"refused_by_book"}
        return sorted(_content(one) for one in journey.documents)


def _begin(journey: Journey, history: dict[str, Any], manner: Manner) -> None:
    metered = {"CALLS", "ALLOWANCE"} & set(history["products"])  # other usage would wait for a contract that counts it
    if metered and manner.usage_first:
        journey.use("A", "2026-01-01", 77, event_id="first")
    journey.account("A")
    journey.order("O", "A", "2026-01-01", **history["order"])
    for product in history["products"]:
        journey.item(product, "O", product)
    if metered and not manner.usage_first:
        journey.use("A", "2026-01-01", 77, event_id="first")


def _do(journey: Journey, what: str, given_: dict[str, Any], products: list[str]) -> None:
    if what in ("void", "credit_note", "pay", "use"):
        _deal(journey, what, given_, products)
    elif what in ("quantity", "discount", "upgrade"):
        _change_item(journey, what, given_, products[0])
    elif what == "pause":
        until = None if given_["length"] is None else _day(journey, given_["days"] + given_["length"])
        begins = _day(journey, given_["days"])
        journey.change("Order", "O", Fakturo_Paused_From__c=begins, Fakturo_Paused_Until__c=until)
    elif what == "resume":
        journey.change("Order", "O", Fakturo_Paused_From__c=None, Fakturo_Paused_Until__c=None)
    elif what == "cancel":
        on = _day(journey, given_["days"] + 1)
        journey.change("Order", "O", Fakturo_Cancel_On__c=on, Fakturo_Cancel_At__c=given_["at"])
    elif what == "withdraw":
        journey.change("Order", "O", Fakturo_Cancel_On__c=None, Fakturo_Cancel_At__c=None)


def _day(journey: Journey, days: int) -> str:
    return max(journey.today + timedelta(days=days), BEGAN_ON).isoformat()


def _change_item(journey: Journey, what: str, given_: dict[str, Any], item: str) -> None:
    if what == "upgrade":
        if item in ("SEAT", "SEAT-ADV", "QUARTER"):
            journey.change("OrderItem", item, Product2Id=journey.product(given_["to"]))
        return
    name = "Quantity" if what == "quantity" else "Fakturo_Discount_Percent__c"
    on = {} if given_["days"] is None else {"Fakturo_Effective_On__c": _day(journey, given_["days"])}
    journey.change("OrderItem", item, **{name: str(given_["to"])}, **on)


def _deal(journey: Journey, what: str, given_: dict[str, Any], products: list[str]) -> None:
    documents = sorted(journey.documents, key=lambda one: one.invoice_id)
    if what == "pay":
        journey.pay("A", given_["amount"])
    elif what == "use":
        if {"CALLS", "ALLOWANCE"} & set(products):
            journey.use("A", journey.today.isoformat(), given_["quantity"])
    elif documents:
        chosen = documents[given_["which"] % len(documents)]
        if what == "void":
            journey.ask("void", "A", invoice_id=chosen.invoice_id, reissue=given_["reissue"])
            return
        lines = () if given_["whole"] else (CreditedLine(line_id=chosen.lines[0].line_id, amount="1.00"),)
        journey.ask("credit_note", "A", invoice_id=chosen.invoice_id, reason="test", lines=lines)


def _content(one: Any) -> tuple[Any, ...]:
    lines = sorted((line.line_id, line.kind, line.amount_minor, line.tax_minor) for line in one.lines)
    discounts = [(discount.kind, discount.amount_minor) for discount in one.discounts]
    return (one.invoice_id, one.issue_date.isoformat(), one.total_minor, one.amount_due_minor, lines, discounts)


@settings(BOUNDED, max_examples=4)
@given(history=histories)
async def test_how_a_history_is_handed_in_changes_no_document(
    connection: asyncpg.Connection, history: dict[str, Any]
) -> None:
    expected = await live(connection, history, Manner())
    for manner in MANNERS:
        assert await live(connection, history, manner) == expected, manner


ramps = st.lists(
    st.tuples(st.integers(1, 27), st.integers(1, 9), st.sampled_from((None, 3100, 2000, 777)), st.integers(0, 60)),
    min_size=1,
    max_size=4,
)


@settings(BOUNDED, max_examples=12)
@given(ramp=ramps, product=st.sampled_from(("SEAT", "SEAT-ADV")))
async def test_quantities_and_prices_learned_late_add_up_to_the_bill_of_one_who_knew(
    connection: asyncpg.Connection, ramp: list[tuple[int, int, int | None, int]], product: str
) -> None:
    """The bill of one who knew: each stretch of days at its quantity and price, x days / days of the month."""
    async with rolled_back(connection):
        journey = Journey(connection, CATALOG, BEGAN_ON, settings_of())
        journey.account("A")
        journey.order("O", "A", "2026-01-01")
        journey.item("seat", "O", product)
        held: dict[date, tuple[int, int]] = {BEGAN_ON: (1, 3100)}
        on, known_on = BEGAN_ON, BEGAN_ON
        for gap, quantity, amount, late in ramp:
            on += timedelta(days=gap)
            known_on = max(known_on, on + timedelta(days=late))
            await journey.until(known_on.isoformat(), 9)
            values = {"Quantity": str(quantity), "Fakturo_Effective_On__c": on.isoformat()}
            before = held[max(held)][1]
            if amount is not None:
                values |= {"UnitPrice": str(Decimal(amount) / 100), "ListPrice": "31"}
            journey.change("OrderItem", "seat", **values)
            held[on] = (quantity, before if amount is None else amount)
        await journey.until("2026-09-02", 9)
        assert journey.billed("seat") == {
            month: minor for month, minor in _bill(held).items() if product == "SEAT-ADV" or month < "2026-09"
        }
        await check(journey)


def _bill(held: dict[date, tuple[int, int]]) -> dict[str, int]:
    bill = {}
    for month in range(1, 10):
        start, end = date(2026, month, 1), date(2026, month + 1, 1)
        stretches: dict[tuple[date, int, int], int] = {}
        day, previous = start, None
        while day < end:
            since = max(one for one in held if one <= day)
            terms = held[since]
            key = (since, *terms) if previous is None or previous[1:] != terms else previous
            stretches[key] = stretches.get(key, 0) + 1
            previous, day = key, day + timedelta(days=1)
        bill[f"{start:%Y-%m}"] = sum(
            int((Decimal(quantity * amount * days) / (end - start).days).quantize(Decimal(1), ROUND_HALF_UP))
            for (_, quantity, amount), days in stretches.items()
        )
    return bill
