"""A small org for the tests of the bus, and a Pub/Sub client made of the generated stubs alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc

from fakturo.cli.sandbox.metadata import Field, SObject, address_parts
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.cli.sandbox.pubsub.server import start_bus
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.producers.salesforce.pubsub_api.pubsub_api_pb2_grpc import PubSubStub
from tests.cli.sandbox.avro_by_hand import names_of, read_record

NOW = datetime(2026, 11, 1, 12, 0, 0, 456_000, tzinfo=UTC)
NOW_MS = 1_793_534_400_000  # 2026-11-01T12:00:00Z, as in the reference's canonical record
ALL = "/data/ChangeEvents"


def stamps() -> list[Field]:
    return [
        Field(name="CreatedDate", type="datetime"),
        Field(name="CreatedById", type="reference", reference_to=("User",)),
        Field(name="LastModifiedDate", type="datetime"),
        Field(name="LastModifiedById", type="reference", reference_to=("User",)),
        Field(name="SystemModstamp", type="datetime"),
        Field(name="IsDeleted", type="boolean"),
    ]


def object_of(name: str, prefix: str, fields: list[Field], **more: Any) -> SObject:
    every = [Field(name="Id", type="id"), *fields, *stamps()]
    names = {one.name: one for one in every}
    return SObject(name=name, label=name, label_plural=f"{name}s", key_prefix=prefix, fields=names, **more)


def account() -> SObject:
    """The fields of the official worked example, in its order: Fax is 7, Industry 11, LastModifiedDate 22."""
    texts = {"AccountNumber": "string", "Website": "url", "Sic": "string", "Industry": "picklist"}
    fields = [
        Field(name="Name", type="string", length=255),
        Field(name="Type", type="picklist"),
        Field(name="ParentId", type="reference", reference_to=("Account",)),
        Field(name="BillingAddress", type="address"),
        *address_parts("BillingAddress"),
        Field(name="ShippingAddress", type="address"),
        *address_parts("ShippingAddress"),
        Field(name="Phone", type="phone", length=40),
        Field(name="Fax", type="phone", length=40),
        *(Field(name=name, type=kind, length=255) for name, kind in texts.items()),
        Field(name="AnnualRevenue", type="currency", precision=18, scale=0),
        Field(name="NumberOfEmployees", type="int"),
        Field(name="Ownership", type="picklist"),
        Field(name="TickerSymbol", type="string", length=20),
        Field(name="Description", type="textarea", length=32_000),
        Field(name="Rating", type="picklist"),
        Field(name="Site", type="string", length=80),
        Field(name="OwnerId", type="reference", reference_to=("User",)),
    ]
    return object_of("Account", "001", fields)


def order_item() -> SObject:
    fields = [
        Field(name="Quantity", type="double", precision=18, scale=2),
        Field(name="AvailableQuantity", type="double", precision=18, scale=2),
        Field(name="UnitPrice", type="currency", precision=18, scale=2),
        Field(name="TotalPrice", type="currency", precision=18, scale=2, in_event=False),
        Field(name="ServiceDate", type="date"),
        Field(name="Trial__c", type="boolean", custom_id="00N5f000004xQ1z"),
        Field(name="Ends_On__c", type="date", custom_id="00N5f000004xQ2a"),
        Field(name="Opens_At__c", type="time", custom_id="00N5f000004xQ3b"),
    ]
    return object_of("OrderItem", "802", fields)


def ping() -> SObject:
    fields = [Field(name="Text__c", type="string", length=80, custom_id="00N5f000004xQ4c")]
    return object_of("Ping__e", "e00", fields, cdc=False)


def small_org(*more: SObject) -> SandboxOrg:
    org = SandboxOrg(objects=[account(), order_item(), ping(), *more])
    org.clock.freeze(NOW)
    return org


@dataclass
class Decoded:
    """An event as a client sees it; decoded by hand."""

    header: dict[str, Any]
    body: dict[str, Any]
    changed: list[str]
    nulled: list[str]
    diff: list[str]
    uuid: str
    replay_id: bytes
    schema_id: str

    @property
    def kind(self) -> str:
        return str(self.header["changeType"])

    @property
    def record_ids(self) -> list[str]:
        return list(self.header["recordIds"])


def decoded(event: pb.ConsumerEvent, schema_json: str) -> Decoded:
    record = read_record(schema_json, event.event.payload)
    header = record.pop("ChangeEventHeader")
    lists = [names_of(header[name], schema_json) for name in ("changedFields", "nulledFields", "diffFields")]
    return Decoded(header, record, *lists, event.event.id, event.replay_id, event.event.schema_id)


def logged(bus: EventBus, topic: str = ALL) -> list[Decoded]:
    """Return everything that the bus holds, decoded with each event's own schema."""
    batch = bus.log.read(0, bus.members(bus.topic(topic)), 1_000_000, 1 << 40)
    found = []
    for event in pb.FetchResponse.FromString(b"".join(batch.events)).events:
        schema = bus.schema(event.event.schema_id)
        assert schema is not None
        found.append(decoded(event, schema.text))
    return found


