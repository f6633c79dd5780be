"""SQL of what was billed of each period of an item, and of the periods that are to be looked at again.

Place     changes, due, billing, and a void with reissue -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from fakturo.consumers.invoicing.groups import Entry
from fakturo.engine.corrections import BilledSlice
from fakturo.engine.invoicing import BilledItem
from fakturo.engine.money import allocate
from fakturo.engine.periods import Period
from fakturo.engine.tax.positions import TaxPosition
from fakturo.schemas.events.invoices import LineTax


@dataclass(slots=True)
class Billed:
    """The lines of an item's period in the order in which they were billed, and those that count no more.

    `credited_minor` is what was credited of the lines by request, as rated (gross where prices include tax). A period
    is `settled` where all its lines are on void invoices that were not issued again: nothing of it is owed.
    """

    lines: list[BilledSlice] = field(default_factory=list)
    taken: list[BilledItem] = field(default_factory=list)
    credited_minor: int = 0
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRow:
    """A period to look at again; `due_at` and `payer_id` are None until it is known on which invoice."""

    item: str
    period: Period
    known_at: datetime
    at_once: bool = False
    running: bool = False
    reissues: str | None = None
    payer_id: str | None = None
    due_at: datetime | None = None
    ready_at: datetime | None = None


async def mark(driver: asyncpg.Connection, rows: Sequence[CorrectionRow]) -> None:
    """Note periods to look at again; one that is noted already, or that is on a draft (made anew anyway), stays."""
    ordered = sorted(rows, key=lambda row: (row.item, row.period))
    await driver.execute(
        "INSERT INTO invoicing.correction (subscription_item, period_start_at, period_end_at, known_watermark_at, "
        "at_once, running, reissues) SELECT m.* FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], "
        "$4::timestamptz[], $5::boolean[], $6::boolean[], $7::text[]) "
        "AS m(item, start_at, end_at, known_at, at_once, running, reissues) WHERE NOT EXISTS ("
        "SELECT FROM invoicing.draft_item d WHERE d.subscription_item = m.item AND d.period_start_at = m.start_at) "
        "ON CONFLICT (subscription_item, period_start_at) DO UPDATE SET "
        "at_once = correction.at_once OR excluded.at_once, running = correction.running AND excluded.running, "
        "reissues = coalesce(correction.reissues, excluded.reissues)",
        [row.item for row in ordered],
        [row.period.start_at for row in ordered],
        [row.period.end_at for row in ordered],
        [row.known_at for row in ordered],
        [row.at_once for row in ordered],
        [row.running for row in ordered],
        [row.reissues for row in ordered],
    )
    await driver.execute(
        "UPDATE invoicing.draft d SET stale = true FROM invoicing.draft_item i JOIN unnest($1::text[], "
        "$2::timestamptz[]) AS m(item, start_at) ON i.subscription_item = m.item AND i.period_start_at = m.start_at "
        "WHERE d.invoice_id = i.invoice_id",
        [row.item for row in ordered],
        [row.period.start_at for row in ordered],
    )


async def unassigned(driver: asyncpg.Connection, before: datetime, limit: int) -> list[CorrectionRow]:
    """Return up to `limit` corrections of before `before` of which it is not said on which invoice they go."""
    rows = await driver.fetch(
        "SELECT * FROM invoicing.correction WHERE ready_at IS NULL AND known_watermark_at < $1 "
        "ORDER BY known_watermark_at, subscription_item, period_start_at LIMIT $2 FOR UPDATE",
        before,
        limit,
    )
    return [_correction(row) for row in rows]


async def assign(driver: asyncpg.Connection, rows: Sequence[CorrectionRow]) -> None:
    """Set payer, instant of the document and when it is billed."""
    await driver.execute(
        "UPDATE invoicing.correction c SET payer_id = m.payer_id, due_at = m.due_at, ready_at = m.ready_at "
        "FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[]) "
        "AS m(item, start_at, payer_id, due_at, ready_at) "
        "WHERE c.subscription_item = m.item AND c.period_start_at = m.start_at",
        [row.item for row in rows],
        [row.period.start_at for row in rows],
        [row.payer_id for row in rows],
        [row.due_at for row in rows],
        [row.ready_at for row in rows],
    )


async def ready(driver: asyncpg.Connection, at: datetime, limit: int) -> list[CorrectionRow]:
    """Lock and return what is ready at `at` of the payers of the `limit` oldest ones that this step has not tried."""
    rows = await driver.fetch(
        "SELECT * FROM invoicing.correction WHERE payer_id IN (SELECT payer_id FROM invoicing.correction "
        "WHERE ready_at <= $1 AND (tried_at IS NULL OR tried_at < $1) ORDER BY ready_at, payer_id LIMIT $2) "
        "AND ready_at <= $1 ORDER BY subscription_item, period_start_at FOR UPDATE",
        at,
        limit,
    )
    return [_correction(row) for row in rows]


async def ready_of(driver: asyncpg.Connection, payer_ids: Iterable[str], at: datetime) -> list[CorrectionRow]:
    """Lock and return what is ready of the payers at `at`: it rides on their invoices."""
    rows = await driver.fetch(
        "SELECT * FROM invoicing.correction WHERE payer_id = ANY($1::text[]) AND ready_at <= $2 "
        "ORDER BY subscription_item, period_start_at FOR UPDATE",
        sorted(set(payer_ids)),
        at,
    )
    return [_correction(row) for row in rows]


async def mark_tried(driver: asyncpg.Connection, entries: Iterable[Entry], to: datetime) -> None:
    """Note that this tick found the corrections waiting."""
    keys = sorted(entry.key for entry in entries)
    await driver.execute(
        "UPDATE invoicing.correction c SET tried_at = $3 FROM unnest($1::text[], $2::timestamptz[]) "
        "AS m(item, start_at) WHERE c.subscription_item = m.item AND c.period_start_at = m.start_at",
        [key[0] for key in keys],
        [key[1] for key in keys],
        to,
    )


async def drop(driver: asyncpg.Connection, keys: Iterable[tuple[str, datetime]]) -> None:
    """Forget periods to look at again: they have been."""
    ordered = sorted(keys)
    await driver.execute(
        "DELETE FROM invoicing.correction c USING unnest($1::text[], $2::timestamptz[]) AS m(item, start_at) "
        "WHERE c.subscription_item = m.item AND c.period_start_at = m.start_at",
        [key[0] for key in ordered],
        [key[1] for key in ordered],
    )


async def save_billed_periods(driver: asyncpg.Connection, entries: Iterable[Entry]) -> None:
    """Note periods as billed, so that later changes are held against them."""
    ordered = sorted((entry.row.key, entry.period.start_at, entry.period.end_at) for entry in entries)
    await driver.execute(
        "INSERT INTO invoicing.billed_period SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) "
        "ON CONFLICT DO NOTHING",
        [row[0] for row in ordered],
        [row[1] for row in ordered],
        [row[2] for row in ordered],
    )


async def billed_periods(driver: asyncpg.Connection, items: Iterable[str]) -> dict[str, list[Period]]:
    """Return the billed periods of each item, oldest first.

    A period whose lines are all on void invoices that were not issued again is settled: nothing of it is owed, so no
    change of it is billed or credited.
    """
    rows = await driver.fetch(
        "SELECT b.* FROM invoicing.billed_period b WHERE subscription_item = ANY($1::text[]) AND NOT coalesce(("
        "SELECT bool_and(i.status = 'void') FROM invoicing.invoice_line l JOIN invoicing.invoice i USING (invoice_id) "
        "WHERE l.subscription_item = b.subscription_item AND l.item_period_start_at = b.period_start_at "
        "AND l.counts), false) ORDER BY subscription_item, period_start_at",
        sorted(set(items)),
    )
    found: dict[str, list[Period]] = {}
    for row in rows:
        period = Period(start_at=row["period_start_at"], end_at=row["period_end_at"])
        found.setdefault(row["subscription_item"], []).append(period)
    return found


async def first_billed(driver: asyncpg.Connection, items: Iterable[str]) -> dict[str, Period]:
    """Return the first billed period of each item; absent where nothing was billed."""
    rows = await driver.fetch(
        "SELECT DISTINCT ON (subscription_item) * FROM invoicing.billed_period "
        "WHERE subscription_item = ANY($1::text[]) ORDER BY subscription_item, period_start_at",
        sorted(set(items)),
    )
    return {
        row["subscription_item"]: Period(start_at=row["period_start_at"], end_at=row["period_end_at"]) for row in rows
    }


async def billed_before(driver: asyncpg.Connection, entries: Iterable[Entry]) -> dict[tuple[str, datetime], datetime]:
    """Return where the billed period before each entry ended; absent where none was."""
    keys = sorted({entry.key for entry in entries})
    rows = await driver.fetch(
        "SELECT w.item, w.start_at, b.period_end_at FROM unnest($1::text[], $2::timestamptz[]) AS w(item, start_at), "
        "LATERAL (SELECT period_end_at FROM invoicing.billed_period WHERE subscription_item = w.item "
        "AND period_start_at < w.start_at ORDER BY period_start_at DESC LIMIT 1) b",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {(row["item"], row["start_at"]): row["period_end_at"] for row in rows}


async def passed_over(driver: asyncpg.Connection, periods: Sequence[tuple[str, Period]]) -> set[tuple[str, datetime]]:
    """Return item and start of those of `periods` that lie behind what was billed of the item, and were not billed.

    The pointer of an item does not move past a period that has no statement, so their service began earlier than was
    known when the later ones were billed.
    """
    rows = await driver.fetch(
        "SELECT p.item, p.start_at FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) "
        "AS p(item, start_at, end_at) JOIN invoicing.subscription_item i ON i.subscription_item = p.item "
        "AND i.billed_until_at >= p.end_at WHERE NOT EXISTS (SELECT FROM invoicing.billed_period b "
        "WHERE b.subscription_item = p.item AND b.period_start_at = p.start_at)",
        [item for item, _ in periods],
        [period.start_at for _, period in periods],
        [period.end_at for _, period in periods],
    )
    return {(row["item"], row["start_at"]) for row in rows}


async def find_billed(driver: asyncpg.Connection, entries: Iterable[Entry]) -> dict[tuple[str, datetime], Billed]:
    """Return what was billed of each entry; absent where nothing was."""
    keys = sorted({entry.key for entry in entries})
    rows = await driver.fetch(
        "SELECT l.*, i.status = 'void' AS is_void FROM invoicing.invoice_line l JOIN invoicing.invoice i "
        "USING (invoice_id) JOIN unnest($1::text[], $2::timestamptz[]) AS w(item, start_at) "
        "ON l.subscription_item = w.item AND l.item_period_start_at = w.start_at "
        "ORDER BY l.subscription_item, l.period_start_at, l.sequence",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    found: dict[tuple[str, datetime], Billed] = {}
    for row in rows:
        billed = found.setdefault((row["subscription_item"], row["item_period_start_at"]), Billed())
        line = _line(row)
        if row["counts"]:
            billed.settled = row["is_void"] and (billed.settled or not billed.lines)
            taxed = TaxPosition(row["amount_minor"] + sum(row["discount_shares"]), row["tax_minor"])
            billed.lines.append(
                BilledSlice(line=line, line_id=row["line_id"], invoice_id=row["invoice_id"], taxed=taxed)
            )
            if row["credited_minor"]:
                part = allocate(
                    row["rated_minor"], (row["credited_minor"], row["amount_minor"] - row["credited_minor"])
                )
                billed.credited_minor += part[0]
        else:
            billed.taken.append(line)
    return found


def _line(row: asyncpg.Record) -> BilledItem:
    return BilledItem(
        subscription_item=row["subscription_item"],
        product_code=row["product_code"],
        description=row["description"],
        explanation=row["explanation"],
        quantity=row["quantity"],
        amount_exact=row["amount_exact"],
        amount_minor=row["rated_minor"],
        period=Period(start_at=row["period_start_at"], end_at=row["period_end_at"]),
        tax=LineTax(
            category=row["tax_category"],
            rate_percent=row["tax_rate_percent"],
            country=row["tax_country"],
            prices_include_tax=row["prices_include_tax"],
        ),
        price_hash=row["price_hash"] or "",
        unit=row["unit"],
        kind=row["kind"],
        account=row["used_by"],
        cost_centre=row["cost_centre"],
        corrects=row["corrects"],
        corrects_invoice=row["corrects_invoice"],
        item_period=Period(start_at=row["item_period_start_at"], end_at=row["item_period_end_at"]),
        sequence=row["sequence"],
    )


def _correction(row: asyncpg.Record) -> CorrectionRow:
    return CorrectionRow(
        item=row["subscription_item"],
        period=Period(start_at=row["period_start_at"], end_at=row["period_end_at"]),
        known_at=row["known_watermark_at"],
        at_once=row["at_once"],
        running=row["running"],
        reissues=row["reissues"],
        payer_id=row["payer_id"],
        due_at=row["due_at"],
        ready_at=row["ready_at"],
    )
