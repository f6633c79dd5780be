"""The usage of every slice, from the raw events that count, by SQL of its own.

Place     stored events (verify_events.py) + expected slices -> [this] -> verify_rating.
Ranges    a slice asks for the usage of what counts, and of what of it was billed before (an allowance).
Events    prices that look at single events get them oldest first; all else is totalled by the database.
Late      counts like any other event, from the tick after it came on; what came since the last tick waits for the next.
Corrected of the corrections of an event the greatest (time, source, id) stands: its replacement counts, nothing else.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

import asyncpg
import msgspec

from fakturo.cli.verify_contracts import ExpectedSlice
from fakturo.cli.verify_events import load_events
from fakturo.cli.verify_periods import Bounds
from fakturo.engine.prices import NO_USAGE, Usage, UsageEvent, grouped_usage, usage_of
from fakturo.schemas.events.contracts import MeterDefinition

PRECISE = Context(prec=160, rounding=ROUND_HALF_UP)
"""As many digits as a division may need so that nobody sees where it ends."""

Asked = tuple[str, Bounds]
"""Item and stretch of time."""

_VALUE = "(e.data #>> $7::text[])::numeric"
_NUMBER = (
    "(jsonb_typeof(e.data #> $7::text[]) = 'string' AND e.data #>> $7::text[] ~ '^-?[0-9]+(\\.[0-9]+)?$' "
    "OR jsonb_typeof(e.data #> $7::text[]) = 'number' AND e.data #>> $7::text[] ~ '^-?[0-9]+$')"
)
_TEXT = "(jsonb_typeof(e.data #> $7::text[]) IN ('string', 'boolean') OR e.data #>> $7::text[] ~ '^-?[0-9]+$')"
_HELD = "extract(epoch FROM s.end_at - greatest(e.at, s.start_at))"
_VALUES = {
    "count": ("count(*)::numeric", "$7::text[] IS NOT NULL"),
    "sum": (f"sum({_VALUE})", _NUMBER),
    "max": (f"max({_VALUE})", _NUMBER),
    "min": (f"min({_VALUE})", _NUMBER),
    "last": (f'(array_agg({_VALUE} ORDER BY e.at DESC, e.partition DESC, e."offset" DESC))[1]', _NUMBER),
    "average": (f"sum({_VALUE})", _NUMBER),
    "unique": ("count(DISTINCT e.data #>> $7::text[])::numeric", _TEXT),
    # A change of the level holds from its event, or from the start if it came before, to the end.
    "weighted_sum": (f"sum({_VALUE} * {_HELD})", _NUMBER),
}
"""Aggregation -> what of the events is asked for, and which of them can be read."""


_TICK = "coalesce((SELECT w.at FROM runtime.watermark w WHERE w.agent = 'usage'), 'infinity')"
_COUNTS_NOT = (
    f"DELETE FROM pg_temp.verified_event e WHERE coalesce(e.watermark_at, '-infinity') >= {_TICK}",  # noqa: S608
    f"""DELETE FROM pg_temp.verified_event e USING usage.correction c
         WHERE (c.root_source, c.root_id) = (e.source, e.id) AND c.known_watermark_at < {_TICK}""",  # noqa: S608
    f"""DELETE FROM pg_temp.verified_event e
         USING usage.correction c JOIN usage.correction g USING (root_source, root_id)
         WHERE (c.replacement_source, c.replacement_id) = (e.source, e.id)
           AND (g.at, g.source, g.id) > (c.at, c.source, c.id) AND g.known_watermark_at < {_TICK}""",  # noqa: S608
)
"""What came since the last tick, what was corrected, and replacements that a greater correction overtook: taken out
once, as no estimate of a query of many conditions is near enough to join events and corrections by it."""


@dataclass(slots=True)
class _Question:
    """All stretches that one meter is asked for; `singly` those of which the events themselves are wanted."""

    meter: MeterDefinition
    asked: list[tuple[ExpectedSlice, Bounds]] = field(default_factory=list)

    @property
    def singly(self) -> list[tuple[ExpectedSlice, Bounds]]:
        """Return the stretches of which a price looks at single events."""
        return [one for one in self.asked if one[0].price.needs_events]


async def usage_of_slices(connection: asyncpg.Connection, slices: Iterable[ExpectedSlice]) -> dict[Asked, Usage]:
    """Return the usage of each metered slice, by item and stretch."""
    questions: dict[str, _Question] = {}
    for part in slices:
        if part.item.meter is None or part.quantity is not None:
            continue
        question = questions.setdefault(repr(part.item.meter), _Question(part.item.meter))
        question.asked += [(part, bounds) for bounds in (part.counted, part.billed) if bounds is not None]
    meter_ids = {
        row["subscription_item"]: row["meter_id"]
        for row in await connection.fetch("SELECT subscription_item, meter_id FROM usage.subscription_item")
    }
    usage: dict[Asked, Usage] = {}
    if questions:
        await load_events(connection)
        for statement in _COUNTS_NOT:
            await connection.execute(statement)
    for question in questions.values():
        await _totalled(connection, question, meter_ids, usage)
        if question.singly:
            await _read_singly(connection, question, meter_ids, usage)
    return usage


async def _totalled(
    connection: asyncpg.Connection, question: _Question, meter_ids: dict[str, int], usage: dict[Asked, Usage]
) -> None:
    groups: dict[int, dict[tuple[str, ...], Decimal]] = defaultdict(dict)
    meter = question.meter
    for row in await _fetch(connection, meter, question.asked, meter_ids):
        bounds = question.asked[row["number"]][1]
        groups[row["number"]][tuple(row["dimensions"])] = _quantity(meter, row, bounds)
    for number, (part, bounds) in enumerate(question.asked):
        found = groups[number]
        usage[part.item.subscription_item, bounds] = (
            grouped_usage(meter.group_by, found) if meter.group_by else usage_of(found.get((), Decimal(0)))
        )


def _quantity(meter: MeterDefinition, row: asyncpg.Record, bounds: Bounds) -> Decimal:
    value: Decimal = row["value"]
    if meter.aggregation == "average":
        return PRECISE.divide(value, Decimal(row["count"]))
    if meter.aggregation == "weighted_sum":
        microseconds = (bounds.end_at - bounds.start_at) // timedelta(microseconds=1)
        return PRECISE.divide(value, Decimal(microseconds).scaleb(-6))
    return value


async def _read_singly(
    connection: asyncpg.Connection, question: _Question, meter_ids: dict[str, int], usage: dict[Asked, Usage]
) -> None:
    """Put the events themselves beside the totals, for prices that look at them."""
    asked, meter = question.singly, question.meter
    events: dict[int, list[UsageEvent]] = defaultdict(list)
    rows = await _fetch(connection, meter, asked, meter_ids, singly=True)
    for row in rows:
        price = asked[row["number"]][0].price
        value = Decimal(1) if meter.value is None or meter.aggregation in ("count", "unique") else Decimal(row["value"])
        own = msgspec.json.decode(row["data"]).get("amount")
        # Its own amount, or what the meter reads of it, but where quantities are rounded up: these are no money.
        amount = Decimal(str(own)) if own is not None else None
        if amount is None and meter.value is not None and meter.aggregation != "count":
            amount = value if price.modifiers.increments is None else None
        properties = dict(zip(meter.group_by, row["dimensions"], strict=True))
        events[row["number"]].append(UsageEvent(quantity=value, amount=amount, at=row["at"], properties=properties))
    for number, (part, bounds) in enumerate(asked):
        key = part.item.subscription_item, bounds
        total = usage.get(key, NO_USAGE)
        usage[key] = Usage(
            quantity=total.quantity, dimensions=total.dimensions, groups=total.groups, events=tuple(events[number])
        )


async def _fetch(
    connection: asyncpg.Connection,
    meter: MeterDefinition,
    asked: Sequence[tuple[ExpectedSlice, Bounds]],
    meter_ids: dict[str, int],
    *,
    singly: bool = False,
) -> list[asyncpg.Record]:
    arguments: list[object] = [
        list(range(len(asked))),
        [part.account for part, _ in asked],
        [bounds.start_at for _, bounds in asked],
        [bounds.end_at for _, bounds in asked],
        [meter_ids.get(part.item.subscription_item) for part, _ in asked],
        meter.event_type,
        _path(meter.value or ""),
    ]
    value, readable = _VALUES[meter.aggregation]
    # A level goes on: what was before the stretch is part of it, too.
    since = "" if meter.aggregation == "weighted_sum" and not singly else "AND e.at >= s.start_at "
    conditions = [readable]
    for name, allowed in meter.filter.items():
        arguments += [_path(name), list(allowed)]
        texts = f"coalesce(e.data #>> ${len(arguments) - 1}::text[], '')"
        conditions.append(f"{texts} = ANY(${len(arguments)}::text[])")
    dimensions = []
    for name in meter.group_by:
        arguments.append(_path(name))
        dimensions.append(f"coalesce(e.data #>> ${len(arguments)}::text[], '')")
    groups = f"ARRAY[{', '.join(dimensions)}]::text[]"
    if singly:
        value, ending = "e.data #>> $7::text[]", 'ORDER BY s.number, e.at, e.partition, e."offset"'
        columns = f"s.number, {groups} AS dimensions, e.at, e.data::text AS data, {value} AS value"
    else:
        columns = f"s.number, {groups} AS dimensions, {value} AS value, count(*) AS count"
        ending = f"GROUP BY s.number, {groups}"
    # `OFFSET 0`: each slice looks up its own events by the index, whatever the conditions are guessed to leave.
    query = (
        f"SELECT {columns} "  # noqa: S608 - constants
        "FROM unnest($1::int[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::int[]) "
        "AS s(number, account, start_at, end_at, meter_id), LATERAL (SELECT * FROM pg_temp.verified_event e "
        f"WHERE e.account_id = s.account AND e.type = $6 AND e.at < s.end_at {since}OFFSET 0) e "
        f"WHERE {' AND '.join(conditions)} {ending}"
    )
    return list(await connection.fetch(query, *arguments))


def _path(name: str) -> list[str]:
    return name.removeprefix("data.").split(".")
