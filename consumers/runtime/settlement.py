"""Has all that was published so far been worked off, through every agent and topic? One snapshot of Postgres tells.

Place     asked by replay, demo and tests; production never waits.
Why sound a transaction of an agent moves its cursor and writes its outbox rows together, and the relay deletes a row
          only after it is in Kafka with its sequence stamped. So in one snapshot: inputs consumed, no outbox row left
          and every reader at the last sequence of what it reads means that nothing is under way anywhere.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

import asyncpg

from fakturo.consumers.runtime.errors import RuntimeFault
from fakturo.schemas.topics import INPUT_TOPICS, OUTPUT_TOPICS, RELAY_PROGRESS, TOPICS

Produced = Mapping[tuple[str, int], int]
"""(topic, partition) -> the offset after the last record that was published there."""

READERS = sorted({agent for topic in TOPICS.values() if topic is not RELAY_PROGRESS for agent in topic.readers})
"""The agents that must have read: one that has not made its cursors yet is behind, not done."""

_TICKED = [topic.name for topic in (*INPUT_TOPICS, *OUTPUT_TOPICS)]
"""Where time passes: an agent that reads none of them (crm_feed) has none to reach."""

_BEHIND = """
SELECT format('%s has not started to read', agent) FROM unnest($6::text[]) agent
 WHERE NOT EXISTS (SELECT FROM runtime.cursor c WHERE c.agent = agent.agent)
UNION ALL
SELECT format('%s has read %s-%s up to offset %s of %s', c.agent, c.topic, c.partition, c.next_offset, p.next)
  FROM unnest($1::text[], $2::int[], $3::bigint[]) AS p(topic, partition, next)
  JOIN runtime.cursor c USING (topic, partition) WHERE c.next_offset < p.next
UNION ALL
SELECT format('%s has %s events to be published', agent, count(*)) FROM runtime.outbox GROUP BY agent
UNION ALL
SELECT format('%s has read %s-%s up to event %s of %s', c.agent, c.topic, c.partition, c.last_sequence, s.last_sequence)
  FROM runtime.cursor c JOIN runtime.outbox_sequence s USING (topic, partition)
 WHERE c.last_sequence < s.last_sequence AND c.topic = ANY($5::text[])
UNION ALL
SELECT format('time has reached %s for %s', coalesce(w.at::text, 'nothing'), a.agent)
  FROM (SELECT DISTINCT agent FROM runtime.cursor WHERE topic = ANY($7::text[])) a
  LEFT JOIN runtime.watermark w USING (agent)
 WHERE $4::timestamptz IS NOT NULL AND (w.at IS NULL OR w.at < $4)
"""


class NotSettled(RuntimeFault):
    """Nothing has moved for too long; the text says who is behind where."""


async def behind(connection: asyncpg.Connection, produced: Produced, ticked_at: datetime | None) -> list[str]:
    """Return who is behind and where, as sentences; an empty list means that all is worked off."""
    keys = list(produced)
    rows = await connection.fetch(
        _BEHIND,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [produced[key] for key in keys],
        ticked_at,
        [topic.name for topic in OUTPUT_TOPICS],
        READERS,
        _TICKED,
    )
    return [row[0] for row in rows]


async def settle(
    connection: asyncpg.Connection,
    produced: Produced,
    ticked_at: datetime | None,
    *,
    patience_seconds: float = 60.0,
    poll_seconds: float = 0.005,
) -> None:
    """Wait until all is worked off.

    Raises:
        NotSettled: nothing has moved for `patience_seconds`.
    """
    last: list[str] = []
    moved_at = time.monotonic()
    while found := await behind(connection, produced, ticked_at):
        if found != last:
            last, moved_at = found, time.monotonic()
        elif time.monotonic() - moved_at > patience_seconds:
            raise NotSettled(f"nothing has moved for {patience_seconds:.0f} s: " + "; ".join(found[:5]))
        await asyncio.sleep(poll_seconds)
