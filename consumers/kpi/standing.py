"""What subscriptions and opportunities count for as they stand now: a newer version takes back what the older one did.

Place     handler -> facts.read -> [this] -> kpi.fact, kpi.metered_item, kpi.term. Events of one subject come in order.
Subscription  recurring revenue by the day it changes (engine/recurring), the terms that renewal dates come from, and
          which of its items have a meter.
Opportunity   one that is won counts on the day it was closed, with the days since its creation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
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
Subject = tuple[str, str]
"""(kind, id)"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """By how much a subject counts for more than before on a day: a row of kpi.fact."""

    account: str
    currency: str
    effective_on: date
    booked_on: date
    amounts: dict[str, int]
    scheduled: bool


async def take(driver: asyncpg.Connection, standings: Sequence[tuple[Standing, date | None]]) -> None:
    """Keep each standing, in order, and insert what differs from the one before as facts.

    However many there are, the statements are the same few: a batch can hold thousands of contracts. The date is what
    time had reached in the record's partition: a change of a day before it is booked on that day.
    """
    if not standings:
        return
    counted = await _counted(driver, {(one.kind, one.id) for one, _ in standings})
    steps: list[Step] = []
    for standing, reached_on in standings:
        subject = (standing.kind, standing.id)
        steps += _steps(counted.get(subject, {}), standing, reached_on)
        counted[subject] = standing.counted
    await _replace(driver, counted)
    await _insert(driver, steps)
    newest = {one.id: one.subscription for one, _ in standings if one.subscription is not None}
    await _keep_terms(driver, [newest[name] for name in sorted(newest)])
    every = (one.subscription for one, _ in standings if one.subscription is not None)
    await _keep_meters(driver, (item.subscription_item for one in every for item in one.items if item.meter))


def _steps(before: Mapping[Counted, int], standing: Standing, reached_on: date | None) -> list[Step]:
    """Return what `standing` counts for more, or less, than `before`, by place."""
    changed = Counter(standing.counted)
    changed.subtract(before)
    amounts: dict[tuple[str, str, str], dict[str, int]] = {}
    for (account, currency, on, column), amount in sorted(changed.items()):
        if amount:
            amounts.setdefault((account, currency, on), {})[column] = amount
    steps = []
    for (account, currency, on), found in amounts.items():
        effective_on = date.fromisoformat(on)
        steps.append(
            Step(
                account=account,
                currency=currency,
                effective_on=effective_on,
                booked_on=effective_on if reached_on is None else max(effective_on, reached_on),
                amounts=found,
                scheduled=standing.kind == SUBSCRIPTION,
            )
        )
    return steps


async def _counted(driver: asyncpg.Connection, subjects: Set[Subject]) -> dict[Subject, Mapping[Counted, int]]:
    """Lock the subjects that are known, in the order of their names; return what each counted until now."""
    names = sorted(subjects)
    rows = await driver.fetch(
        "SELECT kind, id, counted::text FROM kpi.standing WHERE (kind, id) IN "
        "(SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY kind, id FOR UPDATE",
        [kind for kind, _ in names],
        [name for _, name in names],
    )
    found: dict[Subject, Mapping[Counted, int]] = {}
    for row in rows:
        kept: list[list[Any]] = msgspec.json.decode(row["counted"])
        found[row["kind"], row["id"]] = {(one[0], one[1], one[2], one[3]): one[4] for one in kept}
    return found


async def _replace(driver: asyncpg.Connection, counted: Mapping[Subject, Mapping[Counted, int]]) -> None:
    """Write what each subject counts for now."""
    names = sorted(counted)
    rows = [[[*place, amount] for place, amount in sorted(counted[name].items())] for name in names]
    await driver.execute(
        "INSERT INTO kpi.standing (kind, id, counted) "
        "SELECT kind, id, counted::jsonb FROM unnest($1::text[], $2::text[], $3::text[]) AS new (kind, id, counted) "
        "ORDER BY kind, id ON CONFLICT (kind, id) DO UPDATE SET counted = excluded.counted",
        [kind for kind, _ in names],
        [name for _, name in names],
        [encode(one).decode() for one in rows],
    )


async def _insert(driver: asyncpg.Connection, steps: Sequence[Step]) -> None:
    await driver.execute(
        "INSERT INTO kpi.fact (account, currency, effective_on, booked_on, recurring_minor, won, cycle_days, "
        "scheduled, shown) SELECT *, scheduled FROM unnest($1::text[], $2::text[], $3::date[], $4::date[], "
        "$5::bigint[], $6::int[], $7::int[], $8::boolean[]) AS new (account, currency, effective_on, booked_on, "
        "recurring_minor, won, cycle_days, scheduled)",
        [one.account for one in steps],
        [one.currency for one in steps],
        [one.effective_on for one in steps],
        [one.booked_on for one in steps],
        *([one.amounts.get(column, 0) for one in steps] for column in COLUMNS),
        [one.scheduled for one in steps],
    )


async def _keep_terms(driver: asyncpg.Connection, subscriptions: Sequence[Subscription]) -> None:
    """Keep the terms of each subscription, given once each and by id."""
    await driver.execute(
        "INSERT INTO kpi.term (subscription_id, account, currency, started_on, ended_on, auto_renew, term_months) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::date[], $6::boolean[], $7::int[]) "
        "ON CONFLICT (subscription_id) DO UPDATE SET account = excluded.account, "
        "ended_on = excluded.ended_on, auto_renew = excluded.auto_renew, term_months = excluded.term_months, "
        "started_on = excluded.started_on, currency = excluded.currency",
        [one.subscription_id for one in subscriptions],
        [one.account for one in subscriptions],
        [one.currency for one in subscriptions],
        [one.started_on for one in subscriptions],
        [one.ended_on for one in subscriptions],
        [one.auto_renew for one in subscriptions],
        [one.term_months for one in subscriptions],
    )


async def _keep_meters(driver: asyncpg.Connection, items: Iterable[str]) -> None:
    await driver.execute(
        "INSERT INTO kpi.metered_item SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", sorted(set(items))
    )
