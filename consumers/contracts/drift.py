"""Drift: what a reconciliation changed in value, so no event had told of it.

Place     handler -> [this] -> contracts.drift and the metric, shown by `fakturo salesforce drift`.
Counts    the fields that the profile reads, and deletion. Others are kept raw as they come, but many of them no event
          tells at all (roll-ups, formulas, `OrderItem.TotalPrice`): they would drift for ever and mean nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import asyncpg

from fakturo.consumers.contracts.reducer import DELETED, WHOLE, Facts
from fakturo.consumers.contracts.store import Change
from fakturo.schemas.codec import encode


@dataclass(frozen=True, slots=True)
class Drift:
    """A field that had another value than a reconciliation found."""

    change: Change
    field: str
    had: Any


def drift_of(change: Change, had: Facts, fields: Collection[str], *, known: bool) -> list[Drift]:
    """Return what `change` shows to have drifted; `had` is what the fields had that it changed.

    A record that was not `known` at all is one drift, of its row as a whole.
    """
    if not change.is_reconciliation:
        return []
    if not known:
        return [Drift(change, WHOLE, None)]
    return [Drift(change, name, value) for name, value in had.items() if name in fields or name == DELETED]


async def keep(driver: asyncpg.Connection, found: Collection[Drift]) -> None:
    """Write down what had drifted."""
    await driver.executemany(
        "INSERT INTO contracts.drift (entity, record_id, field, event_id, had, now, committed_at, found_at)"
        " VALUES ($1, $2, $3, $4, $5::text::jsonb, $6::text::jsonb, $7, $8) ON CONFLICT DO NOTHING",
        [
            (*one.change.key, one.field, one.change.event_id, encode(one.had).decode(),
             encode(one.change.facts.get(one.field)).decode(), one.change.committed_at, one.change.recorded_at)
            for one in found
        ],
    )  # fmt: skip
