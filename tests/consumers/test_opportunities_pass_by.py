"""Opportunities on `billing.contracts` are for the KPIs: the agents that bill read past them, and reject nothing."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.crm_sync.handler import CrmSyncAgent
from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.consumers.kpi.handler import KpiAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.sales import OPPORTUNITY_CHANGED, OpportunityChanged
from fakturo.schemas.topics import CONTRACTS, read_by

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
READERS: dict[str, Any] = {
    "usage": UsageAgent,
    "invoicing": InvoicingAgent,
    "kpi": KpiAgent,
    "crm_sync": CrmSyncAgent,
}


@pytest.mark.parametrize("agent", READERS)
async def test_an_agent_reads_past_an_opportunity(agent: str, database_url: str) -> None:
    assert CONTRACTS in read_by(agent)
    told = OpportunityChanged(opportunity="006NY0000000001YAA", account="AA", opened_at=AT, recorded_at=AT)
    event = event_of(
        agent="contracts", event_type=OPPORTUNITY_CHANGED, id="o", subject="AA", time=AT, data=told, recorded_at=AT
    )
    record = Record(CONTRACTS.name, 0, 0, b"AA/opportunity/006NY0000000001YAA", encode(event), (), AT)
    settings = Settings(kafka="unused:9092", DATABASE_URL="postgresql://unused", interim_seconds=1)  # type: ignore[call-arg]
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        tx = Transaction(agent=agent, sql=None, driver=connection, partition_count=4)  # type: ignore[arg-type]
        await READERS[agent](settings).handle([record], tx)
    await connection.close()
    assert (tx.rejections, tx.outbox) == ([], [])
