"""The contract between the runtime and an agent: `handle`, `advance`, `flush`, free of Faust and Kafka.

Place     runner -> processor -> [this] -> engine and the agent's store.
Promise   each call runs in one Postgres transaction that also moves the cursor and holds the outbox rows, so an
          agent's effects happen once however often a batch is delivered.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction


class Agent(Protocol):
    """One agent: reads the topics that `schemas/topics.py` gives to `name`, owns the Postgres schema of that name."""

    name: str

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Apply `batch` (partition order kept, clock ticks taken out) to the books.

        A record that can't be processed is given to `tx.reject`; one whose reference is missing to `tx.park`.

        Raises:
            BadEvent: this record is bad; the runtime dead-letters it and runs the rest again.
        """

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Do a bounded part of what falls due as time reaches `to`; return whether more remains.

        Called again, each time in a transaction of its own, until it returns False; only then is the tick passed on.
        """

    async def flush(self, tx: Transaction) -> None:
        """Publish what changed since the last flush and is published at most once in a while (running statements)."""


@runtime_checkable
class ReadsAhead(Protocol):
    """An agent that can read records before their turn: what depends on the bytes alone, with no effect anywhere."""

    def read_ahead(self, records: Sequence[Record]) -> None:
        """Read `records`, which `handle` is likely to be given; they may also never come, or come unread."""


@runtime_checkable
class StopsOnTheWay(Protocol):
    """An agent to which it makes a difference whether time jumps: where it must, time stops between two ticks."""

    async def next_stop(self, after: datetime | None, to: datetime, tx: Transaction) -> datetime | None:
        """Return how far time goes in one step on its way from `after` (None: it has not begun) to `to`, at most `to`.

        A stop is a full step: `advance` to it, then its tick is passed on. Asked again before each call of `advance`,
        in the same transaction; None says that something else was done in it, which has to be committed first.
        """


class Companion(Protocol):
    """A task that runs beside an agent's runner, in its process: it works on the agent's books, never on its input."""

    name: str

    async def run(self) -> None:
        """Run until cancelled; after a crash it is called again."""

    async def check(self) -> tuple[bool, str]:
        """Return whether it does what it is there for, with a sentence: part of `/readyz`, under its name."""
