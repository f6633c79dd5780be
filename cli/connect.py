"""How a command finds the books: DATABASE_URL, or the embedded database under `home`, which must be running.

Place     every command that reads books -> [this] -> Postgres, in one read-only snapshot.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg

from fakturo.cli.stack import Stack, StackFault
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.health_checks import driver_url
from fakturo.consumers.runtime.settings import Settings, load_settings

Result = TypeVar("Result")


def environment_of(home: Path) -> dict[str, str]:
    """Return FAKTURO_KAFKA, DATABASE_URL and FAKTURO_HOME of the stack under `home`.

    Raises:
        SettingsFault: nothing runs there; the text says what to do.
    """
    stack = Stack(home)
    try:
        environment = stack.environment()
    except StackFault as fault:
        raise SettingsFault(f"{fault}: run `fakturo up` or `fakturo demo` first, or set DATABASE_URL") from fault
    stopped = [part.name for part in stack.status()[:2] if part.state == "stopped"]
    if stopped:
        raise SettingsFault(f"{' and '.join(stopped)} of {home} not running: run `fakturo up` first")
    return environment


def settings_of(home: Path) -> Settings:
    """Return the settings of a process on the stack under `home`."""
    environment = environment_of(home)
    return load_settings(kafka=environment["FAKTURO_KAFKA"], DATABASE_URL=environment["DATABASE_URL"], home=Path(home))


async def connect(home: Path) -> asyncpg.Connection:
    """Return a connection to the books of the stack under `home`.

    Raises:
        SettingsFault: there is no way to the database; the text says why, without the password.
    """
    url = driver_url(settings_of(home).database_url)
    try:
        return await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SettingsFault(f"DATABASE_URL: the database does not answer ({type(error).__name__}: {error})") from error


def read_books(home: Path, read: Callable[[asyncpg.Connection], Awaitable[Result]], *, session: str = "") -> Result:
    """Return what `read` makes of a connection that sees one snapshot and cannot write.

    `session` is SQL that makes the session's own tables before: nothing can be made in such a transaction.
    """

    async def connected() -> Result:
        connection = await connect(home)
        try:
            if session:
                await connection.execute(session)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await read(connection)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
            raise SettingsFault(f"the database has no books of ours ({error}): run `fakturo up` first") from error
        finally:
            await connection.close()

    return asyncio.run(connected())
