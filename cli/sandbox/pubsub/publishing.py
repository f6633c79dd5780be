"""Publishing platform events: checked against the event's own schema, then logged beside the change events.

Place     service (Publish, PublishStream) -> [this] -> bus.publish
Rules     A wrong request is refused as a whole; a wrong event has its error in its own result, the others are told.
          Nobody but the org itself tells change events.
Source    Pub/Sub API guide, "Publish RPC Method"; limits of reference 1.3.
"""

import io
import uuid

import fastavro
import grpc

from fakturo.cli.sandbox.pubsub.bus import EventBus, Topic
from fakturo.cli.sandbox.pubsub.errors import BusError, invalid
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb

MOST_EVENTS = 200


def publish(bus: EventBus, request: pb.PublishRequest, rpc_id: str) -> pb.PublishResponse:
    """Log the events of a request and return their replay ids, in order.

    Raises:
        BusError: publish.topic.validation.empty, topic.not.found, topic.meta.permission (change events),
            publish.event.count.invalid.
    """
    if not request.topic_name:
        raise invalid("publish.topic.validation.empty", "The topic name is empty.")
    topic = bus.topic(request.topic_name)
    if not topic.can_publish or topic.entity is None:
        raise BusError(
            grpc.StatusCode.PERMISSION_DENIED,
            "topic.meta.permission",
            f"Publishing to {topic.name!r} isn't allowed: only the org itself tells change events.",
        )
    if not 1 <= len(request.events) <= MOST_EVENTS:
        raise invalid("publish.event.count.invalid", f"Expected 1 to {MOST_EVENTS} events, not {len(request.events)}.")
    schema_id = bus.schemas.of(topic.entity).schema_id
    results = [_publish_one(bus, topic, event) for event in request.events]
    return pb.PublishResponse(results=results, schema_id=schema_id, rpc_id=rpc_id)


def _publish_one(bus: EventBus, topic: Topic, event: pb.ProducerEvent) -> pb.PublishResult:
    schema = bus.schema(event.schema_id)
    if topic.entity is None or schema is None or schema.entity != topic.entity.name:
        return _failed(event, f"The schema {event.schema_id!r} is not one of {topic.name!r}.")
    payload = io.BytesIO(event.payload)
    try:
        fastavro.schemaless_reader(payload, schema.parsed, None)
    except (EOFError, ValueError, IndexError, TypeError, OverflowError) as error:
        return _failed(event, f"The payload is not of its schema: {error}")
    if payload.read(1):
        return _failed(event, "The payload goes on after the record.")
    told = pb.ProducerEvent(
        id=event.id or str(uuid.uuid4()), schema_id=event.schema_id, payload=event.payload, headers=event.headers
    )
    return pb.PublishResult(replay_id=bus.publish(topic, told), correlation_key=told.id)


def _failed(event: pb.ProducerEvent, reason: str) -> pb.PublishResult:
    return pb.PublishResult(error=pb.Error(code=pb.PUBLISH, msg=reason), correlation_key=event.id)
