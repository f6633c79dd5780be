"""A contracts agent in a database of its own: a desk that hands it change records and reads what it says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from fakturo.consumers.contracts.accounts import AccountDefaults, canonical_id, map_account
from fakturo.consumers.contracts.derived import with_values
from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.contracts.histories import completed
from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.mapping import SubscriptionRecords, map_subscription
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.publication import products_named, subscription_of
from fakturo.consumers.contracts.reducer import check_values, facts_of
from fakturo.consumers.contracts.store import load_histories
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import OutboxRow, Transaction
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import Event
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.events.contracts import Subscription
from fakturo.schemas.topics import USAGE

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
NO_RECORD = "000000000000000AAA"
ORG = "00DNY00000000012AA"


def ms(at: str) -> int:
    """Return an instant in milliseconds since 1970."""
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def snapshot_end(entity: str, snapshot: str, began_at: str, **given: Any) -> dict[str, Any]:
    """Return the record that ends a partition of a whole reading."""
    return {
        "v": 1,
        "org": ORG,
        "entity": entity,
        "recordId": NO_RECORD,
        "changeType": "SNAPSHOT_END",
        "commit": {"ts": ms(began_at)},
        "snapshot": snapshot,
        **given,
    }


def record(value: dict[str, Any], partition: int = 0, offset: int = 0) -> Record:
    """Return the Kafka record that carries `value`, recorded when it was committed."""
    recorded_at = datetime.fromtimestamp(value["commit"]["ts"] / 1000, UTC)
    key = value["recordId"].encode()
    return Record(f"sf.cdc.{value['entity']}", partition, offset, key, encode(value), (), recorded_at)


def settings(**given: Any) -> Settings:
    """Return settings that reach nothing."""
    return Settings(kafka="unused:9092", DATABASE_URL="postgresql://unused", interim_seconds=1, **given)  # type: ignore[call-arg]


@dataclass
class Desk:
    """Hands records in, lets the agent publish, and looks into its books."""

    connection: asyncpg.Connection
    agent: ContractsAgent
    events: dict[str, Event[Any]] = field(default_factory=dict)
    emitted: list[tuple[str, Event[Any]]] = field(default_factory=list)

    @classmethod
    def of(cls, connection: asyncpg.Connection, offers: Offers, profile: str | Path = "core") -> "Desk":
        """Return a desk of an agent in live operation."""
        return cls(connection, ContractsAgent(settings(profile=str(profile)), offers))

    async def hand_in(self, *records: Record | dict[str, Any]) -> Transaction:
        """Give `records` to the agent in one transaction, and let its metrics count."""
        async with self.connection.transaction():
            tx = Transaction(agent="contracts", sql=None, driver=self.connection, partition_count=4)  # type: ignore[arg-type]
            batch = [one if isinstance(one, Record) else record(one) for one in records]
            await self.agent.handle(batch, tx)
        tx.tell_committed()
        return tx

    async def publish(self) -> list[Event[Any]]:
        """Let the agent publish; return what it said, and keep the newest by key."""
        async with self.connection.transaction():
            tx = Transaction(agent="contracts", sql=None, driver=self.connection, partition_count=4)  # type: ignore[arg-type]
            await self.agent.flush(tx)
        said = [(row, _event_in(row)) for row in tx.outbox]
        self.events |= {(row.key or b"").decode(): event for row, event in said}
        self.emitted += [(row.topic, event) for row, event in said]
        return [event for _, event in said]

    async def sentences(self) -> list[str]:
        """Return what an administrator is told."""
        rows = await self.connection.fetch("SELECT message FROM contracts.incomplete ORDER BY 1")
        return [row["message"] for row in rows]

    async def history(self, record_id: str, *fields: str) -> RecordHistory:
        """Return the history of a record, of `fields` and the marks."""
        marks = ("$deleted", "$gap", "$whole", "$swept")
        found = await load_histories(self.connection, [record_id], (*fields, *marks), END_OF_TIME)
        return found[record_id]

    async def values(self, record_id: str) -> dict[str, Any]:
        """Return what the book says of a record now."""
        query = "SELECT field_values::text FROM contracts.record WHERE record_id = $1"
        return dict(json.loads(await self.connection.fetchval(query, record_id)))


def _event_in(row: OutboxRow) -> Event[Any]:
    """Return the event of an outbox row; a usage event's data is any object."""
    if row.topic == USAGE.name:
        return msgspec.json.decode(row.value or b"", type=Event[dict[str, Any]])
    return decode_event(row.value, row.headers)


def histories(changes: Sequence[dict[str, Any]], profile: Profile) -> dict[str, RecordHistory]:
    """Return the histories of `changes` as the agent would load them, without a database."""
    facts: dict[tuple[str, str], list[Fact]] = {}
    for arrival, value in enumerate(changes):
        change = decode_change(encode(value))
        told = facts_of(change)
        check_values(told, change.entity, profile)
        facts.setdefault((change.entity, change.recordId), []).extend(
            Fact(
                field=name,
                value=content,
                effective_at=change.committed_at,
                recorded_at=change.committed_at,
                arrival=arrival,
            )
            for name, content in told.items()
        )
    known = {
        key[1]: with_values(RecordHistory.of(*key, found), profile.value_maps(key[0])) for key, found in facts.items()
    }
    return {key: completed(history, profile, known) for key, history in known.items()}


def mapped(
    changes: Sequence[dict[str, Any]], subscription_id: str, profile: Profile, offers: Offers, zone: str = "UTC"
) -> tuple[Subscription | None, list[str]]:
    """Return the subscription that `changes` make, and the sentences about what is missing."""
    found = histories(changes, profile)
    defaults = AccountDefaults(timezone=zone, currency=offers.currency)
    items = [one for one in found.values() if _belongs(one, subscription_id, profile)]
    order = found.get(subscription_id)
    account = found.get(str(order.value(profile.subscription.account))) if order else None
    known = None
    if account is not None:
        known, _ = map_account(account, canonical_id(account, profile) or "?", profile, defaults)
    products = {key for item in items for key in products_named(item, profile.item.product)}
    records = SubscriptionRecords(
        order_id=subscription_id,
        order=order,
        items=items,
        products={key: found[key] for key in products if key in found},
    )
    subscription, problems = map_subscription(records, known, offers, profile)
    return subscription, [problem.message for problem in problems]


def _belongs(history: RecordHistory, subscription_id: str, profile: Profile) -> bool:
    return history.entity == profile.item.entity and subscription_of(history, profile.item) == subscription_id
