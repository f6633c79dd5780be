"""The thread that talks to the broker for the Faust runner: whose event loop it has."""

import asyncio
from types import SimpleNamespace
from unittest.mock import MagicMock

import uvloop

from fakturo.consumers.runtime.faust_transport import GuardedConsumer


def test_the_thread_has_a_loop_of_asyncios_own_that_its_end_leaves_open() -> None:
    """uvloop in the main thread, as in a worker: stopping the thread must touch nothing of libuv's."""

    async def loop_of_the_thread() -> tuple[asyncio.AbstractEventLoop, bool]:
        loop = asyncio.get_running_loop()
        consumer = SimpleNamespace(loop=loop, beacon=MagicMock(), transport=SimpleNamespace(app=MagicMock()), app=None)
        consumer.app, consumer.RebalanceListener = consumer.transport.app, MagicMock()
        thread = GuardedConsumer._new_consumer_thread(consumer)  # type: ignore[arg-type]
        return thread.thread_loop, thread._close_thread_loop_on_stop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, is_closed_at_the_end = runner.run(loop_of_the_thread())
    assert not isinstance(found, uvloop.Loop)
    assert not is_closed_at_the_end
    found.close()
