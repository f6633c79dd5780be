"""What a contract says of the past, learned late: the periods that are rated again, and those that are not."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from msgspec import structs

from fakturo.schemas.events.contracts import ItemTerms, Pause, SubscriptionItem
from tests.consumers.usage.conftest import CALLS, THREE_EACH, TOKENS, TWO_EACH, Desk, account, item, price, subscription

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
APRIL_2 = datetime(2026, 4, 2, tzinfo=UTC)


async def _two_months(desk: Desk) -> None:
    """Two calls at 2 EUR on 10 and 20 February, one on 10 March; both months are final."""
    await desk.sign(account(), subscription(item("calls")))
    days = ("2026-02-10", "2026-02-20", "2026-03-10")
    await desk.hand_in(*(desk.usage(day, f"{day}T12:00:00Z") for day in days))
    await desk.tick(APRIL)
    assert desk.finals() == [("calls", "2026-02-01", Decimal(2), 400), ("calls", "2026-03-01", Decimal(1), 200)]
    desk.published.clear()
    desk.keys.clear()
    desk.event_ids.clear()


async def _change(desk: Desk, **given: Any) -> list[tuple[str, int, int]]:
    """Have the contract say something else; return (local start, revision, cents) of what the next tick states."""
    changed = structs.replace(item("calls"), **given)
    await desk.sign(subscription(changed), watermark_at=APRIL)
    await desk.tick(APRIL)
    assert desk.published == []  # the contract came after that tick
    await desk.tick(APRIL_2)
    assert all(one.final for one in desk.published)
    return [
        (key.rpartition("/")[2], one.revision, one.amount_minor)
        for key, one in zip(desk.keys, desk.published, strict=True)
    ]


async def test_a_price_learned_late_is_the_next_revision_of_the_periods_that_it_touches(desk: Desk) -> None:
    """3 EUR from 15 February: 1 x 2 + 1 x 3 in February, 1 x 3 in March."""
    await _two_months(desk)
    prices = (price(TWO_EACH), price(THREE_EACH, date(2026, 2, 15)))
    assert await _change(desk, prices=prices) == [("2026-02-01", 2, 500), ("2026-03-01", 2, 300)]
    assert desk.event_ids == ["calls/2026-02-01/final/2", "calls/2026-03-01/final/2"]
    assert desk.keys == ["UA/item/calls/2026-02-01", "UA/item/calls/2026-03-01"]
    february = desk.published[0]
    assert [(one.quantity, one.amount_minor) for one in february.slices] == [(Decimal(1), 200), (Decimal(1), 300)]


async def test_a_price_from_march_leaves_february_alone(desk: Desk) -> None:
    await _two_months(desk)
    prices = (price(TWO_EACH), price(THREE_EACH, date(2026, 3, 1)))
    assert await _change(desk, prices=prices) == [("2026-03-01", 2, 300)]


async def test_a_change_that_changes_no_amount_is_no_revision(desk: Desk) -> None:
    """A quantity says nothing of a metered item; nor does a price of a month in which it is the same."""
    await _two_months(desk)
    terms = (ItemTerms(effective_from=date(2026, 2, 1), quantity=Decimal(7), own_unit_amount=Decimal(9)),)
    assert await _change(desk, terms=terms, product_name="other name") == []
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.revision_due") == 0
    assert await desk.connection.fetchval("SELECT max(revision) FROM usage.final_statement") == 1


async def test_a_discount_learned_late_is_a_revision(desk: Desk) -> None:
    """Half off: 200 and 100 cents."""
    await _two_months(desk)
    half = (ItemTerms(effective_from=date(2026, 2, 1), quantity=Decimal(1), discount_percent=Decimal(50)),)
    assert await _change(desk, terms=half) == [("2026-02-01", 2, 200), ("2026-03-01", 2, 100)]


async def test_a_trial_learned_late_costs_nothing_and_says_so(desk: Desk) -> None:
    await _two_months(desk)
    assert await _change(desk, trial_until_on=date(2026, 2, 15)) == [("2026-02-01", 2, 200)]
    trial, paid = desk.published[0].slices
    assert (trial.quantity, trial.amount_minor, trial.explanation) == (
        Decimal(1),
        0,
        "1 units: trial period, nothing to pay",
    )
    assert paid.amount_minor == 200


async def test_what_was_used_in_a_pause_learned_late_is_taken_out(desk: Desk) -> None:
    await _two_months(desk)
    pauses = (Pause(start_on=date(2026, 2, 5), end_on=date(2026, 2, 15)),)
    assert await _change(desk, pauses=pauses) == [("2026-02-01", 2, 200)]
    assert desk.published[0].quantity == Decimal(1)


async def test_a_period_after_an_end_learned_late_has_no_slices_left(desk: Desk) -> None:
    await _two_months(desk)
    assert await _change(desk, service_end_on=date(2026, 3, 1)) == [("2026-03-01", 2, 0)]
    assert desk.published[0].slices == ()


async def test_an_item_that_its_contract_no_longer_names_is_taken_back(desk: Desk) -> None:
    await _two_months(desk)
    await desk.sign(subscription(item("tokens", TOKENS, service_start_on=date(2026, 4, 1))), watermark_at=APRIL)
    await desk.tick(APRIL_2)
    assert [(one.subscription_item, one.revision, one.amount_minor, one.slices) for one in desk.published] == [
        ("calls", 2, 0, ()),
        ("calls", 2, 0, ()),
    ]


async def test_a_change_that_is_taken_back_before_a_tick_revises_nothing_and_after_it_revises_again(desk: Desk) -> None:
    await _two_months(desk)
    dearer = structs.replace(item("calls"), prices=(price(THREE_EACH),))
    await desk.sign(subscription(dearer))
    await desk.sign(subscription(item("calls")))
    await desk.tick(APRIL_2)
    assert desk.published == []
    for revision, (contract, cents) in enumerate([(dearer, 600), (item("calls"), 400), (dearer, 600)], 2):
        desk.published.clear()
        await desk.sign(subscription(contract))
        await desk.tick(APRIL_2)
        first = desk.published[0]
        assert (first.revision, first.amount_minor) == (revision, cents)


async def test_a_service_that_began_earlier_than_was_known_is_stated_from_its_beginning(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls", service_start_on=date(2026, 3, 1))))
    await desk.hand_in(desk.usage("1", "2026-01-20T00:00:00Z"), desk.usage("2", "2026-03-20T00:00:00Z"))
    await desk.tick(APRIL)
    assert desk.finals() == [("calls", "2026-03-01", Decimal(1), 200)]
    await desk.sign(subscription(item("calls", service_start_on=date(2026, 1, 15))))
    await desk.tick(APRIL_2)
    assert desk.finals()[1:] == [("calls", "2026-01-01", Decimal(1), 200), ("calls", "2026-02-01", Decimal(0), 0)]
    assert [one.revision for one in desk.published] == [1, 1, 1]


async def test_many_revisions_are_worked_off_in_bounded_calls(desk: Desk) -> None:
    facts = [account(f"A{number:03}", salesforce_id=f"{number:018}") for number in range(150)]

    def contract(name: str, *prices: Any) -> SubscriptionItem:
        return item(f"i{name}", CALLS, *prices)

    await desk.sign(*facts, *(subscription(contract(one.account), account_id=one.account) for one in facts))
    await desk.tick(APRIL)
    flat = price({"model": "flat", "amount": "5", "currency": "EUR"})
    await desk.sign(*(subscription(contract(one.account, flat), account_id=one.account) for one in facts))
    desk.published.clear()
    assert await desk.tick(APRIL_2) >= 2
    assert [(one.revision, one.amount_minor) for one in desk.published] == [(2, 500)] * 300


async def test_an_item_that_cannot_be_rated_again_waits_for_its_contract(desk: Desk) -> None:
    await _two_months(desk)
    broken = price({"model": "per_unit", "unit_amount": "x", "currency": "EUR"})
    await desk.sign(subscription(item("calls", CALLS, broken)))
    await desk.tick(APRIL_2)
    assert desk.published == []
    await desk.sign(subscription(item("calls", CALLS, price(THREE_EACH))))
    await desk.tick(datetime(2026, 4, 3, tzinfo=UTC))
    assert [(one.revision, one.amount_minor) for one in desk.published] == [(2, 600), (2, 300)]


async def test_the_explanation_is_in_the_language_of_the_account(desk: Desk) -> None:
    danish = account()
    version = structs.replace(danish.versions[0], locale="da")
    await desk.sign(structs.replace(danish, versions=(version,)), subscription(item("calls", unit="kald")))
    await desk.hand_in(desk.usage())
    await desk.tick(MARCH)
    (one,) = desk.published[0].slices
    assert one.explanation == "1 kald: 1 à 2,00"
    assert one.unit_amount == Decimal(2)
    assert one.phrases
