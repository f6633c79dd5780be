"""Explains a line: which of the explainers it takes, and the answer that comes of it.

Place     command -> [this] -> lines, contract, metered | licensed | commitments, hours, events -> Explanation.
"""

from dataclasses import dataclass, field

import asyncpg

from fakturo.cli.explain import commitments, licensed, metered
from fakturo.cli.explain.answer import Events, Explanation, Meter, PriceUsed, Step, Used
from fakturo.cli.explain.contract import Contract, contract_of, due_item
from fakturo.cli.explain.events import events_of
from fakturo.cli.explain.hours import hours_of
from fakturo.cli.explain.lines import FoundDiscount, FoundLine, booked_line, find, statements_of
from fakturo.cli.explain.parts import (
    change_of,
    document_of,
    line_of,
    locale_of,
    other_of,
    slice_of,
    span_of,
    whole_step,
)
from fakturo.cli.explain.steps import line_steps, steps_of_phrases
from fakturo.consumers.usage.rateable import DueItem
from fakturo.engine.money import from_minor
from fakturo.schemas.events.usage import UsageRated

NOT_AGAIN = (
    "the contract or the usage has changed since: the steps are what the line kept; later corrections bill the change"
)
NOT_HELD = "some of the raw events of this usage are no longer kept (retention); its totals are"
NO_TOTALS = "the usage of this line is no longer kept (retention): only what was stated of it is"
BY_REQUEST = "a credit note that was asked for: it takes back a part of the line that it corrects"


@dataclass(slots=True)
class _Draft:
    """What is gathered for the answer."""

    steps: list[Step] | None = None
    price: PriceUsed | None = None
    used: Used | None = None
    events: Events | None = None
    notes: list[str] = field(default_factory=list)


async def explain(connection: asyncpg.Connection, name: str, events: int) -> Explanation | None:
    """Return what explains the line or discount that `name` says, with up to `events` events; None: there is none."""
    found = await find(connection, name)
    if found is None:
        return None
    if isinstance(found, FoundDiscount):
        return _of_discount(found)
    contract = await contract_of(connection, found.line.subscription_item)
    draft = _Draft()
    if contract is not None:
        draft.price = contract.price(found.line.price_hash, found.item_period)
    if found.booked is not None and not found.booked.counts:
        draft.notes.append(BY_REQUEST)
        draft.steps = [whole_step(found)]
    elif found.line.kind == "true_up":
        draft.steps = await commitments.true_up_steps(connection, found)
    elif contract is not None and contract.item.meter is not None:
        await _metered(connection, found, contract, draft, events)
    elif contract is not None and found.line.kind != "reversal":
        draft.steps = licensed.rated_steps(found, contract, locale_of(found))
    return await _answer(connection, found, contract, draft)


async def _metered(
    connection: asyncpg.Connection, found: FoundLine, contract: Contract, draft: _Draft, limit: int
) -> None:
    statements = await statements_of(connection, found.line.subscription_item, found.item_period.start_at)
    stated = metered.stated_slice(found, statements)
    due = await due_item(connection, found.line.subscription_item, found.item_period)
    if due is None:
        return
    if stated is not None and found.line.kind != "reversal":
        draft.steps = await metered.rated_steps(connection, due, stated, locale_of(found))
    draft.used = await _used(connection, found, contract, due, stated, statements)
    draft.events = await _events(connection, found, due, draft, limit)


async def _used(
    connection: asyncpg.Connection,
    found: FoundLine,
    contract: Contract,
    due: DueItem,
    stated: metered.StatedSlice | None,
    statements: list[UsageRated],
) -> Used:
    zone = contract.zone(found.item_period)
    hours = await hours_of(connection, due.account_id, due.meter_id, due.meter, slice_of(found), zone)
    meter = due.item.meter
    if meter is None:
        raise TypeError(f"item {due.subscription_item} is not metered")
    return Used(
        meter=Meter(
            code=meter.code,
            event_type=meter.event_type,
            aggregation=meter.aggregation,
            value=meter.value,
            group_by=meter.group_by,
            filter={name: tuple(sorted(allowed)) for name, allowed in meter.filter.items()},
        ),
        revision=stated.statement.revision if stated else None,
        newest_revision=max((one.revision for one in statements if one.final), default=None),
        as_of=stated.statement.as_of if stated else None,
        groups=dict(stated.part.quantities) if stated else {},
        event_count=sum(hour.events for hour in hours),
        hours=tuple(hours),
    )


async def _events(connection: asyncpg.Connection, found: FoundLine, due: DueItem, draft: _Draft, limit: int) -> Events:
    counted = draft.used.event_count if draft.used else 0
    events = await events_of(connection, due.account_id, due.meter, slice_of(found), limit=limit, counted=counted)
    if not counted and found.line.quantity > 0:
        draft.notes.append(NO_TOTALS)
    elif not events.held:
        draft.notes.append(NOT_HELD)
    return events


async def _answer(
    connection: asyncpg.Connection, found: FoundLine, contract: Contract | None, draft: _Draft
) -> Explanation:
    currency = found.document.invoice.currency
    if draft.steps is None and found.line.kind == "reversal":
        draft.steps = []  # it bills nothing: all of it is what was billed before
    if draft.steps is None:
        draft.notes.append(NOT_AGAIN)
        slice_minor = sum(one.rated_minor for one in found.earlier) + found.rated_minor
        draft.steps = steps_of_phrases(found.line.phrases, slice_minor, currency, locale_of(found))
    is_of_slice = found.booked is None or found.booked.counts
    corrected = await booked_line(connection, found.line.corrects) if found.line.corrects else None
    zone = contract.zone(found.item_period) if contract else "UTC"
    return Explanation(
        document=document_of(found.document),
        line=line_of(found, contract),
        discount=None,
        slice=span_of(slice_of(found), zone),
        item_period=span_of(found.item_period, zone),
        price=draft.price,
        steps=line_steps(found, draft.steps) if is_of_slice else tuple(draft.steps),
        amount=from_minor(found.line.amount_minor, currency),
        corrects=other_of(corrected, currency) if corrected else None,
        change=change_of(found) if is_of_slice else None,
        used=draft.used,
        events=draft.events,
        notes=tuple(draft.notes),
    )


def _of_discount(found: FoundDiscount) -> Explanation:
    invoice = found.document.invoice
    discount = invoice.discounts[found.number - 1]
    fields = {"number": found.number, "kind": discount.kind, "code": discount.code, "description": discount.description}
    return Explanation(
        document=document_of(found.document),
        line=None,
        discount=fields,
        slice=None,
        item_period=None,
        price=None,
        steps=commitments.discount_steps(found),
        amount=from_minor(discount.amount_minor, invoice.currency),
        corrects=None,
        change=None,
        used=None,
        events=None,
        notes=(),
    )
