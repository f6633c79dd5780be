"""A client of the Pub/Sub API over grpc.aio: topic, schemas by id (kept for ever) and the stream of a channel.

Place     the org's bus -> [this] -> stream_session.py. The token comes from Org; every call carries it.
Messages  larger than gRPC's 4 MB are taken: 100 events of up to 1 MB may come in one response.
Silence   gRPC pings a still connection every five minutes (more often the server may take for abuse); the session
          looks at the clock itself besides.
Numbers   of an object are rounded to the scale that describe tells when its schema is first seen; while the day's API
          calls are used up they go without, and it is asked again later.
Source    reference 1.1 to 1.6; gRPC, "Keepalive".
"""

import time
from collections.abc import Mapping
from typing import Any

import grpc
import structlog

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.salesforce.errors import AllocationUsedUp, OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.salesforce.tokens import AccessToken
from fakturo.producers.salesforce.decoding import WriterSchema, entity_of_text, read_schema
from fakturo.producers.salesforce.errors import Action, BusFault, bus_fault
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.producers.salesforce.pubsub_api.pubsub_api_pb2_grpc import PubSubStub
from fakturo.schemas.salesforce.compounds import flat_to_dotted

CALL_SECONDS_MAX = 30.0
MESSAGE_BYTES_MAX = 128 * 1_048_576
UNSCALED_SECONDS = 600.0
DECIMAL_TYPES = frozenset({"currency", "double", "percent"})
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_retries", 0),
)

log = structlog.get_logger(__name__)


class BusClient:
    """The Pub/Sub API of one org. `open` may be called again: it makes a new connection."""

    def __init__(self, settings: SalesforceSettings, org: Org) -> None:
        self._settings = settings
        self._org = org
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None
        self._token: AccessToken | None = None
        self._schemas: dict[str, WriterSchema] = {}
        self._ask_again_at: dict[str, float] = {}

    @property
    def channel_name(self) -> str:
        """Return the channel that is subscribed to."""
        return self._settings.channel

    async def open(self) -> None:
        """Connect anew, and look whether the channel is there and may be read.

        Raises:
            BusFault: see errors.py.
            OrgFault: no token.
        """
        await self.close()
        self._channel = _channel(self._settings)
        self._stub = PubSubStub(self._channel)  # type: ignore[no-untyped-call]
        name = self._settings.channel
        topic = await self._ask("GetTopic", pb.TopicRequest(topic_name=name))
        if not topic.can_subscribe:
            raise BusFault("subscription.topic.cannot.subscribe", Action.STAND, f"{name} can't be subscribed to")

    async def close(self) -> None:
        """Close the connection and what runs on it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)

    async def renew_token(self) -> None:
        """Get another token instead of the one that was refused."""
        self._token = await self._org.token(instead_of=self._token)

    async def subscribe(self, first: pb.FetchRequest) -> Any:
        """Return the open stream of the settings' channel, its first request sent."""
        call = self._stub.Subscribe(metadata=await self._metadata())
        try:
            await call.write(first)
        except grpc.aio.AioRpcError as error:
            raise self.fault_of(error) from None
        return call

    def known_schema(self, schema_id: str) -> WriterSchema | None:
        """Return a schema that has been asked for before, None where it is to be asked for (again)."""
        if self._ask_again_at and self._ask_again_at.get(schema_id, float("inf")) <= time.monotonic():
            return None
        return self._schemas.get(schema_id)

    async def schema(self, schema_id: str) -> WriterSchema:
        """Return the schema of this id; it never changes, so it is asked for once.

        Raises:
            DecodeFault: what the org answers is no schema of a change event.
            BusFault, OrgFault: it can't be had now.
        """
        found = self.known_schema(schema_id)
        if found is None:
            text = (await self._ask("GetSchema", pb.SchemaRequest(schema_id=schema_id))).schema_json
            entity = entity_of_text(text)
            scales = await self._scales(entity, schema_id) if entity else {}
            found = self._schemas[schema_id] = read_schema(schema_id, text, scales)
            log.info("schema read", schema_id=schema_id, entity=entity, fields=len(found.layout))
        return found

    def fault_of(self, error: grpc.aio.AioRpcError) -> BusFault:
        """Return what a failed call means."""
        return bus_fault(error, self._token.access_token if self._token else "")

    async def _scales(self, entity: str, schema_id: str) -> dict[str, int]:
        """Return the digits after the point by field, compounds' parts dotted."""
        try:
            described = await self._org.describe(entity, fresh=True)
        except OrgRefused as fault:
            log.warning(
                "an object can't be described: its numbers keep the digits they come with",
                entity=entity,
                reason=str(fault),
            )
            return {}
        except AllocationUsedUp:
            self._ask_again_at[schema_id] = time.monotonic() + UNSCALED_SECONDS
            return {}
        self._ask_again_at.pop(schema_id, None)
        return scales_of(described)

    async def _ask(self, method: str, request: Any) -> Any:
        try:
            return await getattr(self._stub, method)(request, metadata=await self._metadata(), timeout=CALL_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            raise self.fault_of(error) from None

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        self._token = token = await self._org.token()
        return (
            ("accesstoken", token.access_token),
            ("instanceurl", token.instance_url),
            ("tenantid", token.org_id),
        )


def scales_of(described: Mapping[str, Any]) -> dict[str, int]:
    """Return the digits after the point of an object's number fields by canonical name, from its describe."""
    fields = described.get("fields", ())
    names = {str(field["name"]) for field in fields}
    return {
        flat_to_dotted(str(field["name"]), names): int(field["scale"])
        for field in fields
        if field.get("type") in DECIMAL_TYPES and field.get("scale") is not None
    }


def _channel(settings: SalesforceSettings) -> grpc.aio.Channel:
    if settings.is_plain:
        return grpc.aio.insecure_channel(settings.pubsub_target, options=OPTIONS)
    try:
        roots = None if settings.ca_file is None else settings.ca_file.read_bytes()
    except OSError as error:
        raise SettingsFault(f"FAKTURO_SALESFORCE_CA_FILE: {error.strerror}") from None
    return grpc.aio.secure_channel(
        settings.pubsub_target, grpc.ssl_channel_credentials(root_certificates=roots), options=OPTIONS
    )
