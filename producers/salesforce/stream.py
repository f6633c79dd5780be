"""The stream of an org's channel, for ever: where it starts, and what is done about each way in which it ends.

Place     bridge.py (under the lease) -> [this] -> stream_session.py, one call after the other.
Start     from the stored position. Without one (the first start) from LATEST: with the first position (an event's, or
          the first sign of life, 270 s at most) the request to read every object whole goes out, and the stream goes
          on from there; per-field versions decide between a row and an event (reference 2.6).
Lost      a position that the org does not know is never asked for twice: `resync` starts as at first, `latest` and
          `earliest` start there, `fail` stands still until an administrator has decided.
Errors    table in errors.py. What a person must look at makes the process unready; it looks again at long intervals.
"""

import asyncio
import base64
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from fakturo.consumers.runtime.metrics import (
    BRIDGE_POSITION_LOST,
    BRIDGE_RECONNECTS,
    BRIDGE_RESYNC_REQUESTS,
)
from fakturo.consumers.runtime.salesforce.errors import AuthenticationRefused, OrgFault, OrgUnavailable
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.producers.salesforce.errors import Action, BusFault
from fakturo.producers.salesforce.intake import Intake
from fakturo.producers.salesforce.position import StreamPosition
from fakturo.producers.salesforce.progress import StreamProgress
from fakturo.producers.salesforce.publishing import Outgoing, PositionedPublisher
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.producers.salesforce.resync_requests import ResyncRequest, request_record
from fakturo.producers.salesforce.stream_session import Opening, StreamEnded, StreamSession, Tempo
from fakturo.producers.salesforce.subscriber import BusClient

FIRST_START = "first_start"
POSITION_LOST = "position_lost"
TOKEN_TRIES = 3
"""So many new tokens are refused before somebody must look: IP restrictions, a release window."""
FETCH_PAUSE_SECONDS_MAX = 1.0
ASK_TIME_SECONDS_MAX = 5.0
CALM_SECONDS = 600.0
"""After so long without a complaint about too many requests, the pauses between them shrink."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long to wait before the stream is opened again, in seconds: after a fault that passes, and after others."""

    first: float = 0.5
    most: float = 60.0
    slow_down: float = 10.0
    administrator: float = 60.0


