"""What reads again beside the stream, under the same lease: the resync worker and the reconciliation, kept running.

Place     bridge.py -> [this] -> resync.py, reconciliation.py, each with a publisher and a position of its own.
Faults    what goes away by itself is waited for here, so that a REST API that is away, or used up for the day, never
          stops the stream; a fenced publisher is raised: another bridge has taken over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.salesforce.errors import AllocationUsedUp, AuthenticationRefused, OrgFault
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.salesforce.progress import StreamProgress
from fakturo.producers.salesforce.publishing import PositionedPublisher
from fakturo.producers.salesforce.reconciliation import Reconciler
from fakturo.producers.salesforce.resync import ResyncWorker

WORLD = (OSError, TimeoutError, KafkaError, OrgFault)
PAUSE_SECONDS = (0.5, 60.0)
LONG_SECONDS = 60.0

PARTS = ("stream", "resync", "reconcile")
"""Who publishes under a transactional id, and with a position, of its own."""

log = structlog.get_logger(__name__)


def transactional_id(org_id: str, channel: str, part: str) -> str:
    """Return the transactional id of one part (stream, resync, reconcile) of the bridge of an org's channel."""
    return f"fakturo.salesforce.{org_id}.{channel.removeprefix('/data/')}.{part}"


def rereading_workers(
    settings: Settings,
    org: Org,
    progress: StreamProgress,
    entities: Sequence[str],
    publishers: Mapping[str, PositionedPublisher],
) -> list[Coroutine[Any, Any, None]]:
    """Return what answers requests to read again and what looks for changes that no event told, ready to be awaited."""

    def passed_ms() -> int | None:
        return progress.passed_ms

    resync = ResyncWorker(settings, org, publishers["resync"], passed_ms=passed_ms)
    reconciler = Reconciler(
        settings, org, publishers["reconcile"], entities, passed_ms=passed_ms, is_busy_with=resync.is_busy_with
    )
    return [keep_running("resync", resync.run), keep_running("reconciliation", reconciler.run)]


async def keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Call `run` again and again, later and later after faults of the world; it goes on from its own position.

    Raises:
        Fenced: another process has taken over.
    """
    pause, pause_max = PAUSE_SECONDS
    while True:
        started_at = time.monotonic()
        try:
            await run()
        except WORLD as error:
            if time.monotonic() - started_at > pause_max:
                pause = PAUSE_SECONDS[0]
            seconds = LONG_SECONDS if isinstance(error, AllocationUsedUp | AuthenticationRefused) else pause
            reason = f"{type(error).__name__}: {error}"
            log.warning("a worker of the bridge waits and goes on", worker=name, because=reason, seconds=seconds)
            await asyncio.sleep(seconds)
            pause = min(pause * 2, pause_max)
