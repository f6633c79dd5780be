"""An explanation on the screen: the line, its price, what adds up to it, its busiest hours, its events.

Place     explaining -> [this] -> the terminal.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from fakturo.cli.explain.answer import Change, Event, Explanation, Hour, OtherLine, Used
from fakturo.cli.output import console, table_of
from fakturo.engine.money import plain_text

HOURS_SHOWN = 10


def print_explanation(answer: Explanation) -> None:
    """Print the answer for a person."""
    document, line = answer.document, answer.line
    what = "credit note" if document.kind == "credit_note" else "draft" if document.status == "draft" else "invoice"
    name = document.number or document.invoice_id
    _say(f"On {what} {name} of {document.issued_on} ({document.status}), account {document.account}")
    if line is not None:
        _say(f"Line {line.number}, {line.kind.replace('_', ' ')} {line.line_id}: {line.description}")
        _say(f"  {line.explanation}")
        _say(f"  item {line.subscription_item} of product {line.product_code}")
    if answer.discount is not None:
        _say(f"Discount {answer.discount['number']}, {answer.discount['kind']}: {answer.discount['description']}")
    _print_times(answer)
    _print_price(answer)
    _print_steps(answer)
    if answer.corrects is not None:
        _say(f"Corrects {_named(answer.corrects)}")
    if answer.change is not None:
        _print_change(answer.change)
    if answer.used is not None:
        _print_used(answer.used)
    if answer.events is not None and answer.slice is not None:
        _print_events(answer.events.shown, answer.slice.timezone, more=answer.events.more)
    for note in answer.notes:
        _say(f"Note: {note}.")


def _print_times(answer: Explanation) -> None:
    if answer.slice is None or answer.item_period is None:
        return
    zone = answer.slice.timezone
    _say(f"Period   {_local(answer.slice.start, zone)} up to {_local(answer.slice.end, zone)} ({zone})")
    if (answer.slice.start, answer.slice.end) != (answer.item_period.start, answer.item_period.end):
        whole = answer.item_period
        _say(f"  a part of the billing period {_local(whole.start, zone)} up to {_local(whole.end, zone)}")


def _print_price(answer: Explanation) -> None:
    price = answer.price
    if price is None:
        return
    until = f" until {price.effective_until}" if price.effective_until else ""
    _say(f"Price    {price.model} in {price.currency}, from {price.effective_from}{until}, version {price.hash}")
    if price.own_unit_amount is not None:
        _say(f"  with an own unit amount of {_text(price.own_unit_amount)}")
    if price.own_discount_percent:
        _say(f"  with an own discount of {_text(price.own_discount_percent)} %")


def _print_steps(answer: Explanation) -> None:
    rows = [
        {
            "step": one.description,
            "quantity": _text(one.quantity),
            "unit amount": _text(one.unit_amount),
            "amount": _text(one.amount),
        }
        for one in answer.steps
    ]
    total = {"step": "this line" if answer.line else "this discount", "quantity": "", "unit amount": ""}
    rows.append({**total, "amount": f"{answer.amount:f}"})
    console.print(table_of("What it is made of", rows[0], rows))


def _print_change(change: Change) -> None:
    before, now = change.before, change.now
    if change.earlier:
        _say(f"Before   {_text(before.quantity)} for {before.amount:f}; now {_text(now.quantity)} for {now.amount:f}")
    for one in change.earlier:
        _say(f"  billed before on {_named(one)}")
    for one in change.later:
        _say(f"  corrected later by {_named(one)}")


def _print_used(used: Used) -> None:
    meter = used.meter
    reads = f" of {meter.value}" if meter.value else ""
    _say(f"Usage    meter {meter.code}: {meter.aggregation}{reads} over events of type {meter.event_type}")
    if used.revision is not None:
        _say(f"  billed by revision {used.revision} of its statement; the newest is {used.newest_revision}")
    for group, quantity in used.groups.items():
        _say(f"  {group}: {_text(quantity)}")
    if used.hours:
        found = _busiest(used.hours)
        rows = [
            {"hour": one.local, "events": one.events, "quantity": _text(one.quantity)} for one in found[:HOURS_SHOWN]
        ]
        title = f"{min(HOURS_SHOWN, len(found))} busiest of {len(found)} hours, {used.event_count:,} events in all"
        console.print(table_of(title, rows[0], rows))


def _busiest(hours: Sequence[Hour]) -> list[Hour]:
    return sorted(hours, key=lambda hour: (-(hour.quantity or 0), -hour.events, hour.start))


def _print_events(events: Sequence[Event], zone: str, *, more: bool) -> None:
    if not events:
        return
    rows = [
        {
            "at": _local(one.at, zone),
            "source": one.source,
            "id": one.id,
            "value": _text(one.value),
            "record": f"{one.topic}[{one.partition}]@{one.offset}",
            "state": _state(one),
        }
        for one in events
    ]
    title = f"The first {len(rows)} events; --events shows more" if more else f"All {len(rows)} events"
    console.print(table_of(title, rows[0], rows))


def _state(event: Event) -> str:
    said = ["late"] if event.late else []
    if event.corrected_by is not None:
        said.append(f"taken out by {event.corrected_by.source} {event.corrected_by.id}")
    if event.replaces is not None:
        said.append(f"in place of {event.replaces.source} {event.replaces.id}")
    if not event.counts and event.corrected_by is None:
        said.append("counts in no total")
    return ", ".join(said)


def _named(line: OtherLine) -> str:
    return f"{line.invoice}, line {line.line_id} ({line.kind}): {_text(line.quantity)} for {line.amount:f}"


def _local(instant: datetime, zone: str) -> str:
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


def _text(value: Decimal | None) -> str:
    return "" if value is None else plain_text(value)


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False)
