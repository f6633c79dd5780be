"""A metered line: which statement it billed, and its slice rated again with the usage that the statement named.

Place     lines (the statements of the item and period) + contract -> [this] -> steps; the slice's usage -> usage.
Which     the statement whose slice comes to what was billed up to this line and that says what the line says.
Usage     is the statement's own; of prices that look at single events, and of what lies before in an allowance's
          window, it is read again from totals and events as they count now.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from fakturo.cli.explain.answer import Step
from fakturo.cli.explain.lines import FoundLine
from fakturo.cli.explain.steps import billed_before_minor, steps_of
from fakturo.consumers.usage.event_usage import Known, usage_from_events
from fakturo.consumers.usage.folding import dimensions_values
from fakturo.consumers.usage.rateable import DueItem, Rateable, Stretch
from fakturo.consumers.usage.rating import rate_stretches, used_of
from fakturo.consumers.usage.totals import SliceRange, totals_of
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import Period
from fakturo.engine.prices import Usage, grouped_usage, usage_of
from fakturo.schemas.events.usage import RatedSlice, UsageRated


@dataclass(frozen=True, slots=True)
class StatedSlice:
    """The slice of a statement that a line billed."""

    statement: UsageRated
    part: RatedSlice


def stated_slice(found: FoundLine, statements: Sequence[UsageRated]) -> StatedSlice | None:
    """Return the slice that the line billed; None where nothing is left that says it (a reversal bills none)."""
    billed_minor = billed_before_minor(found.earlier) + found.rated_minor
    kept = list(found.line.phrases)
    candidates = [
        StatedSlice(statement, part)
        for statement in statements
        for part in statement.slices
        if (part.period.start, part.period.end, part.price_hash) == found.slice_key
    ]
    same = [one for one in candidates if one.part.phrases and kept[: len(one.part.phrases)] == list(one.part.phrases)]
    exact = [one for one in same if one.part.amount_minor == billed_minor]
    billed = [one for one in candidates if one.part.amount_minor == billed_minor]
    return next(iter([*exact, *same, *billed]), None)


async def rated_steps(
    connection: asyncpg.Connection, due: DueItem, stated: StatedSlice, locale: str | None
) -> list[Step] | None:
    """Return the steps of the slice; None where the contract, or the events, now make something else of it.

    Of a price that looks at events it tries those that count now, then those that were known when the period ended.
    """
    held_until_at = None if stated.statement.final else stated.statement.as_of
    for known_before in (None, due.period.end_at):
        known = Known(known_before, held_until_at)
        try:
            item = Rateable.of(due)
            usages = [
                one for stretch in item.stretches for one in await _usages(connection, due, stretch, stated, known)
            ]
            rated = rate_stretches(item, usages, final=stated.statement.final)
        except PriceError:
            continue
        results = [one.result for one in rated if one.stretch.shown and _is_of(one.stretch, stated.part)]
        for result in results:
            if (result.exact, result.amount_minor) == (stated.part.amount_exact, stated.part.amount_minor):
                return steps_of(result, locale)
    return None


def _is_of(stretch: Stretch, part: RatedSlice) -> bool:
    period = stretch.part.period
    return (period.start_at, period.end_at, stretch.part.version.hash) == (
        part.period.start,
        part.period.end,
        part.price_hash,
    )


async def _usages(
    connection: asyncpg.Connection, due: DueItem, stretch: Stretch, stated: StatedSlice, known: Known
) -> list[Usage]:
    """Return the usage of each range of a stretch: what counts, and what was billed of it."""
    part = next((one for one in stated.statement.slices if _is_of(stretch, one)), None)
    if part is not None and stretch.shown and stretch.billed is None and not stretch.part.price.needs_events:
        return [_stated_usage(due, part)]
    ranges = [one for one in (stretch.counted, stretch.billed) if one is not None]
    return [await _usage_now(connection, due, stretch, one, known) for one in ranges]


def _stated_usage(due: DueItem, part: RatedSlice) -> Usage:
    names = due.meter.group_by
    if not names or not part.quantities:
        return usage_of(part.quantity)
    return grouped_usage(names, {dimensions_values(names, text): one for text, one in part.quantities.items()})


async def _usage_now(
    connection: asyncpg.Connection, due: DueItem, stretch: Stretch, counted: Period, known: Known
) -> Usage:
    (total,) = await totals_of(connection, [SliceRange(due.account_id, due.meter_id, counted.start_at, counted.end_at)])
    if due.meter.needs_events or stretch.part.price.needs_events:
        return used_of(due, total, await usage_from_events(connection, due, stretch, counted, known)).usage
    return used_of(due, total).usage
