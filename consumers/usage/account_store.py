"""SQL of what the hot path asks of the contracts: their lock and version, accounts by subject, meter definitions.

Place     accounts, handler -> [this] -> Postgres schema `usage`. Written by projection_store.py.
Lock      one for all contracts, shared by usage, alone by contracts: who parks an event and who brings what it waits
          for cannot miss each other, and a new meter sees every event stored before it. One lock a reference would be
          finer, but a batch may name thousands, and Postgres keeps advisory locks in a table of fixed size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg
import msgspec

from fakturo.engine.schedule import Cadence
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, MeterDefinition

_CONTRACTS = "hashtextextended('usage/contracts', 0)"
_CLOSED = (
    "SELECT account_id, meter_id, max(finalized_until_at) AS until_at FROM usage.subscription_item "
    "WHERE account_id = ANY($1::text[]) AND finalized_until_at IS NOT NULL GROUP BY account_id, meter_id"
)


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """An account as `subject` finds it."""

    subject: str
    account_id: str
    versions: tuple[AccountVersion, ...]
    meter_ids: tuple[int, ...]
    raw_types: frozenset[str]
    closed_until: dict[int, datetime]
    service_start_on: date | None = None


async def lock_contracts(driver: asyncpg.Connection, *, alone: bool) -> None:
    """Hold the contracts until the end of the transaction: `alone` to change them, else to rely on them."""
    function = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    await driver.execute(f"SELECT {function}({_CONTRACTS})")


async def contracts_version(driver: asyncpg.Connection) -> int:
    """Return how often contracts have changed."""
    return int(await driver.fetchval("SELECT version FROM usage.contracts_version"))


async def accounts_changed_since(driver: asyncpg.Connection, version: int) -> set[str]:
    """Return the accounts that have changed after `version`."""
    rows = await driver.fetch("SELECT account_id FROM usage.account WHERE version > $1", version)
    return {row["account_id"] for row in rows}


async def find_accounts(driver: asyncpg.Connection, subjects: Sequence[str]) -> list[FoundAccount]:
    """Return the accounts that are known by one of `subjects`, canonical id or Salesforce id."""
    closed: dict[str, dict[int, datetime]] = {}
    rows = await driver.fetch(
        "SELECT account_id AS subject, account_id, content, meter_ids, raw_types, service_start_on FROM usage.account "
        "WHERE account_id = ANY($1::text[]) AND content IS NOT NULL UNION ALL "
        "SELECT salesforce_id, account_id, content, meter_ids, raw_types, service_start_on FROM usage.account "
        "WHERE salesforce_id = ANY($1::text[]) AND content IS NOT NULL",
        list(subjects),
    )
    for row in await driver.fetch(_CLOSED, sorted({row["account_id"] for row in rows})) if rows else ():
        closed.setdefault(row["account_id"], {})[row["meter_id"]] = row["until_at"]
    return [
        FoundAccount(
            row["subject"],
            row["account_id"],
            msgspec.json.decode(row["content"], type=AccountChanged).versions,
            tuple(row["meter_ids"]),
            frozenset(row["raw_types"]),
            closed.get(row["account_id"], {}),
            row["service_start_on"],
        )
        for row in rows
    ]


async def find_meters(
    driver: asyncpg.Connection, meter_ids: Sequence[int]
) -> list[tuple[int, MeterDefinition, Cadence]]:
    """Return the definitions of `meter_ids`, each with the cadence of its items' periods."""
    rows = await driver.fetch(
        "SELECT meter_id, definition, billing_months, anchor_on FROM usage.meter WHERE meter_id = ANY($1::int[])",
        list(meter_ids),
    )
    return [
        (
            row["meter_id"],
            msgspec.json.decode(row["definition"], type=MeterDefinition),
            Cadence(row["billing_months"], row["anchor_on"]),
        )
        for row in rows
    ]
