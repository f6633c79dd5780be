"""A Pub/Sub API in the test's own process: what it is told to say, with credits, keep-alives and error trailers.

It is dumber than the sandbox org on purpose: a test says event by event and response by response what comes.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import grpc

from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.salesforce.tokens import AccessToken
from fakturo.producers.salesforce.errors import PREFIX
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.producers.salesforce.pubsub_api.pubsub_api_pb2_grpc import (
    PubSubServicer,
    add_PubSubServicer_to_server,
)
from tests.producers.salesforce.change_events import ACCOUNT_ID, ORG, account_schema, header, payload

SCHEMA_ID = "schema-1"


def refusal(suffix: str, status: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> tuple[grpc.StatusCode, str]:
    return status, suffix


@dataclass
class FakeBus(PubSubServicer):
    """`log` is every event, the replay id being its number; `script` says how the next calls end at once."""

    schemas: dict[str, dict[str, Any]] = field(default_factory=lambda: {SCHEMA_ID: account_schema()})
    log: list[pb.ConsumerEvent] = field(default_factory=list)
    script: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    opened: list[pb.FetchRequest] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    schema_requests: list[str] = field(default_factory=list)
    keepalive_seconds: float = 0.2
    first_known: int = 0
    can_subscribe: bool = True
    said: str = "refused"
    kept_alive: int = 0

    def add(
        self, body: bytes, *, event_id: str | None = None, schema_id: str = SCHEMA_ID, shared: bool = False
    ) -> None:
        """Append an event; `shared` gives it the replay id of the one before."""
        number = len(self.log)
        replay_id = self.log[-1].replay_id if shared else number.to_bytes(8, "big")
        event = pb.ProducerEvent(id=event_id or f"event-{number}", schema_id=schema_id, payload=body)
        self.log.append(pb.ConsumerEvent(event=event, replay_id=replay_id))

    def add_fax(self, fax: str, record_id: str = ACCOUNT_ID, **head: Any) -> None:
        head = {"changedFields": ["0x80"], "recordIds": [record_id], **head}
        self.add(payload(self.schemas[SCHEMA_ID], header(**head), Fax=fax))

    async def GetTopic(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's names
        self._look_at(context)
        return pb.TopicInfo(topic_name=request.topic_name, can_subscribe=self.can_subscribe)

    async def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._look_at(context)
        self.schema_requests.append(request.schema_id)
        if request.schema_id not in self.schemas:
            await self._refuse(context, (grpc.StatusCode.NOT_FOUND, "schema.validation.failed"))
        return pb.SchemaInfo(schema_id=request.schema_id, schema_json=json.dumps(self.schemas[request.schema_id]))

    async def Subscribe(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self._look_at(context)
        first = await anext(requests)
        self.opened.append(first)
        if self.script:
            await self._refuse(context, self.script.pop(0))
        place = await self._start(first, context)
        credit = SimpleNamespace(left=first.num_requested)
        listening = asyncio.create_task(self._listen(requests, credit))
        still = 0.0
        try:
            while True:
                if self.script:
                    await self._refuse(context, self.script.pop(0))
                events = self.log[place : place + credit.left]
                if events:
                    place, still = place + len(events), 0.0
                    credit.left -= len(events)
                    yield pb.FetchResponse(
                        events=events, latest_replay_id=events[-1].replay_id, pending_num_requested=credit.left
                    )
                elif still >= self.keepalive_seconds and credit.left:
                    still = 0.0
                    self.kept_alive += 1
                    latest = max(place - 1, 0).to_bytes(8, "big") if place else b"\x00start"
                    yield pb.FetchResponse(latest_replay_id=latest, pending_num_requested=credit.left)
                await asyncio.sleep(0.01)
                still += 0.01
        finally:
            listening.cancel()

    async def _listen(self, requests: Any, credit: SimpleNamespace) -> None:
        async for request in requests:
            self.fetched.append(request.num_requested)
            credit.left = min(credit.left + request.num_requested, 100)

    async def _start(self, first: Any, context: Any) -> int:
        if first.replay_preset == pb.EARLIEST:
            return self.first_known
        if first.replay_preset == pb.LATEST:
            return len(self.log)
        known = [number for number, one in enumerate(self.log) if one.replay_id == first.replay_id]
        if first.replay_id == b"\x00start" and not self.first_known:
            return 0
        if not known or known[-1] < self.first_known:
            await self._refuse(context, refusal("subscription.fetch.replayid.corrupted"))
        return known[-1] + 1

    def _look_at(self, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        assert metadata["tenantid"] == ORG
        assert metadata["instanceurl"].startswith("https://")
        self.tokens.append(metadata["accesstoken"])

    async def _refuse(self, context: Any, what: tuple[grpc.StatusCode, str]) -> None:
        status, suffix = what
        context.set_trailing_metadata((("error-code", PREFIX + suffix),) if suffix else ())
        await context.abort(status, f"{self.said} (token {self.tokens[-1]})")


class FakeOrg:
    """What the stream needs of an Org."""

    def __init__(self, target: str, **settings: Any) -> None:
        self.settings = SalesforceSettings(
            login_url="http://127.0.0.1:1",
            client_id="id",
            client_secret="planted-client-secret",
            pubsub_target=target,
            **settings,
        )
        self.org_id = ORG
        self.tokens_given = 0
        self.scale = 2
        self.fault: Exception | None = None
        self._token = self._next()

    def _next(self) -> AccessToken:
        self.tokens_given += 1
        return AccessToken(f"planted-token-{self.tokens_given}", "https://acme.my.salesforce.com", ORG, "005")

    async def token(self, *, renew: bool = False, instead_of: AccessToken | None = None) -> AccessToken:
        if self.fault is not None:
            raise self.fault
        if renew or instead_of is self._token:
            self._token = self._next()
        return self._token

    async def describe(self, entity: str, *, fresh: bool = False) -> dict[str, Any]:
        return {"fields": [{"name": "AnnualRevenue", "type": "currency", "scale": self.scale}]}

    async def ask_time(self) -> datetime:
        return datetime(2026, 11, 1, 13, tzinfo=UTC)


@asynccontextmanager
async def serving(bus: FakeBus) -> AsyncIterator[str]:
    """Serve `bus` on a free port; give its target."""
    server = grpc.aio.server()
    add_PubSubServicer_to_server(bus, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
