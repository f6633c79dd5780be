"""What a database error asks for: wait and try again, dead-letter one record, or stop because of a bug.

Place     processor, watermark and cursor reads ask here; nothing else interprets SQLSTATEs.
Source    PostgreSQL, appendix A "Error Codes"; asyncpg raises its own errors where a connection is lost or an argument
          cannot be encoded, SQLAlchemy wraps both.
"""

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fakturo.consumers.runtime.errors import WorldAway

TRANSIENT_CLASSES = ("08", "53", "57", "58")
"""Connection, resources (connections, memory, disk), operator intervention (also timeouts), the system under it."""
TRANSIENT_STATES = ("40001", "40P01", "55P03", "25P03", "25P04", "3D000", "28P01", "28000")
"""Serialization, deadlock, lock timeout, idle timeout; a database or role that a person is about to mend."""

TOO_LONG_FOR_AN_INDEX = "54000"
"""An id, account or dimension of more than some 2,700 bytes: program_limit_exceeded, and no retry makes it shorter."""

CONNECTION_LOST = ("connection is closed", "connection was closed", "connection has been released", "is closing")


def driver_error(error: BaseException) -> BaseException:
    """Return asyncpg's own error inside SQLAlchemy's wrapping, or `error` itself."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def is_transient(error: BaseException) -> bool:
    """Return whether the same work may well succeed later: the database is away, busy or being restarted."""
    if isinstance(error, (PoolTimeout, WorldAway)):
        return True
    cause = driver_error(error)
    if isinstance(cause, asyncpg.PostgresError):
        state = cause.sqlstate or ""
        return state[:2] in TRANSIENT_CLASSES or state in TRANSIENT_STATES
    # InternalClientError is what asyncpg says of a pooled connection that the server has closed in the meantime.
    if isinstance(cause, (OSError, TimeoutError, EOFError, asyncpg.InternalClientError)):
        return True
    text = str(cause)
    is_lost = any(words in text for words in CONNECTION_LOST)
    return isinstance(cause, (asyncpg.InterfaceError, SQLAlchemyError)) and is_lost


def is_data_error(error: BaseException) -> bool:
    """Return whether a record holds what Postgres, or its wire format, cannot (NUL, overflow, too long for an index).

    A value of the wrong Python type is not: that is our bug, and bugs skip nothing.
    """
    cause = driver_error(error)
    if isinstance(cause, asyncpg.PostgresError):
        return (cause.sqlstate or "").startswith("22") or cause.sqlstate == TOO_LONG_FOR_AN_INDEX
    if isinstance(cause, asyncpg.InterfaceError) and isinstance(cause, ValueError):
        return isinstance(cause.__cause__, (OverflowError, UnicodeError)) or "out of" in str(cause)
    return False