@dataclass
class Client:
    """The generated stub with the headers that every call needs."""

    stub: Any
    headers: tuple[tuple[str, str], ...]
    schemas: dict[str, str] = field(default_factory=dict)

    async def schema(self, schema_id: str) -> str:
        if schema_id not in self.schemas:
            info = await self.stub.GetSchema(pb.SchemaRequest(schema_id=schema_id), metadata=self.headers)
            assert info.schema_id == schema_id
            json.loads(info.schema_json)
            self.schemas[schema_id] = info.schema_json
        return self.schemas[schema_id]

    def subscribe(self, topic: str = ALL) -> "Stream":
        return Stream(self, topic, self.stub.Subscribe(metadata=self.headers))

    async def earliest(self, count: int, topic: str = ALL) -> "Stream":
        """Open a stream that begins with the oldest event, and ask for `count`."""
        stream = self.subscribe(topic)
        await stream.fetch(count, replay_preset=pb.EARLIEST)
        return stream

    async def after(self, replay_id: bytes, count: int = 100) -> "Stream":
        """Open a stream that begins behind an event, and ask for `count`."""
        stream = self.subscribe()
        await stream.fetch(count, replay_preset=pb.CUSTOM, replay_id=replay_id)
        return stream


@dataclass
class Stream:
    """One Subscribe call."""

    client: Client
    topic: str
    call: Any

    async def fetch(self, count: int, **more: Any) -> None:
        await self.call.write(pb.FetchRequest(**{"topic_name": self.topic, "num_requested": count} | more))

    async def response(self) -> pb.FetchResponse:
        got = await asyncio.wait_for(self.call.read(), 10)
        assert isinstance(got, pb.FetchResponse), "the stream has ended"
        return got

    async def events(self, count: int) -> list[Decoded]:
        found: list[Decoded] = []
        while len(found) < count:
            got = (await self.response()).events
            found += [decoded(event, await self.client.schema(event.event.schema_id)) for event in got]
        assert len(found) == count
        return found

    async def ends(self) -> bool:
        return await asyncio.wait_for(self.call.read(), 10) is grpc.aio.EOF


async def refusal(act: Callable[[], Awaitable[Any]]) -> tuple[grpc.StatusCode, str]:
    """Return status and error code (its last part) of a call that is refused; the rpc id is in text and trailers."""
    try:
        await act()
    except grpc.aio.AioRpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        prefix = "sfdc.platform.eventbus.grpc."
        assert str(trailers["error-code"]).startswith(prefix)
        assert f"rpcId: {trailers['rpc-id']}" in str(error.details())
        return error.code(), str(trailers["error-code"]).removeprefix(prefix)
    raise AssertionError("the call was not refused")


@asynccontextmanager
async def running(org: SandboxOrg) -> AsyncIterator[tuple[EventBus, Client]]:
    """Run the org's bus on loopback and give a client that is logged in."""
    server = await start_bus(org)
    token = org.sessions.issue(org.user_id).token
    headers = (("accesstoken", token), ("instanceurl", "https://acme.my.salesforce.com"), ("tenantid", org.org_id))
    async with grpc.aio.insecure_channel(server.target) as channel:
        yield server.bus, Client(PubSubStub(channel), headers)
    await server.stop()
