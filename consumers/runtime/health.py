"""Is this process alive, and can it work: `/livez`, `/readyz` and `/metrics` on one small HTTP port.

Place     runners and relay report to `Health`; Kubernetes, Prometheus and `fakturo status` ask `HealthServer`.
livez     fails only when neither the loop nor a declared back-off has moved for 30 seconds: a restart would help.
readyz    one sentence a check (health_checks.py): database, migrations, broker, assignment, stopped partitions.
Why own   a request line and three answers need no web framework; an agent starts faster without one.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from fakturo.consumers.runtime.metrics import ASSIGNED_PARTITIONS, PARTITIONS_STOPPED, REBALANCES
from fakturo.consumers.runtime.settings import Settings

STILL_SECONDS_MAX = 30.0
CHECK_SECONDS_MAX = 3.0
REQUEST_SECONDS_MAX = 10.0

Check = Callable[[], Awaitable[tuple[bool, str]]]
"""Answers whether it is well, and says so in a sentence."""


class Health:
    """What a process knows of itself; cheap to report to, from the loop that does the work."""

    def __init__(self, agent: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.agent = agent
        self.waiting_for: str | None = None
        self.assigned_count: int | None = None
        self.stopped_partitions: dict[tuple[str, int], str] = {}
        self._clock = clock
        self._moved_at = clock()

    def beat(self) -> None:
        """Say that the loop has gone round, and that it waits for nothing."""
        self._moved_at = self._clock()
        self.waiting_for = None

    def waiting(self, what: str) -> None:
        """Say that the loop backs off on purpose because of `what`; call it again at every try."""
        self._moved_at = self._clock()
        self.waiting_for = what

    def assigned(self, count: int) -> None:
        """Say that the coordinator has given this worker `count` partitions."""
        self.assigned_count = count
        ASSIGNED_PARTITIONS.labels(self.agent).set(count)
        REBALANCES.labels(self.agent).inc()

    def stopped(self, topic: str, partition: int, reason: str) -> None:
        """Say that this partition is not read any more until a person has looked."""
        self.stopped_partitions[topic, partition] = reason
        PARTITIONS_STOPPED.labels(self.agent).set(len(self.stopped_partitions))

    def resumed(self, topic: str, partition: int) -> None:
        """Say that a stopped partition is read again."""
        self.stopped_partitions.pop((topic, partition), None)
        PARTITIONS_STOPPED.labels(self.agent).set(len(self.stopped_partitions))

    @property
    def still_seconds(self) -> float:
        """Return for how long nothing has moved."""
        return self._clock() - self._moved_at

    @property
    def is_live(self) -> bool:
        """Return whether the loop or a declared back-off has moved lately."""
        return self.still_seconds <= STILL_SECONDS_MAX

    def livez(self) -> tuple[bool, str]:
        """Return whether the process is alive, with a sentence."""
        if not self.is_live:
            return False, f"nothing has moved for {self.still_seconds:.0f} s"
        return True, f"waiting: {self.waiting_for}" if self.waiting_for else "the loop moves"

    def assignment(self) -> tuple[bool, str]:
        """Return whether partitions are assigned and none of them is stopped, with a sentence."""
        if self.stopped_partitions:
            names = "; ".join(f"{topic}-{part}: {why}" for (topic, part), why in self.stopped_partitions.items())
            return False, f"stopped: {names}"
        if self.assigned_count is None:
            return False, "no assignment yet"
        return True, f"{self.assigned_count} partitions"


class HealthServer:
    """Serves `health` on settings.metrics_host:metrics_port (0 takes a free port, see `port`)."""

    def __init__(self, health: Health, settings: Settings, checks: dict[str, Check] | None = None) -> None:
        self.health = health
        self.port = 0
        self._settings = settings
        self._checks = checks or {}
        self._server: asyncio.Server | None = None

    @property
    def port_file(self) -> Path:
        """Return where the chosen port is written, if the embedded stack's folder is there."""
        return self._settings.home / "run" / f"{self.health.agent}-{self._settings.instance}.port"

    async def start(self) -> None:
        """Listen, and leave the port where `fakturo status` finds it."""
        self._server = await asyncio.start_server(self._serve, self._settings.metrics_host, self._settings.metrics_port)
        self.port = self._server.sockets[0].getsockname()[1]
        if self._settings.home.is_dir():
            self.port_file.parent.mkdir(exist_ok=True)
            self.port_file.write_text(str(self.port))

    async def stop(self) -> None:
        """Stop listening and take the port file away."""
        if self._server is not None:
            self._server.close()
            self.port_file.unlink(missing_ok=True)

    async def readyz(self) -> tuple[bool, dict[str, object]]:
        """Return whether every check is well, and each check with its sentence."""
        results = await asyncio.gather(*(_run(check) for check in self._checks.values()))
        answers = dict(zip(self._checks, results, strict=True))
        ready = all(well for well, _ in answers.values())
        checks = {name: {"ok": well, "says": says} for name, (well, says) in answers.items()}
        return ready, {"ready": ready, "agent": self.health.agent, "checks": checks}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_SECONDS_MAX)
            path, accept = _parse(head.decode("latin-1"))
            status, content_type, body = await self._answer(path, accept)
            reason = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
            writer.write(
                f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()

    async def _answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            encoder, content_type = choose_encoder(accept)
            return 200, content_type, encoder(REGISTRY)
        if path == "/livez":
            live, says = self.health.livez()
            return _json(live, {"live": live, "agent": self.health.agent, "says": says})
        if path == "/readyz":
            ready, document = await self.readyz()
            return _json(ready, document)
        return 404, "text/plain", b"/livez, /readyz or /metrics\n"


async def _run(check: Check) -> tuple[bool, str]:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS_MAX)
    except TimeoutError:
        return False, f"no answer within {CHECK_SECONDS_MAX:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever a check fails with is its answer
        return False, f"{type(error).__name__}: {error}"


def _json(well: bool, document: dict[str, object]) -> tuple[int, str, bytes]:
    return (200 if well else 503), "application/json", json.dumps(document).encode() + b"\n"


def _parse(head: str) -> tuple[str, str]:
    request, *lines = head.split("\r\n")
    path = request.split(" ")[1].split("?")[0]
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return path, headers.get("accept", "")
