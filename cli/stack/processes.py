"""A set of named background processes: started, tended when they crash, stopped in order.

Place     `Stack` keeps the agents in one; the storm keeps its workers in one and kills them.
Files     <home>/run/<name>.json for each, <home>/logs/<name>.log. Who runs is read from the files each time, so a
          second command (`fakturo down`, `fakturo status`) sees the same processes.
"""

import signal
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fakturo.cli.stack import background
from fakturo.cli.stack.background import Process
from fakturo.cli.stack.ports import wait_until

STOP_SECONDS = 15.0
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""Who ran this long starts again at the first back-off."""


class Processes:
    """The processes under one home."""

    def __init__(self, home: Path) -> None:
        self.run = home.absolute() / "run"
        self.logs = home.absolute() / "logs"
        self._seen_alive_at: dict[str, float] = {}
        self._restart_after: dict[str, float] = {}
        self._lock = threading.Lock()

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        restart: bool = False,
        port: int | None = None,
    ) -> Process:
        """Start `command` under `name`, or return the one that runs. `restart` lets `tend` bring it back."""
        running = self.find(name)
        if running is not None:
            return running
        log = self.logs / f"{name}.log"
        process = background.start(name, command, log=log, environment=environment, restart=restart, port=port)
        background.save(process, self.run)
        self._seen_alive_at[name] = time.monotonic()
        return process

    def find(self, name: str) -> Process | None:
        """Return the running process of that name, or None."""
        process = background.load(name, self.run)
        return process if process is not None and process.alive else None

    def known(self) -> list[Process]:
        """Return every process that was started and not stopped, running or crashed, by name."""
        return background.load_all(self.run)

    def kill(self, name: str) -> None:
        """Kill -9 and leave its file, as a crash would."""
        process = self.find(name)
        if process is not None:
            process.stop(seconds=10, number=signal.SIGKILL)

    def stop(self, names: Iterable[str], *, seconds: float = STOP_SECONDS) -> list[str]:
        """Ask all of `names` to end at once, kill those still there after `seconds`; return whom it had to kill."""
        with self._lock:  # so that `tend` doesn't bring back what we are stopping
            stopping = [process for name in names if (process := background.load(name, self.run))]
            for process in stopping:
                background.forget(process.name, self.run)
                process.send(signal.SIGTERM)
            wait_until(lambda: not any(process.alive for process in stopping), seconds=seconds)
            late = [process for process in stopping if process.alive]
            for process in late:
                process.stop(seconds=10, number=signal.SIGKILL)
        return [process.name for process in late]

    def tend(self) -> list[str]:
        """Start again who crashed and whose back-off has passed; return their names. Call it a few times a second."""
        restarted = []
        with self._lock:
            for process in self.known():
                if not process.restart:
                    continue
                if process.alive:
                    self._seen_alive_at.setdefault(process.name, time.monotonic())
                elif self._may_restart(process):
                    self._restart(process)
                    restarted.append(process.name)
        return restarted

    def _may_restart(self, process: Process) -> bool:
        now = time.monotonic()
        pause = min(BACKOFF_FIRST_SECONDS * 2 ** min(process.crashes, 10), BACKOFF_MAX_SECONDS)
        return now >= self._restart_after.setdefault(process.name, now + pause)

    def _restart(self, process: Process) -> None:
        name = process.name
        self._restart_after.pop(name, None)
        ran_seconds = time.monotonic() - self._seen_alive_at.get(name, time.monotonic())
        again = background.start(
            name,
            process.command,
            log=Path(process.log),
            environment=process.environment,
            restart=True,
            port=process.port,
        )
        crashes = 0 if ran_seconds > HEALTHY_SECONDS else process.crashes + 1
        background.save(replace(again, crashes=crashes), self.run)
        self._seen_alive_at[name] = time.monotonic()
