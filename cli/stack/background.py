"""One background process: start it in a session of its own, find it again later, stop it.

Place     under every part of the stack.
Why       A process is known by its pid *and* its start time, so a pid file that outlived a reboot never makes us
          stop a stranger. A session of its own keeps the terminal's Ctrl-C from reaching it: we stop it in order.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fakturo.cli.stack.ports import wait_until


class StackFault(Exception):
    """A part of the stack can't start; the message is one sentence for the person who asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that we started.

    `started_ticks` is the kernel's start time since boot. `environment` is what was set beyond our own, kept so that
    the process can be started again; it may hold a password, so the file is readable by its owner alone.
    """

    name: str
    pid: int
    started_ticks: int
    command: tuple[str, ...]
    log: str
    environment: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    restart: bool = False
    crashes: int = 0

    @property
    def alive(self) -> bool:
        """Return whether this very process still runs; reaps it if it is our child and has ended."""
        _reap(self.pid)
        return started_ticks(self.pid) == self.started_ticks

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def stop(self, *, seconds: float, number: int = signal.SIGTERM) -> bool:
        """Ask it to end with signal `number`; after `seconds` kill it. Return whether it ended by itself."""
        self.send(number)
        if wait_until(lambda: not self.alive, seconds=seconds):
            return True
        self.send(signal.SIGKILL)
        wait_until(lambda: not self.alive, seconds=10)
        return False


def started_ticks(pid: int) -> int | None:
    """Return the start time of a running process in clock ticks since boot; None if there is none, or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold anything, so count from the last bracket.
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def start(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    clean_environment: bool = False,
    port: int | None = None,
    restart: bool = False,
    crashes: int = 0,
) -> Process:
    """Start `command` in a session of its own, its output appended to `log`.

    `environment` is added to ours, or is all there is with `clean_environment`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    extra = dict(environment or {})
    everything = extra if clean_environment else {**os.environ, **extra}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        command[0],
        list(command),
        everything,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
    )
    return Process(
        name=name,
        pid=pid,
        started_ticks=started_ticks(pid) or 0,
        command=tuple(command),
        log=str(log),
        environment=extra,
        port=port,
        restart=restart,
        crashes=crashes,
    )


def save(process: Process, folder: Path) -> None:
    """Write `<folder>/<name>.json`, whole or not at all, readable by its owner alone."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{process.name}.json"
    draft = target.with_suffix(f".{os.getpid()}.tmp")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(process), indent=1))
    draft.replace(target)


def load(name: str, folder: Path) -> Process | None:
    """Return what was saved under `name`, running or not; None where nothing readable is there."""
    try:
        fields = json.loads((folder / f"{name}.json").read_text())
        fields["command"] = tuple(fields["command"])
        return Process(**fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_all(folder: Path) -> list[Process]:
    """Return every saved process, by name."""
    found = (load(path.stem, folder) for path in sorted(folder.glob("*.json")))
    return [process for process in found if process is not None]


def forget(name: str, folder: Path) -> None:
    """Remove the saved process."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def log_tail(log: Path | str, lines: int = 15) -> str:
    """Return the end of a log, for the message about a process that would not start."""
    try:
        return "\n".join(Path(log).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def python() -> str:
    """Return the interpreter that children run on."""
    return sys.executable


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
