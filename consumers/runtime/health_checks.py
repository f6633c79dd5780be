"""What `/readyz` asks: is the database there, are its migrations the code's, does a broker answer.

Place     agents' and the relay's process main gives these to `HealthServer`.
"""

import asyncio
import re
from contextlib import suppress
from importlib.resources import files

import asyncpg

from fakturo.consumers.runtime.health import Check, Health
from fakturo.consumers.runtime.settings import Settings

CONNECT_SECONDS_MAX = 2.0
_REVISION = re.compile(r"^(\d{4})_\w+\.py$")


def driver_url(database_url: str) -> str:
    """Return the address as asyncpg reads it (SQLAlchemy's names a driver in the scheme)."""
    return database_url.replace("postgresql+asyncpg://", "postgresql://", 1)


def code_revision() -> str:
    """Return the newest migration of the installed code; migrations are linear and numbered in their file names."""
    names = (entry.name for entry in files("fakturo.migrations.versions").iterdir())
    return max(found.group(1) for name in names if (found := _REVISION.match(name)))


async def database_revision(connection: asyncpg.Connection) -> str | None:
    """Return the revision that the database stands at, None before the first migration."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    found = await connection.fetchval("SELECT version_num FROM alembic_version")
    return None if found is None else str(found)


def database_check(settings: Settings) -> Check:
    """Return a check that the database answers and has had all migrations."""

    async def check() -> tuple[bool, str]:
        connection = await asyncpg.connect(driver_url(settings.database_url), timeout=CONNECT_SECONDS_MAX)
        try:
            found, wanted = await database_revision(connection), code_revision()
        finally:
            await connection.close(timeout=CONNECT_SECONDS_MAX)
        if found != wanted:
            return False, f"the database answers, its migrations stand at {found}, the code wants {wanted}"
        return True, f"the database answers, migrations at {found}"

    return check


def broker_check(settings: Settings) -> Check:
    """Return a check that one of the bootstrap servers takes connections."""

    async def check() -> tuple[bool, str]:
        for server in settings.kafka.split(","):
            host, _, port = server.strip().rpartition(":")
            with suppress(OSError, TimeoutError):
                opening = asyncio.open_connection(host.strip("[]") or "localhost", int(port))
                _, writer = await asyncio.wait_for(opening, CONNECT_SECONDS_MAX / 2)
                writer.close()
                return True, f"{server.strip()} takes connections"
        return False, f"none of {settings.kafka} takes connections"

    return check


def agent_checks(health: Health, settings: Settings) -> dict[str, Check]:
    """Return the checks of an agent's process."""

    async def assignment() -> tuple[bool, str]:
        return health.assignment()

    return {"database": database_check(settings), "broker": broker_check(settings), "assignment": assignment}
