"""`fakturo salesforce parked`: what waits for an administrator, in sentences.

Place     contracts.incomplete (what cannot be billed yet), crm_sync.written and crm_sync.hold (what the org did not
          take) -> [this]. All of it is released by itself once it is mended in Salesforce.
"""

from pathlib import Path
from typing import Any

import asyncpg

from fakturo.cli.connect import read_books
from fakturo.cli.output import console, print_json, table_of

_UNBILLED = """
SELECT DISTINCT entity, record_id, message, min(recorded_at) OVER (PARTITION BY entity, record_id, message) AS since
  FROM contracts.incomplete ORDER BY entity, record_id, message
"""
_UNWRITTEN = """
SELECT entity, key AS record_id, failure AS message, changed_at AS since
  FROM crm_sync.written WHERE failure IS NOT NULL AND dirty ORDER BY entity, key
"""
_HELD = (
    "SELECT entity, '' AS record_id, failure AS message, NULL::timestamptz AS since FROM crm_sync.hold ORDER BY entity"
)
_WAITING = """
SELECT account, count(*) AS rows FROM crm_sync.written WHERE held = 'account_unknown' GROUP BY account ORDER BY account
"""


def run_parked(home: Path, *, as_json: bool) -> None:
    """Print what waits; the books must run."""
    rows = read_books(home, parked_rows)
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.print("Nothing waits for an administrator.")
        return
    shown = [{name: row[name] for name in ("what", "record", "message", "since")} for row in rows]
    console.print(table_of("Parked", ["what", "record", "message", "since"], shown))


async def parked_rows(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """Return what waits: `what` is billing or write_back, then object, record, sentence and since when."""
    unbilled = [_row("billing", row) for row in await connection.fetch(_UNBILLED)]
    unwritten = [_row("write_back", row) for query in (_HELD, _UNWRITTEN) for row in await connection.fetch(query)]
    waiting = [
        {
            "what": "write_back",
            "entity": "Account",
            "record": row["account"],
            "message": f"Account {row['account']}: {row['rows']} records wait for it; it is not known from Salesforce.",
            "since": None,
        }
        for row in await connection.fetch(_WAITING)
    ]
    return [*unbilled, *unwritten, *waiting]


def _row(what: str, row: asyncpg.Record) -> dict[str, Any]:
    return {
        "what": what,
        "entity": row["entity"],
        "record": row["record_id"],
        "message": row["message"],
        "since": row["since"],
    }
