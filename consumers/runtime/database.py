"""The database of an agent: a small pool, transactions with SQLAlchemy and asyncpg in one, and the migrations.

Place     processor, watermark and the command line -> [this] -> Postgres.
Timeouts  every statement and every wait for a lock ends by itself, so a frozen worker cannot hold the others: its
          transaction is ended by the server, its batch is refused by the cursor.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import cast

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from fakturo.consumers.runtime.health_checks import code_revision, database_revision, driver_url

CONNECT_SECONDS_MAX = 5.0
STATEMENT_SECONDS_MAX = 60.0
LOCK_SECONDS_MAX = 5.0
IDLE_SECONDS_MAX = 30.0
"""A transaction that does nothing for this long is a frozen worker's: the server ends it."""
MIGRATION_LOCK = 0x66616B74  # "fakt"
MIGRATION_SECONDS_MAX = 600.0


class Database:
    """A pool of connections; opened on first use."""

    def __init__(self, url: str, *, statement_seconds: float = STATEMENT_SECONDS_MAX, pool_size: int = 4) -> None:
        self.engine: AsyncEngine = create_async_engine(
            engine_url(url),
            pool_size=pool_size,
            max_overflow=2,
            pool_timeout=10,
            isolation_level="READ COMMITTED",
            json_deserializer=str,  # jsonb arrives as text, as asyncpg gives it: msgspec reads it into structs
            connect_args={
                "timeout": CONNECT_SECONDS_MAX,
                "command_timeout": statement_seconds + CONNECT_SECONDS_MAX,
                "server_settings": {
                    "application_name": "fakturo",
                    "statement_timeout": _milliseconds(statement_seconds),
                    "lock_timeout": _milliseconds(LOCK_SECONDS_MAX),
                    "idle_in_transaction_session_timeout": _milliseconds(IDLE_SECONDS_MAX),
                    "timezone": "UTC",
                    "jit": "off",
                },
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection]]:
        """Begin; give SQLAlchemy's connection and the driver's own in the same transaction; commit, or roll back."""
        async with self.engine.begin() as sql:
            # SQLAlchemy sends its BEGIN with the first statement that goes through it; the driver's would be outside.
            await sql.execute(text("SELECT 1"))
            raw = await sql.get_raw_connection()
            yield sql, cast(asyncpg.Connection, raw.driver_connection)

    async def forget_connections(self) -> None:
        """Drop the pooled connections: after an error of the world they may be dead."""
        with suppress(SQLAlchemyError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.wait_for(self.engine.dispose(), CONNECT_SECONDS_MAX)

    async def close(self) -> None:
        """Close every connection."""
        await self.forget_connections()


def engine_url(url: str) -> URL:
    """Return `url` (postgres://, postgresql://, postgresql+asyncpg://) as SQLAlchemy wants it."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ValueError("DATABASE_URL must begin with postgresql://")
    return make_url(f"postgresql+asyncpg://{rest}")


def migrate(url: str) -> None:
    """Bring the database to the newest migration; many processes may call this at the same time.

    Runs an event loop of its own: call it outside of one, or in a thread.
    """
    asyncio.run(_migrate(url))


def head() -> str:
    """Return the newest migration of the installed code."""
    return code_revision()


async def is_current(url: str) -> bool:
    """Return whether the database has had every migration of the installed code.

    Raises:
        OSError, asyncpg.PostgresError: the database does not answer.
    """
    connection = await asyncpg.connect(driver_url(url), timeout=CONNECT_SECONDS_MAX)
    try:
        return await database_revision(connection) == head()
    finally:
        await connection.close(timeout=CONNECT_SECONDS_MAX)


async def _migrate(url: str) -> None:
    if await is_current(url):
        return
    engine = create_async_engine(engine_url(url), poolclass=NullPool, connect_args={"timeout": CONNECT_SECONDS_MAX})
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = {_milliseconds(MIGRATION_SECONDS_MAX)}"))
            # The lock is the transaction's: who waited here finds the work done, and alembic has nothing to do.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # imported late: agents start without it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("fakturo.migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
