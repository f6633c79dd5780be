"""Fills the book for `fakturo bench usage --stored`: events straight into the agent's handler, without a broker.

Place     usage.py starts this as a process of its own: `usage_prefill COUNT FIRST ACCOUNTS` (0 accounts: flights).
Same      handler, transactions and tables as in the worker, so what is stored is what a worker would have stored.
"""

import asyncio
import sys
from datetime import UTC, datetime
from itertools import islice

from fakturo.cli.bench.usage_events import UsageLine, usage_events
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings, load_settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import USAGE

OFFSETS_FROM = 2**40
"""Offsets that no record of the topic has."""


async def prefill(settings: Settings, count: int, accounts: int | None, first: int) -> None:
    """Store `count` events, from the `first` on."""
    database, agent = Database(settings.database_url), UsageAgent(settings)
    offset = OFFSETS_FROM + first
    try:
        events = usage_events(count, accounts, first=first)
        while lines := list(islice(events, settings.batch_records_max)):
            records = [_record(line, offset + place, settings) for place, line in enumerate(lines)]
            async with database.transaction() as (sql, driver):
                tx = Transaction(agent.name, sql, driver, settings.partitions)
                await agent.handle(records, tx)
            offset += len(lines)
    finally:
        await database.close()


def _record(line: UsageLine, offset: int, settings: Settings) -> Record:
    account, value, time_ms = line
    at = datetime.fromtimestamp(time_ms / 1000, UTC)
    return Record(USAGE.name, partition_for(account, settings.partitions), offset, account.encode(), value, (), at)


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    count, first, accounts = (int(argument) for argument in sys.argv[1:])
    asyncio.run(prefill(load_settings(), count, accounts or None, first))
    sys.stdout.write("{}\n")
