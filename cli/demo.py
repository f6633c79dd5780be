"""`fakturo demo`: the flights of 2013 through the same agents, topics and tables as production, with a live view.

Place     demo_org (a sandbox org with the contracts) -> the bridge; producers/simulate/year (usage, payments) -> the
          agents -> this view, and back into the org; ends with the table of the airlines and `fakturo verify`.
Books     stay under `home`; `fakturo up` brings them back, the next demo starts afresh.
Real      on FAKTURO_KAFKA and DATABASE_URL where they are set: topics get a prefix of this run's own, and the database
          must be empty or hold an earlier demo (it is marked by a comment on its schema), which is removed.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaProducer
from rich.live import Live

from fakturo.cli.agents import AGENTS, BRIDGE
from fakturo.cli.demo_org import DemoOrg, Held
from fakturo.cli.demo_report import Report, build_report, print_report
from fakturo.cli.demo_view import View, observe
from fakturo.cli.lifecycle import keep, prepare
from fakturo.cli.output import console, errors
from fakturo.cli.salesforce.setup import write_package
from fakturo.cli.stack import Stack, StackFault
from fakturo.cli.verify import verify_books
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.settlement import NotSettled, settle
from fakturo.producers.simulate.flights_contracts import catalog_path
from fakturo.producers.simulate.year import (
    YEAR_ENDS_AT,
    YEAR_STARTS_AT,
    begin_year,
    open_producer,
    pay_invoices,
    publish_usage,
)
from fakturo.schemas.codec import encode

OURS = ("runtime", "contracts", "usage", "invoicing", "ledger", "kpi", "crm_sync")
MARK = "fakturo demo"
YEAR_EVENTS = 336_776
USAGE_IS_IN_AT = datetime(2014, 1, 2, tzinfo=UTC)
"""A tick that comes after the last flight, which was scheduled on 31 December, New York time."""

PATIENCE_SECONDS = 60.0
_ARRIVED = """
SELECT entity, count(*) AS count FROM contracts.record
 WHERE entity <> 'Order' OR field_values ->> 'StatusCode' = 'Activated' GROUP BY entity
