"""Where a worker begins to read, and what Faust must be like."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from fakturo.consumers.runtime import feed as feed_module
from fakturo.consumers.runtime.errors import RuntimeFault
from fakturo.consumers.runtime.feed import Feed
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.processor import Applied
from fakturo.consumers.runtime.records import Slice
from fakturo.consumers.runtime.runner_faust import require_compiled_faust
from fakturo.consumers.runtime.settings import Settings

PLACE = ("billing.payments", 0)


@pytest.fixture
async def feed(toy_settings: Settings, watch: asyncpg.Connection) -> AsyncIterator[Feed]:
    from toy_agent import Toy

    from fakturo.consumers.runtime.database import Database

    database = Database(toy_settings.database_url)
    made = Feed(Toy(), database, toy_settings, Health("ledger"))
    await made.prepare()
    yield made
    await database.close()


async def test_an_agent_that_has_read_nothing_begins_where_the_log_begins(
    feed: Feed, watch: asyncpg.Connection
) -> None:
    assert await feed.cursors_of([PLACE], {PLACE: 700}) == {PLACE: 700}
    assert feed.stopped == {}
    assert await watch.fetchval("SELECT max(next_offset) FROM runtime.cursor") == 700


async def test_a_cursor_before_the_begin_of_the_log_stops_the_partition(feed: Feed, watch: asyncpg.Connection) -> None:
    await watch.execute("UPDATE runtime.cursor SET next_offset = 5 WHERE topic = 'billing.payments' AND partition = 0")
    await feed.cursors_of([PLACE], {PLACE: 700})
    assert feed.health.stopped_partitions == {PLACE: "the broker's log begins at 700, the cursor stands at 5"}
    assert await watch.fetchval("SELECT max(next_offset) FROM runtime.cursor") == 5


def test_pure_python_faust_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_compiled_faust()
    monkeypatch.setenv("NO_CYTHON", "1")
    with pytest.raises(RuntimeFault, match="NO_CYTHON"):
        require_compiled_faust()


class Counted:
    """A timekeeper that counts what it is asked to do, and always has more to flush."""

    def __init__(self) -> None:
        self.looks = 0
        self.flushes = 0
        self.flushed = asyncio.Event()

    async def advance_if_due(self) -> bool:
        self.looks += 1
        return False

    async def flush(self) -> float | None:
        self.flushes += 1
        if self.flushes % 3 == 0:
            self.flushed.set()
        return 0.0


class Ticking:
    """A processor to which every batch brings a tick."""

    async def process(self, slices: Sequence[Slice]) -> Applied:
        return Applied(ticked=True)


async def test_flushes_follow_each_other_without_looking_at_time_which_a_tick_brings_forward(
    toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toy_agent import Toy

    from fakturo.consumers.runtime.database import Database

    monkeypatch.setattr(feed_module, "LOOK_SECONDS", 1e6)
    settings = toy_settings.model_copy(update={"interim_seconds": 0.01})
    made = Feed(Toy(), Database(settings.database_url), settings, Health("ledger"), flush_soon=1.0)
    time = Counted()
    monkeypatch.setattr(made, "_timekeeper", time)
    monkeypatch.setattr(made, "_processor", Ticking())
    task = asyncio.create_task(made.keep_time())
    try:
        await time.flushed.wait()
        assert time.looks == 1
        await made.apply([])
        time.flushed.clear()
        await time.flushed.wait()
        assert time.looks == 2
    finally:
        task.cancel()
