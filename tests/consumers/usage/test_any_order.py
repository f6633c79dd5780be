"""Random histories in random order and batches, over two workers, while contracts arrive: always the same bill."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.usage.handler import UsageAgent
from tests.consumers.usage.conftest import BY_REGION, TOKENS, Desk, account, item, settings_of, subscription

ACCOUNTS = ("UA", "AA", "DL")


def _history(chance: random.Random, desk: Desk) -> tuple[list[Record], Counter[str], Counter[str]]:
    """Return usage of three accounts with repeats, and what it comes to by account: events and tokens."""
    records, counts, tokens = [], Counter[str](), Counter[str]()
    for number in range(400):
        subject = chance.choice(ACCOUNTS)
        value, region = chance.randint(-3, 50), chance.choice(("eu", "us", None))
        at = f"2026-02-{chance.randint(1, 28):02}T{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:00Z"
        data = {"tokens": str(value), "region": region}
        counts[subject] += 1
        tokens[subject] += value
        repeats = 1 + (chance.random() < 0.2)
        records += [desk.usage(f"{number}", at, subject=subject, data=data) for _ in range(repeats)]
    chance.shuffle(records)
    return records, counts, tokens


@pytest.mark.parametrize("seed", range(3))
async def test_usage_and_contracts_in_any_order_over_two_workers_give_one_bill(
    connection: asyncpg.Connection, database_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    other = await asyncpg.connect(database_url)
    workers = [Desk(connection, UsageAgent(settings_of())), Desk(other, UsageAgent(settings_of()))]
    workers[1].offsets = workers[0].offsets
    records, counts, tokens = _history(chance, workers[0])
    for name in ACCOUNTS:
        facts = (
            account(name, salesforce_id=f"001{name:0>15}"),
            subscription(item(f"regions-{name}", BY_REGION), account_id=name),
            subscription(item(f"tokens-{name}", TOKENS), account_id=name, name="second"),
        )
        for fact in facts:
            records.insert(chance.randrange(len(records)), workers[0].contract(fact))
    streams = [records[0::2], records[1::2]]

    async def work(worker: Desk, stream: list[Record]) -> None:
        while stream:
            size = chance.choice((1, 7, 40))
            await worker.hand_in(*stream[:size])
            del stream[:size]
            if chance.random() < 0.2:
                await worker.flush()

    try:
        await asyncio.gather(*(work(worker, stream) for worker, stream in zip(workers, streams, strict=True)))
    finally:
        await other.close()
    desk = workers[0]
    desk.published.clear()
    desk.keys.clear()
    await desk.tick(datetime(2026, 3, 1, tzinfo=UTC))
    expected = {f"regions-{name}": Decimal(counts[name]) for name in ACCOUNTS}
    expected |= {f"tokens-{name}": Decimal(tokens[name]) for name in ACCOUNTS}
    assert {name: quantity for name, _, quantity, _ in desk.finals()} == expected
    assert await desk.parked() == []
    assert await desk.connection.fetchval("SELECT sum(event_count) FROM usage.segment") == 400
