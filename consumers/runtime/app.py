"""One agent as one `faust.App`: `create_app` puts the parts together, `run_app` runs them as a process.

Place     `fakturo agent NAME` -> consumers/<agent>/app.py -> [this] -> runner -> feed -> processor.
Faust     gives the app its life cycle and, with the Faust runner, its streams. What it must not do is off: web server,
          topic creation, leader election, waiting for streams at a rebalance (the cursor fences what is in flight).
"""

from collections.abc import Sequence
from typing import Any, Literal

import faust
from faust.app.base import BootStrategy

from fakturo.consumers.runtime.agent import Agent, Companion
from fakturo.consumers.runtime.beside import Beside
from fakturo.consumers.runtime.consumer_options import group_of
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.feed import Feed
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.settings import Settings

Runner = Literal["faust", "bulk"]
SEEK_SECONDS_MAX = 600.0
"""How long Faust waits for the seek to the cursors: as long as a database may be away without a crash."""


class AgentApp:
    """An agent with everything around it, not yet started."""

    def __init__(
        self,
        agent: Agent,
        settings: Settings,
        runner: Runner,
        more_topics: Sequence[str] = (),
        beside: Sequence[Companion] = (),
        *,
        flush_soon: float = 0.0,
    ) -> None:
        self.agent = agent
        self.beside = tuple(Beside(companion) for companion in beside)
        self.settings = settings
        self.health = Health(agent.name)
        self.database = Database(settings.database_url, statement_seconds=settings.statement_timeout_seconds)
        self.feed = Feed(agent, self.database, settings, self.health, more_topics, flush_soon=flush_soon)
        self.faust = _faust_app(agent.name, settings)
        if runner == "bulk":
            self._add_bulk()
        else:
            from fakturo.consumers.runtime.runner_faust import FaustRunner

            self.runner: Any = FaustRunner(self.faust, self.feed)

    def _add_bulk(self) -> None:
        from fakturo.consumers.runtime.runner_bulk import BulkRunner

        self.runner = runner = BulkRunner(self.feed, beacon=self.faust.beacon)

        class OnlyTheRunner(BootStrategy):
            """Starts our service and none of Faust's own consumers and producers."""

            def server(self) -> Any:
                return [runner]

        self.faust.boot_strategy = OnlyTheRunner(self.faust)


class _App(faust.App):
    """Faust without its tables: it makes no folders where it is started (a container's may not be writable)."""

    def _create_directories(self) -> None:
        """Make none."""


def create_app(
    agent: Agent,
    settings: Settings,
    runner: Runner = "faust",
    more_topics: Sequence[str] = (),
    beside: Sequence[Companion] = (),
    *,
    flush_soon: float = 0.0,
) -> AgentApp:
    """Return `agent` as an app that reads its topics of the map, and `more_topics`, through `runner`.

    What stands `beside` it runs as long as the app does. With `flush_soon` interim outputs follow inputs closely
    (flush_pacing.py), without it they wait for `interim_seconds`.
    """
    return AgentApp(agent, settings, runner, more_topics, beside, flush_soon=flush_soon)


def run_app(app: AgentApp) -> int:
    """Run until SIGTERM or SIGINT, and end the process (0 told to stop, 1 crashed, 2 a wrong setting)."""
    from fakturo.consumers.runtime.worker import run_worker

    run_worker(app)


def _faust_app(name: str, settings: Settings) -> faust.App:
    return _App(
        group_of(settings, name),
        broker=f"kafka://{settings.kafka.replace(',', ';kafka://')}",
        store="memory://",
        value_serializer="raw",
        key_serializer="raw",
        processing_guarantee="at_least_once",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        web_enabled=False,
        stream_wait_empty=False,
        broker_commit_interval=1.0,
        broker_request_timeout=SEEK_SECONDS_MAX,
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=max(settings.session_seconds / 4, 0.1),
        stream_buffer_maxsize=4096,
        agent_supervisor="mode.CrashingSupervisor",
    )
