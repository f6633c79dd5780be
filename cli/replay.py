"""`fakturo replay`: runs a recorded history through the agents on a stack of its own and writes down what comes out.

Place     file -> producers/replay -> the agents -> cli/collect -> one JSONL file a topic, and books.json.
Stack     a fresh embedded broker and database in a temporary folder, unless FAKTURO_KAFKA and DATABASE_URL are set;
          then topics get a prefix of their own, and a database of its own is created; both go when it ends.
"""

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from fakturo.cli.agents import AGENTS
from fakturo.cli.collect import collect
from fakturo.cli.output import console, errors
from fakturo.cli.stack import Stack, StackFault
from fakturo.cli.stack.background import log_tail
from fakturo.consumers.contracts.offers import load_offers
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.runtime.database import migrate
from fakturo.consumers.runtime.settings import Settings, load_settings
from fakturo.consumers.runtime.settlement import NotSettled
from fakturo.consumers.runtime.topic_admin import apply_topics, delete_topics
from fakturo.producers.publisher import make_producer
from fakturo.producers.replay import Replay
from fakturo.producers.replay_lines import ReplayFault, read_lines
from fakturo.schemas.codec import encode

LOOK_SECONDS = 0.5

ZONES_SPAN = timedelta(days=1)
"""Midnight of a date comes last at UTC-12: twelve hours after it came in UTC, so a day later it has come everywhere."""


def run_replay(input_file: Path, output: Path, catalog: Path | None, until: date | None) -> int:
    """Replay `input_file` and write the results to `output`; return the exit status."""
    try:
        lines = sum(1 for _ in read_lines(input_file))  # the whole file is read once before anything is started
    except ReplayFault as fault:
        errors.print(str(fault), markup=False, highlight=False)
        return 1
    with tempfile.TemporaryDirectory(prefix="fakturo-replay-") as folder:
        stack = Stack(Path(folder))
        try:
            with console.status(f"replaying {lines:,} lines of {input_file.name}"):
                counts = asyncio.run(_replay(stack, input_file, output, catalog, until))
        except (NotSettled, StackFault) as fault:
            errors.print(f"fakturo replay: {fault}", markup=False, highlight=False)
            return 1
        finally:
            stack.fresh()
    for name, count in counts.items():
        console.print(f"{count:>8,}  {output / name}", highlight=False)
    return 0


async def _replay(
    stack: Stack, input_file: Path, output: Path, catalog: Path | None, until: date | None
) -> dict[str, int]:
    async with AsyncExitStack() as cleanup:
        parts = await asyncio.to_thread(stack.start_parts)
        url = parts["DATABASE_URL"]
        if stack.database_is_external:
            url = await _own_database(url, cleanup)
        settings = _settings(stack, parts["FAKTURO_KAFKA"], url, catalog, until)
        load_offers(settings.catalog)  # the contracts agent would refuse it too, but into its log
        load_profile(settings.profile)
        await asyncio.to_thread(migrate, url)
        await apply_topics(settings, keep_producer_time=True)
        if settings.topic_prefix:
            cleanup.push_async_callback(delete_topics, settings)
        environment = _agent_environment(settings)
        await asyncio.to_thread(stack.start_agents, (*AGENTS, "relay"), settings=environment, restart=False)
        cleanup.push_async_callback(asyncio.to_thread, stack.stop_agents)
        connection = await asyncpg.connect(url)
        cleanup.push_async_callback(connection.close)
        producer = make_producer(settings.kafka, linger_ms=5)
        await producer.start()
        cleanup.push_async_callback(producer.stop)
        replay = Replay(settings=settings, producer=producer, connection=connection)
        await _while_agents_live(stack, _publish(replay, input_file, until))
        output.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs on this loop any more
        return await _write(settings, connection, output)


async def _publish(replay: Replay, input_file: Path, until: date | None) -> None:
    await replay.publish(read_lines(input_file))
    end_at = datetime.combine(until, time(), UTC) + ZONES_SPAN if until else replay.reached_at
    await replay.tick(max(end_at, replay.reached_at))


async def _while_agents_live(stack: Stack, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`; an agent that ends before it is done would never be waited out."""
    working = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait((working,), timeout=LOOK_SECONDS))[0]:
            for part in stack.status():
                if part.state == "crashed":
                    raise StackFault(f"agent {part.name} has ended; its log ends with\n{log_tail(part.log)}")
        await working
    finally:
        working.cancel()


def _settings(stack: Stack, kafka: str, url: str, catalog: Path | None, until: date | None) -> Settings:
    prefix = f"replay-{secrets.token_hex(4)}." if stack.kafka_is_external else ""
    return load_settings(
        kafka=kafka,
        DATABASE_URL=url,
        home=stack.home,
        topic_prefix=prefix,
        partitions=1,
        grace_seconds=0,
        interim_seconds=0,
        billing_until=until,
        **({"catalog": catalog.absolute()} if catalog else {}),
    )


def _agent_environment(settings: Settings) -> dict[str, str]:
    environment = {
        "DATABASE_URL": settings.database_url,
        "FAKTURO_TOPIC_PREFIX": settings.topic_prefix,
        "FAKTURO_PARTITIONS": str(settings.partitions),
        "FAKTURO_GRACE_SECONDS": str(settings.grace_seconds),
        "FAKTURO_INTERIM_SECONDS": "0",
    }
    if settings.catalog:
        environment["FAKTURO_CATALOG"] = str(settings.catalog)
    if settings.billing_until:
        environment["FAKTURO_BILLING_UNTIL"] = settings.billing_until.isoformat()
    return environment


async def _own_database(url: str, cleanup: AsyncExitStack) -> str:
    name = f"fakturo_replay_{os.getpid()}_{secrets.token_hex(4)}"
    server = await asyncpg.connect(url)
    cleanup.push_async_callback(server.close)
    await server.execute(f"CREATE DATABASE {name}")
    cleanup.push_async_callback(server.execute, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    base, _, query = url.partition("?")
    return base.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")


async def _write(settings: Settings, connection: asyncpg.Connection, output: Path) -> dict[str, int]:
    counts = {}
    for topic, records in (await collect(settings, connection)).items():
        lines = b"".join(encode(record) + b"\n" for record in records)
        (output / f"{topic}.jsonl").write_bytes(lines)
        counts[f"{topic}.jsonl"] = len(records)
    balances = await connection.fetch(
        "SELECT account_code, nullif(party, '') AS party, currency, amount_minor FROM ledger.balance "
        "ORDER BY account_code, party, currency"
    )
    books = [dict(row) for row in balances]
    (output / "books.json").write_text(json.dumps(books, indent=1) + "\n")
    counts["books.json"] = len(books)
    return counts
