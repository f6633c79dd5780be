"""The system under the storm: one Apache Kafka node, one Postgres (fsync on), every agent and the relay twice.

Place     test_storm.py and test_control.py -> [this] -> child processes on loopback, all data in one folder.
Ends      `async with`: every process is stopped by its own id, whatever happened; the logs stay in the folder.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from fakturo.cli.stack import Stack, background
from fakturo.cli.stack.background import Process
from fakturo.cli.stack.kafka import ApacheKafka
from fakturo.consumers.runtime.database import migrate
from fakturo.consumers.runtime.settings import Settings, load_settings
from fakturo.consumers.runtime.topic_admin import apply_topics

SESSION_SECONDS = 6
STOP_SECONDS = 30.0
PARTITIONS = 4

Command = tuple[str, ...]


class Rig:
    """Broker, database and workers under `folder`; `commands` says how each worker is started, by its name."""

    def __init__(
        self, folder: Path, commands: Mapping[str, Command], environment: Mapping[str, str], *, migrated: bool = True
    ) -> None:
        self.folder = folder
        self.kafka = ApacheKafka(folder / "kafka")
        self.stack = Stack(folder / "home", environment={"FAKTURO_KAFKA": self.kafka.bootstrap})
        self.database = self.stack.database
        self.commands = dict(commands)
        self._environment = dict(environment)
        self._migrated = migrated
        self.settings: Settings = None  # type: ignore[assignment]

    async def __aenter__(self) -> Self:
        """Start broker and database, migrate, create the topics; the workers are started by `start_all`."""
        try:
            await asyncio.gather(asyncio.to_thread(self.kafka.__enter__), asyncio.to_thread(self.stack.start_parts))
            self._environment |= self.stack.environment()
            self.settings = load_settings(
                kafka=self.kafka.bootstrap,
                DATABASE_URL=self._environment["DATABASE_URL"],
                home=self.folder / "home",
                partitions=PARTITIONS,
            )
            if self._migrated:
                await asyncio.to_thread(migrate, self.settings.database_url)
            await apply_topics(self.settings, keep_producer_time=True)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every process; remove broker's and database's data."""
        await asyncio.shield(self._stop())

    async def _stop(self) -> None:
        await asyncio.to_thread(self.stack.stop_agents)
        await asyncio.to_thread(self.stack.database.kill)
        await asyncio.to_thread(self.kafka.stop)
        for data in (self.folder / "kafka" / "node-1" / "data", self.folder / "home" / "postgres"):
            await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)

    def worker(self, name: str) -> Process | None:
        """Return the running worker called `name`, or None."""
        return self.stack.processes.find(_file_name(name))

    async def start(self, name: str) -> None:
        """Start the worker called `name`, if it does not run."""
        instance = name.rpartition("/")[2]
        environment = {
            **self._environment,
            "FAKTURO_INSTANCE": instance,
            "FAKTURO_PARTITIONS": str(PARTITIONS),
            "FAKTURO_SESSION_SECONDS": str(SESSION_SECONDS),
        }
        await asyncio.to_thread(self.stack.processes.start, _file_name(name), self.commands[name], environment)

    async def start_all(self) -> None:
        """Start every worker."""
        for name in self.commands:
            await self.start(name)

    async def connect(self) -> asyncpg.Connection:
        """Return a connection of the observer's own."""
        return await asyncpg.connect(self.settings.database_url, timeout=10)

    def log(self, name: str) -> Path:
        """Return the log file of the worker called `name`."""
        return self.stack.processes.logs / f"{_file_name(name)}.log"


def agent_commands(names: Sequence[str]) -> dict[str, Command]:
    """Return how the workers called `<agent>/<instance>` are started."""
    python = background.python()
    return {name: (python, "-m", "fakturo.cli.main", "agent", name.partition("/")[0]) for name in names}


def _file_name(name: str) -> str:
    return name.replace("/", "-")
