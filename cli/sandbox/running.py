"""Runs a sandbox for tests and for the demo: in this event loop, in a thread, or as a process of its own.

Place     tests, `fakturo demo` -> [this] -> server.py, `fakturo sandbox`
Rules     A client that blocks (simple-salesforce) must not share the event loop: call it in a thread, or run the
          sandbox in one. `org` may be used directly only from the loop that serves it; `in_loop` gets there from
          elsewhere.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.server import RunningSandbox, start_sandbox

Result = TypeVar("Result")
_STOP_SECONDS = 10.0


@asynccontextmanager
async def run_sandbox(
    org: SandboxOrg | None = None,
    *,
    start: datetime | None = None,
    seed: int = 0,
    plain: bool = False,
    port: int = 0,
    pubsub_port: int = 0,
) -> AsyncIterator[RunningSandbox]:
    """Serve an org (a new one unless given) from this event loop until the block is left."""
    sandbox = await start_sandbox(
        org or SandboxOrg(start=start, seed=seed), port=port, pubsub_port=pubsub_port, plain=plain
    )
    try:
        yield sandbox
    finally:
        await sandbox.stop()


@dataclass(slots=True)
class ThreadedSandbox:
    """A sandbox whose event loop runs in a thread of its own."""

    sandbox: RunningSandbox
    _loop: asyncio.AbstractEventLoop = field(repr=False)

    def in_loop(self, act: Callable[[SandboxOrg], Result]) -> Result:
        """Run `act` on the org where it is served, and return what it returns."""

        async def acting() -> Result:
            return act(self.sandbox.org)

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result()


@contextmanager
def sandbox_in_thread(
    org: SandboxOrg | None = None, *, seed: int = 0, plain: bool = False
) -> Iterator[ThreadedSandbox]:
    """Serve an org from a thread until the block is left, for clients that block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    thread.start()
    try:
        starting = start_sandbox(org or SandboxOrg(seed=seed), plain=plain)
        sandbox = asyncio.run_coroutine_threadsafe(starting, loop).result()
        try:
            yield ThreadedSandbox(sandbox, loop)
        finally:
            asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(_STOP_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_SECONDS)
        loop.close()


@dataclass(slots=True)
class SandboxProcess:
    """A `fakturo sandbox` that runs as a child; `told` is what it printed: rest_url, pubsub_target, credentials."""

    told: dict[str, Any] = field(repr=False)
    process: subprocess.Popen[str] = field(repr=False)

    def stop(self) -> None:
        """End it, by force if it does not go."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_sandbox_process(options: Sequence[str] = ()) -> SandboxProcess:
    """Start `fakturo sandbox --json` with further options; returns once it serves.

    Raises:
        RuntimeError: it ended instead.
    """
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "fakturo.cli.main", "sandbox", "--json", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the sandbox ended at once, with status {process.wait()}")
    return SandboxProcess(json.loads(line), process)
