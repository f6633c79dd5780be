"""Writes the compared columns of a run's books to files, one a table, and compares two such folders byte by byte.

Place     compared.py -> [this] -> test_storm.py.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import asyncpg
import msgspec

from fakturo.consumers.usage.segments import unpack
from fakturo.schemas.codec import encode
from tests.storm.compared import COMPARED, NOT_COMPARED, Table

LINES_SHOWN = 12
EVENTS = "usage.event"
"""The file of the stored usage events, decoded: their table holds them in segments, as the batches fell."""

_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

_TABLES = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('usage', 'invoicing', 'ledger', 'kpi', 'crm_sync')
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A table whose bytes differ, with the first lines that do."""

    table: str
    lines: tuple[str, ...]


async def undecided(connection: asyncpg.Connection) -> list[str]:
    """Return every table, and every column of the compared ones, of which tables/ does not say what is done."""
    tables = {row[0] for row in await connection.fetch(_TABLES)}
    found = sorted(tables ^ {*(table.name for table in COMPARED), *NOT_COMPARED})
    for table in COMPARED:
        there = {row[0] for row in await connection.fetch(_COLUMNS, table.name)}
        decided = set(table.columns) | set(table.left_out)
        found += [f"{table.name}.{column}" for column in sorted(there ^ decided)]
    return found


async def dump(connection: asyncpg.Connection, folder: Path) -> dict[str, int]:
    """Write each compared table to `<folder>/<table>.csv`, sorted; return table -> number of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for table in COMPARED:
        path = folder / f"{table.name}.csv"
        with path.open("wb") as file:
            await connection.copy_from_query(_query(table), output=file, format="csv", header=True, null="NULL")
        counts[table.name] = path.read_bytes().count(b"\n") - 1
    counts[EVENTS] = await _dump_events(connection, folder / f"{EVENTS}.csv")
    return counts


async def _dump_events(connection: asyncpg.Connection, path: Path) -> int:
    """Write every stored event, by identity, but for its offset: a driver that had to send again moves it."""
    lines = []
    async with connection.transaction():
        async for row in connection.cursor("SELECT content FROM usage.segment", prefetch=100):
            for one in unpack(row["content"]):
                known = [one.account_id, one.type, one.at, one.late, one.recorded_at, one.partition, one.watermark_at]
                lines.append(encode([one.source, one.id, *known, msgspec.json.decode(one.data)]))
    path.write_bytes(b"\n".join([*sorted(lines), b""]))
    return len(lines)


def compare(calm: Path, storm: Path) -> list[Difference]:
    """Return the tables whose files differ by as much as a byte."""
    found = []
    for name in (*(table.name for table in COMPARED), EVENTS):
        one, other = ((folder / f"{name}.csv").read_bytes() for folder in (calm, storm))
        if one != other:
            found.append(Difference(table=name, lines=tuple(islice(_differing(one, other), LINES_SHOWN))))
    return found


def _differing(calm: bytes, storm: bytes) -> Iterator[str]:
    """Yield the lines that one of them alone has, by content: both are sorted, and may be a million lines."""
    in_calm, in_storm = Counter(calm.splitlines()), Counter(storm.splitlines())
    alone = [(line, "calm ") for line in (in_calm - in_storm).elements()]
    alone += [(line, "storm") for line in (in_storm - in_calm).elements()]
    for line, where in sorted(alone):
        yield f"{where} {line.decode()}"


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of all files of `folder` by name."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _query(table: Table) -> str:
    """Return the statement that gives the compared columns, rows in the order of all of them."""
    columns = ", ".join(_expression(table, column) for column in table.columns)
    places = ", ".join(str(number) for number in range(1, len(table.columns) + 1))
    where = f" WHERE {table.where}" if table.where else ""
    return f"SELECT {columns} FROM {table.name}{where} ORDER BY {places}"


def _expression(table: Table, column: str) -> str:
    without = "".join(f" - '{key}'" for key in table.without.get(column, ()))
    return f'"{column}"::jsonb{without}' if without else f'"{column}"'