"""
_UNWRITTEN = "SELECT count(*) FROM crm_sync.written WHERE dirty AND held IS NULL"
_USAGE_READ = "SELECT min(watermark_at) FROM runtime.cursor WHERE agent = 'usage' AND topic = 'billing.usage'"


@dataclass(slots=True)
class Times:
    """Seconds since the history began to be published."""

    started: float = field(default_factory=time.monotonic)
    usage_started: float = 0.0
    usage_seconds: float = 0.0
    seconds: float = 0.0


def run_demo(home: Path, report_file: Path | None) -> int:
    """Run the year; print and write the report; return the exit status (1 where verify finds a difference)."""
    stack = Stack(home)
    try:
        with console.status("starting broker and database"):
            stack.fresh()
            parts = stack.start_parts()
            _take_database(parts["DATABASE_URL"], external=stack.database_is_external)
        environment = _environment(stack)
        with console.status("creating tables and topics"):
            settings = prepare(parts, home, prefix=environment.get("FAKTURO_TOPIC_PREFIX", ""), keep_producer_time=True)
            _mark_database(settings.database_url)
        keep(home, environment, (*AGENTS, "relay"))  # the org is gone when the demo ends; the books stay
        with console.status("starting a Salesforce org, the bridge to it, six agents and the relay"):
            org = _start_org(stack, home)
            stack.start_agents((*AGENTS, "relay", BRIDGE), settings={**environment, **org.environment}, restart=True)
        report = asyncio.run(_year(settings, org))
    except (StackFault, NotSettled) as fault:
        errors.print(f"fakturo demo: {fault}\nThe agents' logs are in {home / 'logs'}.", markup=False)
        return 1
    finally:
        with console.status("stopping; the books stay"):
            stack.down()
    if report_file is not None:
        report_file.write_bytes(encode(report.document) + b"\n")
    print_report(report, home)
    return 1 if report.document["verify"]["differences"] else 0


def _start_org(stack: Stack, home: Path) -> DemoOrg:
    package = home / "salesforce-package"
    write_package(package, load_profile())
    return DemoOrg.start(stack, package)


async def _year(settings: Settings, org: DemoOrg) -> Report:
    times, view = Times(), View(YEAR_EVENTS)
    connection = await asyncpg.connect(settings.database_url)
    watching = asyncio.create_task(observe(settings, view, console))
    try:
        with Live(view, console=console, refresh_per_second=4, transient=not console.is_terminal):
            async with open_producer(settings) as producer:
                await _enter_contracts(org, connection)
                await begin_year(producer, settings)
                await _publish_and_wait(settings, connection, producer, times, view)
        times.seconds = time.monotonic() - times.started
        with console.status("waiting until Salesforce has every invoice"):
            held = await _written_back(org, connection)
        with console.status("verifying every invoice, balance and KPI against the raw events"):
            verification = await verify_books(connection)
        return await build_report(connection, verification, times.seconds, times.usage_seconds, held)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await connection.close()


async def _publish_and_wait(
    settings: Settings, connection: asyncpg.Connection, producer: AIOKafkaProducer, times: Times, view: View
) -> None:
    await _until(connection, "SELECT min(at) FROM runtime.watermark WHERE agent = 'usage'", YEAR_STARTS_AT)
    times.usage_started = time.monotonic()
    working = asyncio.gather(
        publish_usage(producer, settings, on_progress=view.published),
        pay_invoices(producer, settings, on_progress=view.paid),
    )
    try:
        await _until(connection, _USAGE_READ, USAGE_IS_IN_AT)
        times.usage_seconds = time.monotonic() - times.usage_started
        await working
        await settle(connection, {}, YEAR_ENDS_AT)
    finally:
        working.cancel()


async def _enter_contracts(org: DemoOrg, connection: asyncpg.Connection) -> None:
    """Enter the contracts in the org and wait until the bridge has brought all of them."""
    entered = await asyncio.to_thread(org.enter_contracts)

    async def missing() -> int:
        found = {row["entity"]: row["count"] for row in await connection.fetch(_ARRIVED)}
        return sum(count - found.get(entity, 0) for entity, count in entered.items())

    await _until_none(missing, "contracts have not arrived from the org")


async def _written_back(org: DemoOrg, connection: asyncpg.Connection) -> Held:
    """Wait until the org holds what the book says; return what it holds."""

    async def missing() -> int:
        return int(await connection.fetchval(_UNWRITTEN))

    await _until_none(missing, "records have not been taken by the org")
    return await asyncio.to_thread(org.held)


async def _until_none(missing: Callable[[], Awaitable[int]], what: str) -> None:
    """Wait until nothing is missing; give up when it does not get less for a minute."""
    left, moved = await missing(), time.monotonic()
    while left:
        if time.monotonic() - moved > PATIENCE_SECONDS:
            raise NotSettled(f"{left} {what}; nothing has moved for {PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
        before, left = left, await missing()
        moved = time.monotonic() if left < before else moved


async def _until(connection: asyncpg.Connection, query: str, at: datetime) -> None:
    """Wait until the time that `query` returns has reached `at`; give up when it stands still for a minute."""
    last, moved = None, time.monotonic()
    while (reached := await connection.fetchval(query)) is None or reached < at:
        if reached != last:
            last, moved = reached, time.monotonic()
        if time.monotonic() - moved > PATIENCE_SECONDS:
            raise NotSettled(f"time has stood at {reached} for {PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(0.05)


def _environment(stack: Stack) -> dict[str, str]:
    environment = {
        "FAKTURO_CATALOG": str(catalog_path()),
        "FAKTURO_GRACE_SECONDS": "0",
        "FAKTURO_BILLING_UNTIL": "2014-01-01",
        "FAKTURO_SELLER_NAME": "Port Airports of New York",
        "FAKTURO_SELLER_TIMEZONE": "America/New_York",
        "FAKTURO_LOG_FORMAT": "console",
    }
    if stack.kafka_is_external:
        environment["FAKTURO_TOPIC_PREFIX"] = f"demo-{secrets.token_hex(4)}."
    return environment


def _take_database(url: str, *, external: bool) -> None:
    """Remove an earlier demo's books from an external database.

    Raises:
        SettingsFault: it holds books that are no demo's.
    """

    async def take() -> None:
        connection = await asyncpg.connect(url)
        try:
            mark = await connection.fetchval(
                "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = 'runtime'"
            )
            if mark is not None and mark != MARK:
                raise SettingsFault("DATABASE_URL holds books that are no demo's; name an empty database")
            for schema in OURS:
                await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            await connection.execute("DROP TABLE IF EXISTS alembic_version")
        finally:
            await connection.close()

    if external:
        asyncio.run(take())


def _mark_database(url: str) -> None:
    async def mark() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(f"COMMENT ON SCHEMA runtime IS '{MARK}'")
        await connection.close()

    asyncio.run(mark())
