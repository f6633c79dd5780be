"""The gRPC service eventbus.v1.PubSub of the sandbox org.

Place     Pub/Sub clients -> [this] -> subscription, publishing, bus
Rules     Every call is checked for its headers, has an rpc id, and fails with an error code in the trailers and the
          rpc id in trailers and text. FetchResponses leave as bytes: the log holds them serialised.
Source    pubsub_api.proto; Pub/Sub API guide.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc

from fakturo.cli.sandbox.pubsub.access import check_access
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.cli.sandbox.pubsub.errors import BusError, invalid, told, unavailable
from fakturo.cli.sandbox.pubsub.publishing import publish
from fakturo.cli.sandbox.pubsub.subscription import Subscription
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb

SERVICE = "eventbus.v1.PubSub"
REFUSED_SECONDS = 1.0
"""A stream that is refused is ended after its first request, or after this time."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class PubSubService:
    """The six methods, as the handlers of grpc.aio call them."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def handlers(self) -> "grpc.GenericRpcHandler[Any, Any]":
        """Return what a server is given to speak this service."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "GetTopic": _unary(self.get_topic, pb.TopicRequest, pb.TopicInfo),
                "GetSchema": _unary(self.get_schema, pb.SchemaRequest, pb.SchemaInfo),
                "Publish": _unary(self.publish, pb.PublishRequest, pb.PublishResponse),
                "PublishStream": _stream(self.publish_stream, pb.PublishRequest, pb.PublishResponse.SerializeToString),
                "Subscribe": _stream(self.subscribe, pb.FetchRequest, None),
                "ManagedSubscribe": _stream(self.managed_subscribe, pb.ManagedFetchRequest, None),
            },
        )

    async def get_topic(self, request: pb.TopicRequest, context: Context) -> pb.TopicInfo:
        """Describe a topic; one of several objects has no schema of its own."""
        async with self._call(context, "topic.") as rpc_id:
            topic = self._bus.topic(request.topic_name)
            return pb.TopicInfo(
                topic_name=topic.name,
                tenant_guid=str(uuid.uuid5(uuid.NAMESPACE_OID, self._bus.org.org_id)),
                can_publish=topic.can_publish,
                can_subscribe=True,
                schema_id="" if topic.entity is None else self._bus.schemas.of(topic.entity).schema_id,
                rpc_id=rpc_id,
            )

    async def get_schema(self, request: pb.SchemaRequest, context: Context) -> pb.SchemaInfo:
        """Return the schema of an id; a schema never changes."""
        async with self._call(context, "schema.") as rpc_id:
            schema = self._bus.schema(request.schema_id)
            if schema is None:
                raise invalid("schema.validation.failed", f"There is no schema with the id {request.schema_id!r}.")
            return pb.SchemaInfo(schema_json=schema.text, schema_id=schema.schema_id, rpc_id=rpc_id)

    async def subscribe(self, requests: AsyncIterator[pb.FetchRequest], context: Context) -> None:
        """Stream the events of a topic, as many as the client asks for."""
        async with self._call(context, "subscription.", requests) as rpc_id:
            await Subscription(self._bus, rpc_id).run(requests, context.write)

    async def publish(self, request: pb.PublishRequest, context: Context) -> pb.PublishResponse:
        """Publish platform events."""
        async with self._call(context, "publish.") as rpc_id:
            return publish(self._bus, request, rpc_id)

    async def publish_stream(self, requests: AsyncIterator[pb.PublishRequest], context: Context) -> None:
        """Publish platform events of one topic, request by request."""
        async with self._call(context, "publish.", requests) as rpc_id:
            topic = ""
            while (request := await self._next_publication(requests)) is not None:
                if topic and request.topic_name and request.topic_name != topic:
                    raise invalid(
                        "publish.topic.mismatch", f"The topic {request.topic_name!r} is not the stream's, {topic!r}."
                    )
                topic = request.topic_name = request.topic_name or topic
                await context.write(publish(self._bus, request, rpc_id))

    async def managed_subscribe(self, requests: AsyncIterator[pb.ManagedFetchRequest], context: Context) -> None:
        """Refuse: the sandbox org has no managed event subscriptions."""
        async with self._call(context, "managed."):
            await _take_first(requests)
            raise BusError(
                grpc.StatusCode.UNIMPLEMENTED,
                "managed.subscription.developer.name.not.found",
                "The sandbox org has no managed event subscriptions; use Subscribe.",
            )

    async def _next_publication(self, requests: AsyncIterator[pb.PublishRequest]) -> pb.PublishRequest | None:
        try:
            async with asyncio.timeout(self._bus.org.faults.idle_close_seconds):
                return await anext(requests, None)
        except TimeoutError:
            raise invalid("publish.stream.sweeper.timeout", "The stream was closed: nothing was published.") from None

    def _told_error(self, family: str) -> str | None:
        faults = self._bus.org.faults
        fitting = (one for one in +faults.bus_error if one.startswith((family, "service.", "concurrent.")))
        suffix = next(fitting, None)
        return suffix if suffix is not None and faults.take("bus_error", suffix) else None

    @asynccontextmanager
    async def _call(
        self, context: Context, family: str, requests: AsyncIterator[Any] | None = None
    ) -> AsyncIterator[str]:
        """Give a call its rpc id, let it in, and end it with status and trailers if it is refused.

        `family` is what the error codes of this method begin with, besides those of the service.
        """
        rpc_id = str(uuid.uuid4())
        try:
            try:
                self._admit(context, family)
            except BusError:
                await _take_first(requests)
                raise
            yield rpc_id
        except BusError as error:
            trailers = (("error-code", error.code), ("rpc-id", rpc_id))
            await context.abort(error.status, f"{error.message} rpcId: {rpc_id}", trailers)

    def _admit(self, context: Context, family: str) -> None:
        faults = self._bus.org.faults
        if faults.stream_off or faults.take("unavailable"):
            raise unavailable()
        if (suffix := self._told_error(family)) is not None:
            raise told(suffix)
        check_access(self._bus.org, context.invocation_metadata() or ())


async def _take_first(requests: AsyncIterator[Any] | None) -> None:
    """Wait for a stream's first request before it is refused.

    A grpc.aio client whose write meets a call that is already over reports an internal error without trailers.
    """
    if requests is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REFUSED_SECONDS):
                await anext(requests, None)


def _unary(act: Callable[..., Any], request: Any, response: Any) -> "grpc.RpcMethodHandler[Any, Any]":
    return grpc.unary_unary_rpc_method_handler(act, request.FromString, response.SerializeToString)


def _stream(
    act: Callable[..., Any], request: Any, serialize: Callable[[Any], bytes] | None
) -> "grpc.RpcMethodHandler[Any, Any]":
    return grpc.stream_stream_rpc_method_handler(act, request.FromString, serialize)
