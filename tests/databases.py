"""Migrated, empty databases for tests, emptied and given out again instead of being made anew.

Place     tests/conftest.py `database_url` -> [this] -> the session's server.
Why       A database of ours is some 830 files: to copy the template and to drop the copy costs more than most tests do.
          Emptying touches only what the test has written.
Rules     The next test finds what the template holds and nothing else: rows, sequences, catalog. A database that cannot
          be shown to be so (its catalog has changed, somebody is still connected) is dropped.
"""

import asyncio
import inspect
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import asyncpg

LEAVING_SECONDS = 1.0
"""A backend ends a moment after its client has closed the connection."""

CATALOG = """
SELECT md5(string_agg(fact, ',' ORDER BY fact)) FROM (
    SELECT format('class %s %s %s %s %s', oid, relname, relnamespace, reloptions, relacl) FROM pg_class
     WHERE relkind <> 't' AND relpersistence <> 't'
    UNION ALL SELECT format('column %s %s %s %s %s %s', attrelid, attnum, attname, atttypid, attnotnull, atthasdef)
      FROM pg_attribute
    UNION ALL SELECT format('default %s %s', oid, adbin) FROM pg_attrdef
    UNION ALL SELECT format('constraint %s %s %s', oid, conname, convalidated) FROM pg_constraint
    UNION ALL SELECT format('trigger %s %s', oid, tgenabled) FROM pg_trigger
    UNION ALL SELECT format('function %s %s', oid, xmin) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT format('schema %s %s', nspname, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT format('setting %s', setconfig) FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS facts (fact)
"""
"""What a database can hold beyond rows, in one figure."""

TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
 WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname !~ '^pg_temp' ORDER BY 1
"""

SEQUENCES = """
SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences ORDER BY 1
"""


@dataclass(frozen=True)
class Template:
    """What a fresh copy holds: its catalog as one figure, all its tables, and the rows that the migrations wrote."""

    catalog: str
    tables: tuple[str, ...]
    rows: dict[str, str]
    sequences: dict[str, int | None]

    @classmethod
    async def read(cls, url: str) -> "Template":
        """Read it from a copy that nobody has used."""
        connection = await asyncpg.connect(url)
        try:
            tables = tuple(row[0] for row in await connection.fetch(TABLES))
            rows = {name: await _rows(connection, name) for name in await _filled(connection, tables)}
            return cls(await connection.fetchval(CATALOG), tables, rows, dict(await connection.fetch(SEQUENCES)))
        finally:
            await connection.close()


@dataclass
class Databases:
    """Gives out databases like `template`, by URL; one that is given back clean is given out again."""

    server: str
    template: str
    _free: list[str] = field(default_factory=list)
    _known: Template | None = None

    def take(self) -> str:
        """Return the URL of a migrated, empty database that nobody else has."""
        if self._free:
            return self._free.pop()
        name = f"test_{uuid.uuid4().hex[:12]}"
        execute(self.server, f"create database {name} template {self.template}")
        url = with_database(self.server, name)
        if self._known is None:
            self._known = run_anywhere(lambda: Template.read(url))
        return url

    def give_back(self, url: str) -> None:
        """Empty the database at `url`, or drop it where that cannot be done for certain."""
        known = self._known
        assert known is not None, "it was taken from here"
        if run_anywhere(lambda: _emptied(self.server, url, known)):
            self._free.append(url)
        else:
            self._drop(url)

    def close(self) -> None:
        """Drop those that are free."""
        while self._free:
            self._drop(self._free.pop())

    def _drop(self, url: str) -> None:
        execute(self.server, f"drop database {_name(url)} with (force)")


async def _emptied(server: str, url: str, known: Template) -> bool:
    """Bring the database to what the template holds; return whether it certainly is."""
    if not await _alone(server, _name(url)):
        return False
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval(CATALOG) != known.catalog:
            return False
        async with connection.transaction():
            await _restore(connection, known)
        return True
    finally:
        await connection.close()


async def _restore(connection: asyncpg.Connection, known: Template) -> None:
    await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers, no order among tables
    changed = [
        name
        for name in await _filled(connection, known.tables)
        if name not in known.rows or await _rows(connection, name) != known.rows[name]
    ]
    if changed:
        await connection.execute(f"TRUNCATE {', '.join(changed)} CASCADE")  # with what refers to them
    filled = await _filled(connection, tuple(known.rows))
    for name in known.rows.keys() - filled:
        await connection.execute(
            f"INSERT INTO {name} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::{name}, $1)",
            known.rows[name],
        )
    for name, value in await connection.fetch(SEQUENCES):
        if value != known.sequences.get(name):
            await connection.execute("SELECT setval($1::text::regclass, $2, $3)", name, *_position(known, name))


def _position(known: Template, sequence: str) -> tuple[int, bool]:
    """Return what setval takes: the value, and whether it has been given out."""
    value = known.sequences.get(sequence)
    return (1, False) if value is None else (value, True)


async def _alone(server: str, database: str) -> bool:
    """Return whether nobody is connected to `database`, after a moment at most."""
    connection = await asyncpg.connect(server)
    try:
        until = asyncio.get_running_loop().time() + LEAVING_SECONDS
        while await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", database):
            if asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(0.02)
        return True
    finally:
        await connection.close()


async def _filled(connection: asyncpg.Connection, tables: tuple[str, ...]) -> set[str]:
    """Return those of `tables` that hold a row."""
    looks = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables)
    return {row[0] for row in await connection.fetch(" UNION ALL ".join(looks))} if tables else set()


async def _rows(connection: asyncpg.Connection, table: str) -> str:
    rows: str = await connection.fetchval(f"SELECT json_agg(t ORDER BY t::text)::text FROM {table} AS t")
    return rows


def execute(server: str, statement: str) -> None:
    """Run one statement in a session of its own."""

    async def run() -> None:
        connection = await asyncpg.connect(server)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    run_anywhere(run)


def run_anywhere(work: Callable[[], Any]) -> Any:
    """Call `work` in a thread of its own and, if it gives a coroutine, run that on a loop of its own."""

    def call() -> Any:
        result = work()
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(call).result()


def with_database(url: str, name: str) -> str:
    """Return `url` with another database in it."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
