"""The process of an agent: uvloop, signals, the wait for the world, an end within seconds.

Place     app.run_app -> [this]. SIGTERM and SIGINT end it: the batch in flight is finished or rolled back.
Hard end  what has not stopped after five seconds (a client library's thread) is left behind: the cursor does not care.
"""

import asyncio
import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import structlog
import uvloop

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.health import HealthServer
from fakturo.consumers.runtime.health_checks import agent_checks
from fakturo.consumers.runtime.logs import configure_logs
from fakturo.consumers.runtime.metrics import initialise
from fakturo.consumers.runtime.startup import wait_for_broker, wait_for_database, watch_broker
from fakturo.consumers.runtime.tasks import told_to_stop

if TYPE_CHECKING:
    from fakturo.consumers.runtime.app import AgentApp

STOP_SECONDS_MAX = 5.0
LOOK_SECONDS = 0.1
COLLECT_AFTER = 50_000
"""New objects between two searches for cycles. A batch of events is made of many that live until its commit, and has no
cycles: by the default, 700, the search took a tenth of the time."""
EXIT_OK, EXIT_CRASH, EXIT_SETTING = 0, 1, 2

log = structlog.get_logger(__name__)


def run_worker(app: "AgentApp") -> NoReturn:
    """Run `app` until it is told to stop, or crashes; end the process with the exit status."""
    configure_logs(app.settings.log_format, app.agent.name, app.settings.instance)
    gc.set_threshold(COLLECT_AFTER, 20, 50)
    uvloop.install()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app.faust.loop = loop
    status, stopped = loop.run_until_complete(_main(app))
    if not stopped:
        log.warning("left behind what did not stop", after_seconds=STOP_SECONDS_MAX)
    # All is on record or rolled back; the interpreter's own end would wait for the client libraries' threads.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


async def _main(app: "AgentApp") -> tuple[int, bool]:
    """Return the exit status, and whether everything has stopped."""
    initialise(app.agent.name, app.feed.topics)
    checks = agent_checks(app.health, app.settings) | {beside.name: beside.check for beside in app.beside}
    server = HealthServer(app.health, app.settings, checks)
    await server.start()
    telling = asyncio.create_task(told_to_stop().wait())
    serving = asyncio.create_task(_serve(app))
    await asyncio.wait((serving, telling), return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    status = _status(serving) if serving.done() else EXIT_OK
    serving.cancel()
    stopped = await _stop(app, server)
    log.info("stopped", status=status)
    return status, stopped


async def _serve(app: "AgentApp") -> None:
    """Wait for the world, then run the Faust app; return only by a crash."""
    await wait_for_database(app.settings, app.database, app.health)
    await app.feed.prepare()
    await wait_for_broker(app.settings, app.feed, app.health)
    log.info("reads", topics=",".join(app.feed.topics), runner=type(app.runner).__name__)
    await app.faust.start()
    app.faust.add_future(watch_broker(app.settings, app.health))
    for beside in app.beside:
        app.faust.add_future(beside.run())
    while not app.faust.should_stop and not getattr(app.runner, "crashed", False):  # noqa: ASYNC110 - mode has no event
        await asyncio.sleep(LOOK_SECONDS)
    raise app.faust.crash_reason or getattr(app.runner, "crash_reason", None) or RuntimeError("the app has stopped")


def _status(serving: "asyncio.Task[None]") -> int:
    error = serving.exception()
    if isinstance(error, SettingsFault):
        log.error("cannot start", because=str(error))
        return EXIT_SETTING
    log.error("crashed", because=f"{type(error).__name__}: {error}", exc_info=error)
    return EXIT_CRASH


async def _stop(app: "AgentApp", server: HealthServer) -> bool:
    stopping = asyncio.gather(app.faust.stop(), return_exceptions=True)
    done, _ = await asyncio.wait([asyncio.ensure_future(stopping)], timeout=STOP_SECONDS_MAX)
    await app.database.close()
    await server.stop()
    return bool(done)
