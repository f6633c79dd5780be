"""The faults of the bus, each done to a sandbox org while its company works."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from fakturo.cli.sandbox.clock import epoch_ms
from fakturo.cli.sandbox.server import RunningSandbox
from tests.storm.org_changes import Company
from tests.storm.org_history import Fate, OrgHistory


class Book(Protocol):
    """What the book says of the org's commits."""

    async def arrived_ms(self) -> int:
        """Return up to which commit all events have surely arrived in the book."""

    async def is_told_since(self, since_ms: int) -> bool:
        """Return whether an event of after `since_ms` has arrived in the book."""


@dataclass
class Trouble:
    """The faults of the bus, one after the other while the company works; each leaves the org as it was."""

    sandbox: RunningSandbox
    company: Company
    history: OrgHistory
    book: Book
    done: Counter[str] = field(default_factory=Counter)
    resets: list[tuple[int, int]] = field(default_factory=list)
    """Of each reset: up to which commit all had arrived, and when it was, in milliseconds since 1970."""

    async def gap(self) -> None:
        """An event without its content."""
        self.sandbox.org.faults.gap["Contact"] = 1
        with self.history.while_(Fate.GAP):
            self.company.change_one("Contact")
        assert not self.sandbox.org.faults.gap["Contact"]

    async def overflow(self) -> None:
        """A transaction that is too large to be told."""
        self.sandbox.org.faults.overflow["Contact"] = 1
        with self.history.while_(Fate.OVERFLOW):
            self.company.change_all("Contact")
        assert not self.sandbox.org.faults.overflow["Contact"]

    async def duplicate(self) -> None:
        """Events that the bus tells twice."""
        self.sandbox.org.faults.duplicate = 20

    async def merged(self) -> None:
        """Nothing but one event for many records, which is the bus's habit; here one of all accounts."""
        with self.sandbox.org.transaction(client="sales") as tx:
            for account in self.company.ids["Account"]:
                tx.update("Account", account, {"Industry": f"merged {self.done['merged']}"})

    async def schema_change(self) -> None:
        """A field more, in mid-stream, and a value in it."""
        name = f"Extra_{self.done['schema_change']}__c"
        self.sandbox.org.faults.apply({"schema_change": {"object": "Account", "field": name, "length": 40}})
        with self.sandbox.org.transaction(client="sales") as tx:
            tx.update("Account", self.company.ids["Account"][0], {name: "new"})

    async def expired_token(self) -> None:
        """No access token is good any more."""
        self.sandbox.org.faults.apply({"expired_token": True})

    async def unavailable(self) -> None:
        """Calls that are answered 503 or UNAVAILABLE."""
        self.sandbox.org.faults.unavailable = 5

    async def slow_consumer(self) -> None:
        """A bus that closes streams without credit at once."""
        await self._for_seconds(3, idle_close_seconds=0.2)

    async def allocation(self) -> None:
        """The day's API calls and delivered events are used up."""
        await self._for_seconds(3, api_allocation=0, event_allocation=0)

    async def dropped(self) -> None:
        """An event that is never told: only reconciliation can find it."""
        self.sandbox.org.faults.drop_events["Contact"] = 1
        with self.history.while_(Fate.UNTOLD):
            self.company.change_one("Contact")

    async def stream_reset(self) -> None:
        """All positions lose their meaning: what was not read yet is lost, and what comes until it is read again."""
        arrived_ms = await self.book.arrived_ms()
        self.history.lose_since(arrived_ms)
        with self.history.while_(Fate.UNTOLD):
            self.sandbox.org.faults.apply({"stream_reset": True})
            reset_ms = epoch_ms(self.sandbox.org.clock.now())
            self.resets.append((arrived_ms, reset_ms))
            while not await self.book.is_told_since(reset_ms):
                self.company.work()
                await asyncio.sleep(0.2)

    async def _for_seconds(self, seconds: float, **settings: Any) -> None:
        faults = self.sandbox.org.faults
        before = {name: getattr(faults, name) for name in settings}
        faults.apply(settings)
        await asyncio.sleep(seconds)
        faults.apply(before)

    def all(self) -> list[Callable[[], Awaitable[None]]]:
        """Return every fault, those that happen daily several times."""
        often = [self.gap, self.duplicate, self.merged, self.schema_change, self.expired_token, self.unavailable]
        seldom = [self.overflow, self.slow_consumer, self.allocation, self.dropped]
        return [*often, *often, *often, *seldom, self.overflow, self.gap, self.dropped, self.stream_reset, self.gap]
