"""What subscriptions and opportunities count for as they stand now: a newer version takes back what the older one did.

Place     handler -> facts.read -> [this] -> kpi.fact, kpi.metered_item, kpi.term. Events of one subject come in order.
Subscription  recurring revenue by the day it changes (engine/recurring), the terms that renewal dates come from, and
          which of its items have a meter.
Opportunity   one that is won counts on the day it was closed, with the days since its creation.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

import asyncpg
import msgspec

from fakturo.engine.recurring import recurring_steps
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import Subscription
from fakturo.schemas.events.sales import OpportunityChanged

Counted = tuple[str, str, str, str]
"""(account, currency, day as text, column of kpi.fact)"""

SUBSCRIPTION = "subscription"
COLUMNS = ("recurring_minor", "won", "cycle_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the subject `id` of `kind` counts for; `subscription` where it is one."""

    kind: str
    id: str
    counted: dict[Counted, int]
    subscription: Subscription | None = None


def standing_of(data: object) -> Standing | None:
    """Return what a subscription or an opportunity counts for, None of anything else."""
    if isinstance(data, Subscription):
        counted = {
            (data.account, data.currency, on.isoformat(), "recurring_minor"): step_minor
            for on, step_minor in recurring_steps(data).items()
        }
        return Standing(kind=SUBSCRIPTION, id=data.subscription_id, counted=counted, subscription=data)
    if isinstance(data, OpportunityChanged):
        return Standing(kind="opportunity", id=data.opportunity, counted=_of_opportunity(data))
    return None


def _of_opportunity(data: OpportunityChanged) -> dict[Counted, int]:
    if not data.won or data.deleted or data.closed_at is None or data.currency is None:
        return {}
    closed_on = data.closed_at.astimezone(UTC).date()
    days = max((closed_on - data.opened_at.astimezone(UTC).date()).days, 0)
    place = (data.account, data.currency, closed_on.isoformat())
    return {(*place, "won"): 1, (*place, "cycle_days"): days}


async def take(driver: asyncpg.Connection, standings: Sequence[tuple[Standing, date | None]]) -> None:
    """Keep each standing, in order, and insert what differs from the one before as facts.

    The date is what time had reached in the record's partition: a change of a day before it is booked on that day.
    """
    for standing, reached_on in standings:
        before = await _replace(driver, standing)
        changed = Counter(standing.counted)
        changed.subtract(before)
        await _insert(driver, changed, reached_on, scheduled=standing.kind == SUBSCRIPTION)
        if standing.subscription is not None:
            await _keep_terms(driver, standing.subscription)


async def _replace(driver: asyncpg.Connection, standing: Standing) -> dict[Counted, int]:
    """Write what counts now; return what counted until now."""
    found = await driver.fetchval(
        "SELECT counted::text FROM kpi.standing WHERE kind = $1 AND id = $2 FOR UPDATE", standing.kind, standing.id
    )
    rows = [[*place, amount] for place, amount in sorted(standing.counted.items())]
    await driver.execute(
        "INSERT INTO kpi.standing (kind, id, counted) VALUES ($1, $2, $3::text::jsonb) "
        "ON CONFLICT (kind, id) DO UPDATE SET counted = excluded.counted",
        standing.kind,
        standing.id,
        encode(rows).decode(),
    )
    kept: list[list[Any]] = msgspec.json.decode(found) if found else []
    return {(row[0], row[1], row[2], row[3]): row[4] for row in kept}


async def _insert(
    driver: asyncpg.Connection, changed: Counter[Counted], reached_on: date | None, *, scheduled: bool
) -> None:
    facts: dict[tuple[str, str, str], dict[str, int]] = {}
    for (account, currency, on, column), amount in sorted(changed.items()):
        if amount:
            facts.setdefault((account, currency, on), {})[column] = amount
    days = [date.fromisoformat(on) for _, _, on in facts]
    await driver.execute(
        "INSERT INTO kpi.fact (account, currency, effective_on, booked_on, recurring_minor, won, cycle_days, "
        "scheduled, shown) SELECT *, $8::boolean, $8 FROM unnest($1::text[], $2::text[], $3::date[], $4::date[], "
        "$5::bigint[], $6::int[], $7::int[])",
        [account for account, _, _ in facts],
        [currency for _, currency, _ in facts],
        days,
        [on if reached_on is None else max(on, reached_on) for on in days],
        *([amounts.get(column, 0) for amounts in facts.values()] for column in COLUMNS),
        scheduled,
    )


async def _keep_terms(driver: asyncpg.Connection, subscription: Subscription) -> None:
    await driver.execute(
        "INSERT INTO kpi.term VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (subscription_id) DO UPDATE SET "
        "ended_on = excluded.ended_on, auto_renew = excluded.auto_renew, term_months = excluded.term_months, "
        "started_on = excluded.started_on, currency = excluded.currency",
        subscription.subscription_id,
        subscription.account,
        subscription.currency,
        subscription.started_on,
        subscription.ended_on,
        subscription.auto_renew,
        subscription.term_months,
    )
    await _keep_meters(driver, (item.subscription_item for item in subscription.items if item.meter is not None))


async def _keep_meters(driver: asyncpg.Connection, items: Iterable[str]) -> None:
    await driver.execute(
        "INSERT INTO kpi.metered_item SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", sorted(set(items))
    )
