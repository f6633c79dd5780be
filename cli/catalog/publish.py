"""`fakturo catalog publish FILE`: puts a price list on `billing.catalog`, and waits until the agent took or refused it.

Place     FILE -> check -> what holds -> [this] -> `billing.catalog` -> contracts agent -> contracts.price_book.
Refuses   a faulty file; a list that changes what was in force before today, with the customers it would touch, unless
          `--allow-backdated`. The agent checks both again, and that nobody published in between.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from fakturo.cli.catalog.check import print_faults
from fakturo.cli.catalog.diff import print_changes, print_past
from fakturo.cli.catalog.holding import Holding, read_holding, read_past
from fakturo.cli.catalog.reading import read_catalog
from fakturo.cli.connect import connect, settings_of
from fakturo.cli.output import console, errors, print_json
from fakturo.consumers.contracts.price_book_store import last_book
from fakturo.consumers.runtime.settings import Settings
from fakturo.engine.catalog import Catalog, changes_between
from fakturo.producers.publisher import make_producer, stop_producer
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.catalog import CATALOG_PUBLISHED, CatalogPublished
from fakturo.schemas.topics import CATALOG

KEY = b"catalog"
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a list: `published`, `unchanged`, `refused` or `waiting`, and why."""

    status: str
    message: str
    number: int | None = None


def run_publish(home: Path, path: Path, *, by: str, allow_backdated: bool, wait: float, as_json: bool) -> int:
    """Publish `path`; return the exit status: 0 only where it holds now."""
    read = read_catalog(path)
    if read.faults or read.catalog is None:
        print_faults(path, read.faults, as_json=as_json)
        return 1
    event = CatalogPublished(
        hash=read.catalog.hash, document=read.document, published_by=by, allow_backdated=allow_backdated
    )
    outcome = asyncio.run(_publish(home, event, read.catalog, wait, quiet=as_json))
    if as_json:
        print_json({"file": str(path), "hash": event.hash, **_fields(outcome)})
    else:
        out = console if outcome.status in ("published", "unchanged") else errors
        out.print(outcome.message, markup=False, highlight=False, soft_wrap=True)
    return 0 if outcome.status in ("published", "unchanged") else 1


def _fields(outcome: Outcome) -> dict[str, object]:
    return {"status": outcome.status, "message": outcome.message, "number": outcome.number}


async def _publish(home: Path, given: CatalogPublished, catalog: Catalog, wait: float, *, quiet: bool) -> Outcome:
    connection = await connect(home)
    try:
        holding = await read_holding(connection)
        if holding.book is not None and holding.book.hash == given.hash:
            return Outcome(status="unchanged", message="This price list holds already.", number=holding.book.number)
        refused = await _refused(connection, holding, catalog, given, quiet=quiet)
        if refused is not None:
            return refused
        replaces = holding.book.hash if holding.book else None
        number = holding.book.number if holding.book else 0
        body = _body(
            CatalogPublished(
                hash=given.hash,
                document=given.document,
                replaces=replaces,
                published_by=given.published_by,
                allow_backdated=given.allow_backdated,
            ),
            number + 1,
        )
        letters = await connection.fetchval("SELECT coalesce(max(id), 0) FROM runtime.dead_letter")
        await _send(settings_of(home), body)
        return await _outcome(connection, given.hash, number, letters, body, wait)
    finally:
        await connection.close()


async def _refused(
    connection: asyncpg.Connection, holding: Holding, catalog: Catalog, given: CatalogPublished, *, quiet: bool
) -> Outcome | None:
    """Show what changes; return the refusal where it reaches into the past and may not."""
    past = await read_past(connection, holding, catalog)
    if not quiet:
        print_changes(changes_between(holding.catalog, catalog))
        print_past(past, holding)
    if not past.touched or given.allow_backdated:
        return None
    customers = ", ".join(f"{account} ({product})" for account, product in past.customers) or "no customer yet"
    message = (
        f"Refused: it changes what was in force before {holding.on} and would touch {customers}. "
        "Give the new version a later effective_from, or use --allow-backdated if it is meant."
    )
    return Outcome(status="refused", message=message)


def _body(given: CatalogPublished, number: int) -> bytes:
    event = event_of(
        agent="cli",
        event_type=CATALOG_PUBLISHED,
        id=f"catalog_{number}_{given.hash[:26]}",
        subject="catalog",
        time=datetime.now(UTC),
        data=given,
    )
    return encode(event)


async def _send(settings: Settings, body: bytes) -> None:
    producer = make_producer(settings.kafka)
    await producer.start()
    try:
        await producer.send_and_wait(settings.topic_prefix + CATALOG.name, body, key=KEY)
    finally:
        await stop_producer(producer, seconds=10)


async def _outcome(
    connection: asyncpg.Connection, wanted: str, number: int, letters: int, body: bytes, wait: float
) -> Outcome:
    """Wait until the agent's book, or its dead letters, say what became of the list."""
    for _ in range(max(1, round(wait / POLL_SECONDS))):
        book = await last_book(connection)
        if book is not None and book.hash == wanted and book.number > number:
            message = f"Published: price list {book.number}, hash {wanted[:12]}, holds."
            return Outcome(status="published", message=message, number=book.number)
        reason = await connection.fetchval(
            "SELECT message FROM runtime.dead_letter WHERE id > $1 AND topic = $2 AND value = $3",
            letters,
            CATALOG.name,
            body,
        )
        if reason is not None:
            return Outcome(status="refused", message=f"Refused: {reason}")
        await asyncio.sleep(POLL_SECONDS)
    message = f"Sent, but the contracts agent has not taken it within {wait:g} seconds: see `fakturo status`."
    return Outcome(status="waiting", message=message)
