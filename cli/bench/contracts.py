"""The airlines' subscriptions as they stand on `billing.contracts`, for a bench that starts at the usage agent."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import OutboxRow, Transaction
from fakturo.producers.simulate.flights_contracts import catalog_path, change_lines
from fakturo.schemas.topics import SEQUENCE_HEADER

YEAR_AT = datetime(2013, 1, 1, tzinfo=UTC)


async def contract_rows(settings: Settings) -> list[OutboxRow]:
    """Return what the contracts agent publishes of the flights' contracts, in order; no sequence is stamped."""
    agent = ContractsAgent(settings.model_copy(update={"catalog": catalog_path(), "interim_seconds": 1.0}))
    records = [
        Record(line.topic.name, 0, offset, line.record_id.encode(), line.value, (), line.at)
        for offset, line in enumerate(change_lines())
    ]
    database = Database(settings.database_url)
    try:
        async with database.transaction() as (sql, driver):
            tx = Transaction(agent.name, sql, driver, settings.partitions)
            await agent.handle(records, tx)
            while await agent.advance(YEAR_AT, tx):
                pass
    finally:
        await database.close()
    return tx.outbox


def stamped(rows: Iterable[OutboxRow]) -> list[OutboxRow]:
    """Return all of a topic's records, each with its sequence in its partition, as the relay stamps it."""
    last: Counter[int] = Counter()
    stamped = []
    for row in rows:
        last[row.partition] += 1
        sequence = (SEQUENCE_HEADER, str(last[row.partition]).encode())
        stamped.append(OutboxRow(row.topic, row.partition, row.key, row.value, (*row.headers, sequence)))
    return stamped
