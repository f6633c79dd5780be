"""The SQL of what the topics tell: each subject's newest, and what rows are worked out from.

Place     handler, next_invoices -> [this] -> Postgres schema `crm_sync`.
Locks     `lock_accounts` first, in one order: whatever the topic, who folds something of an account holds its row, so
          two workers never work out a row from halves that the other has not yet committed.
Newest    an UPDATE asks whether it is newer; what is repeated or late changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import asyncpg
import msgspec

from fakturo.consumers.crm_sync.documents import Head, Movement
from fakturo.consumers.crm_sync.reading import AccountFact, Document, KpiFact, ReceivableLine, SubscriptionFact
from fakturo.schemas.codec import encode

_head = msgspec.json.Decoder(Head)
Found = TypeVar("Found")


async def lock_accounts(driver: asyncpg.Connection, accounts: Iterable[str]) -> None:
    """Lock the rows of `accounts`, which are made where they are not there."""
    names = sorted(set(accounts))
    await driver.execute(
        "INSERT INTO crm_sync.account (account) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", names
    )
    await driver.execute(
        "SELECT FROM crm_sync.account WHERE account = ANY($1::text[]) ORDER BY account FOR UPDATE", names
    )


async def save_accounts(driver: asyncpg.Connection, facts: Sequence[AccountFact]) -> list[str]:
    """Keep the newer ones; return the accounts whose record id in the org has become known, or another."""
    rows = _newest(facts, lambda fact: fact.account, lambda fact: (fact.recorded_at, fact.place))
    if not rows:
        return []
    changed = await driver.fetch(
        """
        WITH told AS (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::timestamptz[],
                                 $7::bigint[])
                          AS t(account, salesforce_id, record_id, currency, versions, recorded_at, place)
        ), before AS (SELECT a.account, a.versions, a.record_id FROM crm_sync.account a JOIN told USING (account)),
        saved AS (
            UPDATE crm_sync.account a SET salesforce_id = t.salesforce_id, record_id = t.record_id,
                   currency = t.currency, versions = t.versions, recorded_at = t.recorded_at, place = t.place
              FROM told t WHERE a.account = t.account
               AND (a.recorded_at IS NULL OR (a.recorded_at, a.place) < (t.recorded_at, t.place))
            RETURNING a.account, a.record_id
        )
        SELECT account FROM saved JOIN before USING (account)
         WHERE before.versions IS NULL OR before.record_id IS DISTINCT FROM saved.record_id ORDER BY account
        """,
        [row.account for row in rows],
        [row.salesforce_id for row in rows],
        [row.record_id for row in rows],
        [row.currency for row in rows],
        [encode(row.versions) for row in rows],
        [row.recorded_at for row in rows],
        [row.place for row in rows],
    )
    # Zone and payer may be others now: when the next invoice falls due is worked out again.
    await driver.execute(
        "UPDATE crm_sync.subscription SET due_at = '-infinity' WHERE account = ANY($1::text[])",
        [row.account for row in rows],
    )
    return [row["account"] for row in changed]


async def save_subscriptions(driver: asyncpg.Connection, facts: Sequence[SubscriptionFact]) -> None:
    """Keep the newer ones; when their next invoice falls due is worked out by `advance`."""
    rows = _newest(facts, lambda fact: fact.subscription_id, lambda fact: (fact.recorded_at, fact.place))
    if rows:
        await driver.execute(
            "INSERT INTO crm_sync.subscription AS s (subscription_id, account, items, recorded_at, place) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[], $5::bigint[]) "
            "ON CONFLICT (subscription_id) DO UPDATE SET account = excluded.account, items = excluded.items, "
            "recorded_at = excluded.recorded_at, place = excluded.place, due_at = '-infinity' "
            "WHERE (s.recorded_at, s.place) < (excluded.recorded_at, excluded.place)",
            [row.subscription_id for row in rows],
            [row.account for row in rows],
            [encode(row.items) for row in rows],
            [row.recorded_at for row in rows],
            [row.place for row in rows],
        )


async def save_kpis(driver: asyncpg.Connection, facts: Sequence[KpiFact]) -> None:
    """Keep the newer ones."""
    rows = _newest(facts, lambda fact: (fact.account, fact.kpi, fact.window, fact.currency), lambda fact: fact.place)
    if rows:
        await driver.execute(
            'INSERT INTO crm_sync.kpi AS k (account, kpi, "window", currency, value, place) '
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::bigint[]) "
            'ON CONFLICT (account, kpi, "window", currency) DO UPDATE SET value = excluded.value, '
            "place = excluded.place WHERE k.place < excluded.place",
            [row.account for row in rows],
            [row.kpi for row in rows],
            [row.window for row in rows],
            [row.currency for row in rows],
            [row.value for row in rows],
            [row.place for row in rows],
        )


async def save_receivables(driver: asyncpg.Connection, lines: Sequence[ReceivableLine]) -> None:
    """Insert lines of journals; one that is there stays as it is."""
    rows = sorted(lines, key=lambda line: (line.journal_id, line.line_no))
    if rows:
        await driver.execute(
            "INSERT INTO crm_sync.receivable (journal_id, line_no, invoice_id, kind, amount_minor, effective_on) "
            "SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::date[]) "
            "ON CONFLICT DO NOTHING",
            [row.journal_id for row in rows],
            [row.line_no for row in rows],
            [row.invoice_id for row in rows],
            [row.kind for row in rows],
            [row.amount_minor for row in rows],
            [row.effective_on for row in rows],
        )


async def save_documents(
    driver: asyncpg.Connection, documents: Sequence[Document], head_of: Callable[[Document], Head]
) -> list[Document]:
    """Keep the newer ones; return those that were kept."""
    rows = _newest(documents, lambda found: found.invoice.invoice_id, lambda found: (found.stage, found.place))
    if not rows:
        return []
    kept = await driver.fetch(
        "INSERT INTO crm_sync.invoice AS i (invoice_id, account, stage, place, head) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::bytea[]) "
        "ON CONFLICT (invoice_id) DO UPDATE SET account = excluded.account, stage = excluded.stage, "
        "place = excluded.place, head = excluded.head "
        "WHERE (i.stage, i.place) < (excluded.stage, excluded.place) RETURNING invoice_id",
        [row.invoice.invoice_id for row in rows],
        [row.account for row in rows],
        [row.stage for row in rows],
        [row.place for row in rows],
        [encode(head_of(row)) for row in rows],
    )
    ids = {row["invoice_id"] for row in kept}
    return [row for row in rows if row.invoice.invoice_id in ids]


async def heads_of(driver: asyncpg.Connection, invoice_ids: Iterable[str]) -> dict[str, tuple[str, Head]]:
    """Return (account, head) of the invoices that have come, by id."""
    rows = await driver.fetch(
        "SELECT invoice_id, account, head FROM crm_sync.invoice WHERE invoice_id = ANY($1::text[])", list(invoice_ids)
    )
    return {row["invoice_id"]: (row["account"], _head.decode(row["head"])) for row in rows}


async def movements_of(driver: asyncpg.Connection, invoice_ids: Iterable[str]) -> dict[str, list[Movement]]:
    """Return what the journals have done to each invoice, by kind of journal."""
    rows = await driver.fetch(
        "SELECT invoice_id, kind, sum(amount_minor)::bigint AS amount_minor, "
        "max(effective_on) FILTER (WHERE amount_minor < 0) AS settled_on "
        "FROM crm_sync.receivable WHERE invoice_id = ANY($1::text[]) GROUP BY invoice_id, kind ORDER BY 1, 2",
        list(invoice_ids),
    )
    found: dict[str, list[Movement]] = {}
    for row in rows:
        movement = Movement(kind=row["kind"], amount_minor=row["amount_minor"], settled_on=row["settled_on"])
        found.setdefault(row["invoice_id"], []).append(movement)
    return found


async def shown_of(
    driver: asyncpg.Connection, accounts: Iterable[str]
) -> list[tuple[str, str | None, date | None, dict[tuple[str, str, str], Decimal | None]]]:
    """Return (account, currency, next invoice, KPIs by name, window and currency) of accounts that are known."""
    names = list(accounts)
    kpis: dict[str, dict[tuple[str, str, str], Decimal | None]] = {}
    for row in await driver.fetch("SELECT * FROM crm_sync.kpi WHERE account = ANY($1::text[])", names):
        kpis.setdefault(row["account"], {})[row["kpi"], row["window"], row["currency"]] = row["value"]
    rows = await driver.fetch(
        "SELECT account, currency, next_invoice_on FROM crm_sync.account "
        "WHERE account = ANY($1::text[]) AND versions IS NOT NULL ORDER BY account",
        names,
    )
    return [(row["account"], row["currency"], row["next_invoice_on"], kpis.get(row["account"], {})) for row in rows]


def _newest(facts: Sequence[Found], key: Callable[[Found], Any], place: Callable[[Found], Any]) -> list[Found]:
    """Return the newest fact of each key, in the order of the keys."""
    newest: dict[Any, Found] = {}
    for fact in facts:
        known = newest.get(key(fact))
        if known is None or place(known) < place(fact):
            newest[key(fact)] = fact
    return [newest[name] for name in sorted(newest)]
