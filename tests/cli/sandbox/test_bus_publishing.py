"""Platform events: published by a client, checked against their schema, told to subscribers."""

import io
import json
from typing import Any

import fastavro
import grpc
import pytest

from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_world import ALL, NOW_MS, Client, refusal, running, small_org

PING = "/event/Ping__e"


async def ping(client: Client, text: str = "hello", name: str = "") -> pb.ProducerEvent:
    info = await client.stub.GetTopic(pb.TopicRequest(topic_name=PING), metadata=client.headers)
    schema = fastavro.parse_schema(json.loads(await client.schema(info.schema_id)))
    payload = io.BytesIO()
    record = {"CreatedDate": NOW_MS, "CreatedById": "0055f000000000001AAA", "Text__c": text}
    fastavro.schemaless_writer(payload, schema, record)
    return pb.ProducerEvent(id=name, schema_id=info.schema_id, payload=payload.getvalue())


async def publish(client: Client, topic: str, events: list[pb.ProducerEvent]) -> Any:
    return await client.stub.Publish(pb.PublishRequest(topic_name=topic, events=events), metadata=client.headers)


async def test_a_platform_event_is_told_to_its_subscribers_and_not_among_the_change_events() -> None:
    async with running(small_org()) as (bus, client):
        answer = await publish(client, PING, [await ping(client, "one", "u-1"), await ping(client, "two")])
        first, second = answer.results
        assert first.correlation_key == "u-1"
        assert second.correlation_key
        stream = await client.earliest(10, PING)
        events = (await stream.response()).events
        assert [event.replay_id for event in events] == [first.replay_id, second.replay_id]
        assert [event.event.id for event in events] == ["u-1", second.correlation_key]
        assert bus.log.read(0, None, 10, 10**6).events == []


async def test_a_payload_that_is_not_of_its_schema_has_an_error_of_its_own() -> None:
    async with running(small_org()) as (_, client):
        good = await ping(client)
        cut = pb.ProducerEvent(id="cut", schema_id=good.schema_id, payload=good.payload[:-3])
        long = pb.ProducerEvent(id="long", schema_id=good.schema_id, payload=good.payload + b"x")
        strange = pb.ProducerEvent(id="strange", schema_id="nope", payload=good.payload)
        results = (await publish(client, PING, [cut, good, long, strange])).results
        assert [one.HasField("error") for one in results] == [True, False, True, True]
        assert {one.error.code for one in results if one.HasField("error")} == {pb.PUBLISH}
        assert results[0].correlation_key == "cut"


@pytest.mark.parametrize("count", [0, 201])
async def test_a_request_has_one_to_two_hundred_events(count: int) -> None:
    async with running(small_org()) as (_, client):
        events = [await ping(client)] * count
        refused = (grpc.StatusCode.INVALID_ARGUMENT, "publish.event.count.invalid")
        assert await refusal(lambda: publish(client, PING, events)) == refused


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("/data/AccountChangeEvent", "topic.meta.permission"),
        (ALL, "topic.meta.permission"),
        ("", "publish.topic.validation.empty"),
        ("/event/Nope__e", "topic.not.found"),
    ],
)
async def test_nobody_but_the_org_tells_change_events(topic: str, code: str) -> None:
    async with running(small_org()) as (_, client):
        event = await ping(client)
        assert (await refusal(lambda: publish(client, topic, [event])))[1] == code


async def test_a_stream_of_publications_answers_each_request_and_keeps_to_its_topic() -> None:
    async with running(small_org()) as (_, client):
        event = await ping(client)
        call = client.stub.PublishStream(metadata=client.headers)
        for topic in (PING, ""):
            await call.write(pb.PublishRequest(topic_name=topic, events=[event]))
            assert len((await call.read()).results) == 1

        async def stray() -> None:
            await call.write(pb.PublishRequest(topic_name="/event/Pong__e", events=[event]))
            await call.read()

        assert await refusal(stray) == (grpc.StatusCode.INVALID_ARGUMENT, "publish.topic.mismatch")


async def test_a_stream_that_publishes_nothing_is_swept_away() -> None:
    org = small_org()
    org.faults.apply({"idle_close_seconds": 0.1})
    async with running(org) as (_, client):
        call = client.stub.PublishStream(metadata=client.headers)
        assert (await refusal(call.read))[1] == "publish.stream.sweeper.timeout"
