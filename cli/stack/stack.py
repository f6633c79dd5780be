"""The whole stack of one machine: broker, database, agents; up, down, status, fresh.

Place     `fakturo up|down|status|demo|replay` and the tests -> [this] -> broker, postgres, processes.

    stack = Stack(Path(".fakturo"))            # nothing happens yet
    environment = stack.start_parts()          # embedded, or what FAKTURO_KAFKA and DATABASE_URL name
    ... migrate the database, apply the topics ...
    stack.start_agents(settings={"FAKTURO_GRACE_SECONDS": "0"}, restart=True)
    stack.status()                             # [PartStatus(name="broker", state="running", ...), ...]
    stack.down()                               # agents first, then database and broker; the books stay
    stack.fresh()                              # down, and the books are gone

`up(prepare=...)` is start_parts, prepare(environment), start_agents. All calls block and work with or without a
running event loop (in one, use `asyncio.to_thread`). Errors are `StackFault`, one sentence each.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fakturo.cli.stack import background, broker, postgres
from fakturo.cli.stack.broker import EmbeddedBroker
from fakturo.cli.stack.postgres import EmbeddedPostgres
from fakturo.cli.stack.processes import STOP_SECONDS, Processes

AGENTS = ("contracts", "usage", "invoicing", "ledger", "kpi", "crm_sync", "relay")
"""What `up` starts unasked. Live books want `clock` too; a replayed history brings its own time."""
WATCH = "watch"
OURS = ("run", "logs", "broker", "postgres")
"""The folders under a home that `fresh` removes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One part of the stack: `state` is running, crashed, stopped, or external (not ours to start)."""

    name: str
    state: str
    pid: int | None = None
    address: str = ""
    log: str = ""
    crashes: int = 0


class Stack:
    """Broker, database and agents whose books, logs and pid files live under `home` (FAKTURO_HOME, or .fakturo)."""

    def __init__(self, home: Path | None = None, *, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self.home = (home or Path(self._environment.get("FAKTURO_HOME") or ".fakturo")).absolute()
        self.processes = Processes(self.home)
        self.broker = EmbeddedBroker(self.home / "broker", run=self.processes.run, logs=self.processes.logs)
        self.database = EmbeddedPostgres(self.home / "postgres", run=self.processes.run, logs=self.processes.logs)

    @property
    def kafka_is_external(self) -> bool:
        """Return whether FAKTURO_KAFKA names a broker that is not ours."""
        return bool(self._environment.get("FAKTURO_KAFKA"))

    @property
    def database_is_external(self) -> bool:
        """Return whether DATABASE_URL names a database that is not ours."""
        return bool(self._environment.get("DATABASE_URL"))

    def environment(self) -> dict[str, str]:
        """Return the settings that connect a process to this stack. Raises StackFault before the first start."""
        kafka = self._environment["FAKTURO_KAFKA"] if self.kafka_is_external else self.broker.bootstrap
        url = self._environment["DATABASE_URL"] if self.database_is_external else self.database.url()
        return {"FAKTURO_KAFKA": kafka, "DATABASE_URL": url, "FAKTURO_HOME": str(self.home)}

    def up(
        self,
        *,
        agents: Sequence[str] = AGENTS,
        settings: Mapping[str, str] | None = None,
        prepare: Callable[[Mapping[str, str]], object] | None = None,
        restart: bool = True,
    ) -> dict[str, str]:
        """Start everything that doesn't run yet; return the environment that connects to it.

        `prepare` gets that environment between parts and agents: migrations and topics belong there.
        """
        environment = self.start_parts()
        if prepare is not None:
            prepare(environment)
        self.start_agents(agents, settings=settings, restart=restart)
        return environment

    def start_parts(self) -> dict[str, str]:
        """Start the embedded broker and database (unless external) and return `environment()`."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.database_is_external:
            self.database.start()
        if not self.kafka_is_external:
            self.broker.start()
        return self.environment()

    def start_agents(
        self,
        agents: Sequence[str] = AGENTS,
        *,
        settings: Mapping[str, str] | None = None,
        restart: bool = True,
    ) -> None:
        """Start each agent that doesn't run; with `restart` a watchman brings crashed ones back with back-off."""
        environment = {**self.environment(), **(settings or {})}
        for name in agents:
            self.start_worker(name, environment=environment, restart=restart)
        if restart:
            watch = (background.python(), "-m", "fakturo.cli.stack.watch", str(self.home))
            self.processes.start(WATCH, watch)

    def start_worker(
        self,
        agent: str,
        *,
        instance: str = "0",
        environment: Mapping[str, str] | None = None,
        restart: bool = False,
    ) -> background.Process:
        """Start one worker of an agent. Instance 0 is named as the agent, others `<agent>-<instance>`."""
        name = agent if instance == "0" else f"{agent}-{instance}"
        extra = {**self.environment(), **(environment or {}), "FAKTURO_INSTANCE": instance}
        command = (background.python(), "-m", "fakturo.cli.main", "agent", agent)
        return self.processes.start(name, command, extra, restart=restart)

    def stop_agents(self, *, seconds: float = STOP_SECONDS) -> list[str]:
        """Stop the watchman and every agent; return the names of those that had to be killed."""
        self.processes.stop([WATCH], seconds=seconds)
        parts = {broker.NAME, postgres.NAME}
        names = [process.name for process in self.processes.known() if process.name not in parts]
        return self.processes.stop(names, seconds=seconds)

    def down(self) -> None:
        """Stop everything that is ours, agents first. The books stay; `up` brings them back."""
        self.stop_agents()
        self.broker.stop()
        self.database.stop()

    def fresh(self) -> None:
        """Stop everything that is ours and remove the books, logs and pid files under `home`, and nothing else."""
        if self.home.exists():
            self.down()
        for name in OURS:
            shutil.rmtree(self.home / name, ignore_errors=True)

    def status(self) -> list[PartStatus]:
        """Return broker, database and every agent that was started, in that order."""
        parts = [
            self._part(broker.NAME, self.kafka_is_external, "FAKTURO_KAFKA"),
            self._part(postgres.NAME, self.database_is_external, "DATABASE_URL"),
        ]
        known = {process.name: process for process in self.processes.known()}
        agents = [name for name in known if name not in (broker.NAME, postgres.NAME, WATCH)]
        order = {name: place for place, name in enumerate(AGENTS)}
        for name in sorted(agents, key=lambda name: (order.get(name.split("-")[0], len(order)), name)):
            process = known[name]
            state = "running" if process.alive else "crashed"
            pid = process.pid if process.alive else None
            parts.append(PartStatus(name=name, state=state, pid=pid, log=process.log, crashes=process.crashes))
        return parts

    def _part(self, name: str, external: bool, variable: str) -> PartStatus:
        if external:
            return PartStatus(name=name, state="external", address=_without_password(self._environment[variable]))
        process = background.load(name, self.processes.run)
        if process is None or not process.alive:
            return PartStatus(name=name, state="stopped")
        address = f"127.0.0.1:{process.port}"
        return PartStatus(name=name, state="running", pid=process.pid, address=address, log=process.log)


def _without_password(address: str) -> str:
    return address.rsplit("@", 1)[-1]
