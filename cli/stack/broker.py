"""The embedded broker: the `noida-db` wheel, which speaks Kafka's protocol from one small process.

Place     `Stack` starts it where FAKTURO_KAFKA names no other; the tests start it once a session.
Keeps     It holds everything in memory and writes a snapshot of all of it to its folder about twice a second, and
          once more when it is stopped. So topics and records survive stop and start; a kill -9 or a power cut loses
          what came since the last snapshot (half a second when small, several when large). For real use take Kafka.
"""

import asyncio
import contextlib
import importlib.util
import logging
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaError

from fakturo.cli.stack import background
from fakturo.cli.stack.background import Process, StackFault
from fakturo.cli.stack.ports import LOOPBACK, free_port, is_listening, wait_until

NAME = "broker"
START_SECONDS = 60.0
"""A gigabyte of snapshot is read in some ten seconds."""
STOP_SECONDS = 120.0
"""The last snapshot of a gigabyte takes some ten seconds; killing it before would lose records."""
SNAPSHOT_NICENESS = 5


class EmbeddedBroker:
    """A single Kafka-speaking node on a loopback port, its data in `folder`.

    The port is chosen at the first start and kept for the later ones, so clients find it again.
    """

    def __init__(self, folder: Path, *, run: Path | None = None, logs: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.run = (run or self.folder / "run").absolute()
        self.log = (logs or self.folder / "logs").absolute() / f"{NAME}.log"

    @property
    def process(self) -> Process | None:
        """Return the running broker, or None."""
        process = background.load(NAME, self.run)
        return process if process is not None and process.alive else None

    @property
    def bootstrap(self) -> str:
        """Return host:port. Raises StackFault where it was never started."""
        process = background.load(NAME, self.run)
        if process is None:
            raise StackFault("the embedded broker has not been started yet")
        return f"{LOOPBACK}:{process.port}"

    def start(self) -> str:
        """Start it, or find it running; return its bootstrap once a client has been served."""
        if self.process is not None:
            return self.bootstrap
        binary = _binary()
        previous = background.load(NAME, self.run)
        port = free_port(previous.port if previous else None)
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        command = (binary, "start", "--only", "kafka", "--host", LOOPBACK, "--kafka-port", str(port))
        process = background.start(NAME, (*command, "--data-dir", str(data)), log=self.log, port=port)
        background.save(process, self.run)
        if not wait_until(lambda: is_listening(port) or not process.alive, seconds=START_SECONDS) or not process.alive:
            process.stop(seconds=0)
            raise StackFault(f"the embedded broker did not start; {self.log} ends:\n{background.log_tail(self.log)}")
        wait_for_kafka(self.bootstrap, seconds=START_SECONDS)
        _calm_snapshots(process.pid)
        return self.bootstrap

    def stop(self) -> None:
        """Stop it after a last snapshot."""
        process = self.process
        if process is not None:
            process.stop(seconds=STOP_SECONDS)

    def kill(self) -> None:
        """Kill -9, as a crash would; what came since the last snapshot is lost."""
        process = self.process
        if process is not None:
            process.stop(seconds=10, number=signal.SIGKILL)


def wait_for_kafka(bootstrap: str, *, seconds: float) -> None:
    """Wait until a Kafka client has bootstrapped from `bootstrap`. Raises StackFault after `seconds`.

    Runs its own event loop in a thread, so that it can be called with or without one.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        if not pool.submit(asyncio.run, _bootstraps(bootstrap, seconds)).result():
            raise StackFault(f"no Kafka answers at {bootstrap} after {seconds:.0f} seconds")


async def _bootstraps(bootstrap: str, seconds: float) -> bool:
    # The client logs each refused connection as an error; while we wait they are no news.
    quiet = logging.getLogger("aiokafka")
    before = quiet.level
    quiet.setLevel(logging.CRITICAL)
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
            try:
                await client.bootstrap()
                if client.cluster.brokers():
                    return True
            except (KafkaError, OSError):
                pass
            finally:
                await client.close()
            await asyncio.sleep(0.05)
        return False
    finally:
        quiet.setLevel(before)


def _binary() -> str:
    spec = importlib.util.find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise StackFault(
            "the embedded broker is not installed: pip install 'fakturo[embedded]', or set FAKTURO_KAFKA to a Kafka"
        )
    path = Path(spec.origin).parent / "noida-db"
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return str(path)


def _calm_snapshots(pid: int) -> None:
    """Give the thread that rewrites the snapshot a lower priority: under load it would take half of a core from us."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if (thread / "comm").read_text().strip() == "autosave":
                os.setpriority(os.PRIO_PROCESS, int(thread.name), SNAPSHOT_NICENESS)
