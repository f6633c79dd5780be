"""What Postgres itself refuses, whoever writes: hand-written SQL, no code of the agent."""

import asyncpg
import pytest

JOURNAL = (
    "WITH head AS (INSERT INTO ledger.journal VALUES ($1, 'finalized', 'UA', 'invoice', $1, '2026-03-01', now(), $2)) "
    "INSERT INTO ledger.line VALUES "
)
OWED = "($1, 1, '1200', 'UA', 'EUR', 100, NULL)"


@pytest.mark.parametrize(
    ("lines", "line_count", "message"),
    [
        (f"{OWED}, ($1, 2, '4000', NULL, 'EUR', -99, NULL)", 2, "does not balance"),
        (f"{OWED}, ($1, 2, '4000', NULL, 'USD', -100, NULL)", 2, "does not balance"),
        (f"{OWED}, ($1, 2, '4000', NULL, 'EUR', -100, NULL)", 3, "all its lines"),
        (f"{OWED}, ($1, 3, '4000', NULL, 'EUR', -100, NULL)", 2, "all its lines"),
        (f"{OWED}, ($1, 2, '4000', 'UA', 'EUR', -100, NULL)", 2, "kept by customer"),
        ("($1, 1, '1200', NULL, 'EUR', 100, NULL), ($1, 2, '4000', NULL, 'EUR', -100, NULL)", 2, "kept by customer"),
        (f"{OWED}, ($1, 2, '9999', NULL, 'EUR', -100, NULL)", 2, "not in the chart"),
        (f"{OWED}, ($1, 2, '4000', NULL, 'EUR', -100, NULL), ($1, 3, '2100', NULL, 'EUR', 0, NULL)", 3, "amount_minor"),
        (f"{OWED}, ($1, 2, '4000', NULL, 'eur', -100, NULL)", 2, "currency"),
    ],
)
async def test_a_journal_that_is_wrong_is_refused(connection, lines, line_count, message):
    with pytest.raises(asyncpg.CheckViolationError, match=message):
        await connection.execute(JOURNAL + lines, "j1", line_count)
    assert await connection.fetchval("SELECT count(*) FROM ledger.journal") == 0


async def _right(connection, journal_id="j1"):
    await connection.execute(f"{JOURNAL}{OWED}, ($1, 2, '4000', NULL, 'EUR', -100, NULL)", journal_id, 2)


async def test_a_journal_without_lines_is_refused(connection):
    with pytest.raises(asyncpg.CheckViolationError, match="has no lines"):
        await connection.execute(
            "INSERT INTO ledger.journal VALUES ('j1', 'k', 'UA', 'invoice', 'i', '2026-03-01', now(), 2)"
        )


async def test_no_leg_can_be_added_to_a_journal_later(connection):
    await _right(connection)
    with pytest.raises(asyncpg.CheckViolationError, match="all its lines"):
        await connection.execute(
            "INSERT INTO ledger.line VALUES ('j1', 3, '1200', 'UA', 'EUR', 5, NULL), "
            "('j1', 4, '4000', NULL, 'EUR', -5, NULL)"
        )


async def test_one_source_gets_one_journal_of_a_kind(connection):
    await _right(connection)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "WITH head AS (INSERT INTO ledger.journal VALUES "
            "('j2', 'finalized', 'UA', 'invoice', 'j1', '2026-03-01', now(), 2)) INSERT INTO ledger.line VALUES "
            "('j2', 1, '1200', 'UA', 'EUR', 1, NULL), ('j2', 2, '4000', NULL, 'EUR', -1, NULL)"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.line SET amount_minor = amount_minor * 2",
        "UPDATE ledger.line SET invoice_id = 'x' WHERE invoice_id IS NULL",
        "DELETE FROM ledger.line",
        "TRUNCATE ledger.line",
        "UPDATE ledger.journal SET account = 'DL'",
        "DELETE FROM ledger.journal",
        "UPDATE ledger.allocation SET amount_minor = 1",
    ],
)
async def test_what_is_booked_cannot_be_changed(connection, statement):
    await _right(connection)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await connection.execute(statement)


@pytest.mark.parametrize("open_minor", [-1, 12_001])
async def test_an_invoice_is_never_open_below_zero_nor_above_its_total(desk, open_minor):
    await desk.hand_in(desk.invoice("i1"))
    with pytest.raises(asyncpg.CheckViolationError):
        await desk.connection.execute("UPDATE ledger.invoice SET open_minor = $1", open_minor)


async def test_the_chart_in_postgres_is_the_chart_of_the_posting_rules(connection):
    from fakturo.engine.postings import CHART

    rows = await connection.fetch("SELECT code, name, by_party FROM ledger.account")
    assert {(row["code"], row["name"], row["by_party"]) for row in rows} == {
        (account.code, account.name, account.by_party) for account in CHART.values()
    }
