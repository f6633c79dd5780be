"""Finds the one record that a handler or the database cannot take, and lets the rest of the batch pass.

Place     processor, inside its transaction -> [this] -> the agent's `handle`, in a savepoint -> dead letters.
Which     BadEvent names the record itself. For a data error of Postgres (a NUL in a text, a number that overflows) the
          batch is halved until one record is left: log2(n) calls, and what passes has been applied once.
Never     anything else: an unknown exception is a bug, and a bug skips nothing.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from fakturo.consumers.runtime.database_errors import driver_error, is_data_error
from fakturo.consumers.runtime.errors import BadEvent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.dead_letters import DeadLetterReason


class Handles(Protocol):
    """An agent, or a part of one that takes records from where they were parked."""

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Apply `batch`."""
        ...


async def handle_isolated(agent: Handles, records: Sequence[Record], tx: Transaction) -> None:
    """Call `agent.handle`; reject in `tx` each record that no retry can mend."""
    left = list(records)
    while left:
        try:
            await _in_savepoint(agent, left, tx)
            left = []
        except BadEvent as bad:
            tx.reject(left.pop(bad.record_index), bad.reason, str(bad))
        except Exception as error:
            if not is_data_error(error):
                raise
            await _bisect(agent, left, tx, error)
            left = []


async def _bisect(agent: Handles, records: Sequence[Record], tx: Transaction, error: Exception) -> None:
    if len(records) == 1:
        message = str(driver_error(error)).encode("utf-8", "backslashreplace").decode()
        tx.reject(records[0], DeadLetterReason.REJECTED_BY_DATABASE, message)
        return
    middle = len(records) // 2
    await handle_isolated(agent, records[:middle], tx)
    await handle_isolated(agent, records[middle:], tx)


async def _in_savepoint(agent: Handles, records: Sequence[Record], tx: Transaction) -> None:
    outbox_count, rejection_count, outcomes = len(tx.outbox), len(tx.rejections), Counter(tx.outcomes)
    committed_count = len(tx.committed)
    try:
        async with tx.driver.transaction():
            await agent.handle(records, tx)
    except BaseException:
        # The savepoint took back the rows; what was buffered beside them goes too.
        del tx.outbox[outbox_count:]
        del tx.rejections[rejection_count:]
        del tx.committed[committed_count:]
        tx.outcomes = outcomes
        raise
