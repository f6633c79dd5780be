"""What holds of every price of the language, whatever its model: bills telescope, no fall, parts that add up.

Apart     the order of the events and where a batch of them ends are drawn; the laws are stated without the code.
"""

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.errors import PriceError
from fakturo.engine.prices import MODELS, Usage, UsageEvent, parse_price
from fakturo.engine.rating import RateRequest, RateResult, rate
from tests.engine.strategies import priced, single_events, usage_of_history

MONOTONE = [name for name in MODELS if name != "volume"]
histories = st.lists(single_events, max_size=8)


def bill(document: dict[str, Any], usage: Usage, currency: str = "EUR", **options: Any) -> RateResult:
    return rate(RateRequest(price=parse_price(document, currency), usage=usage, **options))


@given(priced(list(MODELS)), histories, st.data(), st.sampled_from(["EUR", "JPY", "BHD"]))
def test_progressive_bills_sum_to_the_cent_to_one_bill(
    document: dict[str, Any], events: list[UsageEvent], data: st.DataObject, currency: str
) -> None:
    """Whatever the cuts of the list, and whatever the times of what comes late."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    bills, billed = [], None
    for cut in [*cuts, len(events)]:
        usage = usage_of_history(document, events[:cut])
        bills.append(bill(document, usage, currency, billed=billed, final=True, billed_final=True))
        billed = usage
    whole = bill(document, usage_of_history(document, events), currency)
    assert sum(one.amount_minor for one in bills) == whole.amount_minor
    assert abs(sum(Fraction(one.exact) for one in bills) - Fraction(whole.exact)) <= len(bills) * Fraction(1, 10**24)


@given(priced(list(MODELS)), histories, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing_where_times_differ(
    document: dict[str, Any], events: list[UsageEvent], random: Any
) -> None:
    kept = list({event.at: event for event in events}.values())
    shuffled = list(kept)
    random.shuffle(shuffled)
    assert (
        bill(document, usage_of_history(document, kept)).exact
        == bill(document, usage_of_history(document, shuffled)).exact
    )


@given(priced(MONOTONE), histories, single_events)
def test_one_more_event_never_makes_it_cheaper(
    document: dict[str, Any], events: list[UsageEvent], more: UsageEvent
) -> None:
    """Of events in their order: one that comes before others may take their free units, and changes which are free."""
    before = sorted(events, key=lambda event: event.at or more.at)
    newest = max([event.at for event in [*events, more] if event.at is not None])
    last = UsageEvent(quantity=more.quantity, amount=more.amount, at=newest, properties=more.properties)
    less = bill(document, usage_of_history(document, before))
    assert less.exact <= bill(document, usage_of_history(document, [*before, last])).exact


@given(priced(list(MODELS)), histories)
def test_a_charge_is_the_sum_of_its_parts_and_never_below_0(document: dict[str, Any], events: list[UsageEvent]) -> None:
    charge = parse_price(document, "EUR").charge(usage_of_history(document, events))
    assert sum(Fraction(part.amount) for part in charge.parts) == Fraction(charge.amount)
    assert charge.amount >= 0


@given(priced(list(MODELS)), histories)
def test_every_line_can_be_said_in_every_language(document: dict[str, Any], events: list[UsageEvent]) -> None:
    result = bill(document, usage_of_history(document, events))
    for locale in ("en", "da", "de"):
        assert all(line.description for line in result.lines_in(locale))


@given(priced(list(MODELS)), st.lists(st.tuples(single_events, st.booleans()), max_size=8))
def test_what_is_taken_back_never_makes_a_price_negative_or_fail_otherwise(
    document: dict[str, Any], drawn: list[tuple[UsageEvent, bool]]
) -> None:
    events = [
        UsageEvent(quantity=-event.quantity, amount=-(event.amount or 0), at=event.at, properties=event.properties)
        if is_negative and document["model"] != "capacity"
        else event
        for event, is_negative in drawn
    ]
    try:
        result = bill(document, usage_of_history(document, events))
    except PriceError as error:
        assert error.code == "quantity_negative"
    else:
        assert result.amount >= 0