class Stream:
    """Streams under the lease. `entities` are the objects that are read whole where the position is new or lost."""

    def __init__(
        self,
        org: Org,
        publisher: PositionedPublisher,
        progress: StreamProgress,
        position: StreamPosition | None,
        *,
        partitions: int,
        entities: Sequence[str],
        tempo: Tempo | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self.position = position
        self._settings: SalesforceSettings = org.settings
        self._org = org
        self._client = BusClient(org.settings, org)
        self._publisher = publisher
        self._progress = progress
        self._partitions = partitions
        self._entities = tuple(entities)
        self._tempo = tempo or Tempo()
        self._pauses = pauses or Pauses()
        self._lost_policy: str | None = None
        self._tries = 0
        self._token_tries = 0
        self._fetch_pause_seconds = 0.0
        self._slowed_at = 0.0

    async def run(self) -> None:
        """Stream until cancelled.

        Raises:
            Fenced, RecordRefused: see publishing.py.
        """
        try:
            while True:
                await self._meet(await self._session())
        finally:
            await self._client.close()

    async def _session(self) -> BusFault | StreamEnded | OrgFault:
        """Stream until a call has ended; return why."""
        try:
            await self._client.open()
            await self._stream()
        except (BusFault, StreamEnded, OrgFault) as fault:
            return fault
        return StreamEnded("the call is over")

    async def _stream(self) -> None:
        intake = Intake(
            self._org.org_id,
            self._partitions,
            self._settings.client_name,
            "" if self.position is None else self.position.remembered,
        )
        session = StreamSession(
            self._client,
            self._publisher,
            intake,
            self._progress,
            self._ask_time_ms,
            tempo=self._tempo,
            fetch_pause_seconds=self._fetch_pause(),
        )
        first, opening = self._beginning()
        log.info("the stream opens", channel=first.topic_name, start=pb.ReplayPreset.Name(first.replay_preset))
        try:
            await session.run(first, opening)
        finally:
            if session.position is not None:
                self.position, self._lost_policy = session.position, None
            if session.heard_anything:
                self._tries = self._token_tries = 0

    def _beginning(self) -> tuple[pb.FetchRequest, Opening | None]:
        channel, position = self._settings.channel, self.position
        if position is None:
            return pb.FetchRequest(topic_name=channel, replay_preset=pb.LATEST), self._opening(FIRST_START)
        if self._lost_policy is None:
            custom = pb.FetchRequest(topic_name=channel, replay_preset=pb.CUSTOM, replay_id=position.replay_bytes)
            return custom, None
        preset = pb.EARLIEST if self._lost_policy == "earliest" else pb.LATEST
        opening = self._opening(POSITION_LOST) if self._lost_policy == "resync" else None
        return pb.FetchRequest(topic_name=channel, replay_preset=preset), opening

    def _opening(self, reason: str) -> Opening:
        """Return what asks for every object to be read whole, from the first position on."""

        def requests(replay_id: bytes) -> list[Outgoing]:
            place = base64.b64encode(replay_id).decode()
            log.warning("every object is read whole", reason=reason, entities=",".join(self._entities))
            BRIDGE_RESYNC_REQUESTS.labels(reason).inc(len(self._entities))
            return [
                request_record(
                    ResyncRequest(
                        org=self._org.org_id,
                        entity=entity,
                        record_ids=None,
                        reason=reason,
                        requested_at_ms=int(time.time() * 1000),
                        request_id=f"{reason}/{place}/{entity}",
                    )
                )
                for entity in self._entities
            ]

        return requests

    async def _ask_time_ms(self) -> int | None:
        try:
            async with asyncio.timeout(ASK_TIME_SECONDS_MAX):
                asked = await self._org.ask_time()
        except (OrgFault, TimeoutError):
            return None  # the stream does not wait for it: the next silence tells
        return int(asked.timestamp() * 1000)

    async def _meet(self, fault: BusFault | StreamEnded | OrgFault) -> None:
        if isinstance(fault, BusFault):
            await self._meet_bus(fault)
        elif isinstance(fault, OrgFault):
            await self._meet_org(fault)
        else:
            BRIDGE_RECONNECTS.labels("ended").inc()
            await self._back_off(str(fault))

    async def _meet_bus(self, fault: BusFault) -> None:
        BRIDGE_RECONNECTS.labels(fault.label).inc()
        match fault.action:
            case Action.BACK_OFF | Action.RESTART:
                await self._back_off(str(fault))
            case Action.NEW_TOKEN:
                await self._new_token(fault)
            case Action.SLOW_DOWN:
                self._fetch_pause_seconds = min(max(self._fetch_pause_seconds * 2, 0.05), FETCH_PAUSE_SECONDS_MAX)
                self._slowed_at = time.monotonic()
                await self._wait(str(fault), self._pauses.slow_down)
            case Action.POSITION_LOST:
                await self._position_lost(fault)
            case _:
                await self._stop(str(fault), self._pauses.administrator)

    async def _meet_org(self, fault: OrgFault) -> None:
        BRIDGE_RECONNECTS.labels("org").inc()
        if isinstance(fault, OrgUnavailable):
            await self._back_off(str(fault))
        elif isinstance(fault, AuthenticationRefused):
            await self._stop(str(fault), self._pauses.most)
        else:
            await self._stop(str(fault), self._pauses.administrator)

    async def _new_token(self, fault: BusFault) -> None:
        self._token_tries += 1
        if self._token_tries > TOKEN_TRIES:
            await self._stop(f"{fault}; {TOKEN_TRIES} new tokens did not help", self._pauses.most)
        try:
            await self._client.renew_token()
        except OrgFault as refused:
            return await self._meet_org(refused)
        if self._token_tries > 1:
            await self._back_off(str(fault))
        return None

    async def _position_lost(self, fault: BusFault) -> None:
        if self.position is None or self._lost_policy is not None:
            return await self._stop(f"{fault}, although none was given", self._pauses.administrator)
        policy = self._settings.replay_policy
        BRIDGE_POSITION_LOST.labels(policy).inc()
        log.error("the org does not know our position", reason=str(fault), policy=policy, written=self.position.at_ms)
        while policy == "fail":
            await self._stop(
                f"{fault}: the position is lost and FAKTURO_SALESFORCE_REPLAY_POLICY is fail; decide, set it to "
                "resync, latest or earliest, and start again",
                self._pauses.administrator,
            )
        self._lost_policy = policy
        return None

    async def _back_off(self, reason: str) -> None:
        seconds = min(self._pauses.first * 2**self._tries, self._pauses.most)
        self._tries = min(self._tries + 1, 30)
        await self._wait(reason, seconds * random.uniform(0.75, 1.25))  # noqa: S311 - so that not all come at once

    async def _wait(self, reason: str, seconds: float) -> None:
        self._progress.waiting = reason
        log.warning("the stream waits and opens again", because=reason, seconds=round(seconds, 1))
        await asyncio.sleep(seconds)

    async def _stop(self, reason: str, seconds: float) -> None:
        """Stand still, unready, and look again after `seconds`."""
        if self._progress.stopped != reason:
            log.error("the stream stands still: an administrator must look", reason=reason)
        self._progress.stopped = reason
        await asyncio.sleep(seconds)

    def _fetch_pause(self) -> float:
        if self._fetch_pause_seconds and time.monotonic() - self._slowed_at > CALM_SECONDS:
            self._slowed_at = time.monotonic()
            self._fetch_pause_seconds = self._fetch_pause_seconds / 2 if self._fetch_pause_seconds > 0.05 else 0.0
        return self._fetch_pause_seconds
