"""The bus as a Pub/Sub client meets it: real gRPC on loopback, the generated stubs and nothing else."""

import asyncio
import json
from typing import Any

import grpc

from fakturo.cli.sandbox.metadata import Field
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_asking import insert, listening
from tests.cli.sandbox.bus_world import ALL, running, small_org


async def test_a_topic_of_one_object_has_a_schema_and_a_topic_of_several_has_none() -> None:
    async with running(small_org()) as (bus, client):
        bus.org.channels["Sales__chn"] = {"Account"}
        schemas = {}
        for name in ("/data/AccountChangeEvent", ALL, "/data/Sales__chn", "/event/Ping__e"):
            info = await client.stub.GetTopic(pb.TopicRequest(topic_name=name), metadata=client.headers)
            assert (info.topic_name, info.can_subscribe) == (name, True)
            assert info.can_publish == name.startswith("/event/")
            assert info.rpc_id
            assert info.tenant_guid
            schemas[name] = info.schema_id
        assert schemas[ALL] == schemas["/data/Sales__chn"] == ""
        assert json.loads(await client.schema(schemas["/data/AccountChangeEvent"]))["name"] == "AccountChangeEvent"
        assert json.loads(await client.schema(schemas["/event/Ping__e"]))["fields"][:2] == [
            {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
            {"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"},
        ]


async def test_an_event_arrives_and_is_decoded_with_its_own_schema_though_a_field_came_in_mid_stream() -> None:
    async with listening(0, credit=100) as (org, _, stream):
        insert(org)
        org.add_field("Account", Field(name="Extra__c", type="string", length=10))
        insert(org)
        before, after = await stream.events(2)
        assert before.schema_id != after.schema_id
        assert "Extra__c" not in before.body
        assert "Extra__c" in after.body


async def test_credit_is_added_up_to_a_hundred_and_pending_says_what_is_left() -> None:
    org = small_org()
    insert(org)
    async with running(org) as (_, client):
        insert(org, 250)
        stream = await client.earliest(60)
        await stream.fetch(70)
        got, pending = 0, 100
        while got < 100:
            response = await stream.response()
            got += len(response.events)
            pending = response.pending_num_requested
            assert response.latest_replay_id == response.events[-1].replay_id
        assert got in {100, 130}  # 130 when the first sixty had left before the seventy came
        assert pending == 0
        await stream.fetch(1_000)
        assert len((await stream.response()).events) == 100


async def test_no_response_has_more_than_a_hundred_events_and_none_is_lost_or_repeated() -> None:
    async with listening(555, credit=100) as (*_, stream):
        names: list[Any] = []
        while len(names) < 555:
            events = await stream.events(min(100, 555 - len(names)))
            names += [event.body["Name"] for event in events]
            await stream.fetch(len(events))
        assert names == [f"{number}" for number in range(555)]


async def test_latest_begins_with_what_comes_custom_after_an_id_earliest_with_all() -> None:
    async with listening(3, credit=10) as (org, client, first):
        ids = [event.replay_id for event in await first.events(3)]
        latest = client.subscribe()
        await latest.fetch(10)
        custom = await client.after(ids[0])
        assert [event.body["Name"] for event in await custom.events(2)] == ["1", "2"]
        await asyncio.sleep(0.05)
        insert(org, 1, "OrderItem")
        assert [event.header["entityName"] for event in await latest.events(1)] == ["OrderItem"]


async def test_a_channel_of_some_objects_gives_those_alone() -> None:
    org = small_org()
    async with running(org) as (bus, client):
        bus.org.channels["Sales__chn"] = {"OrderItem"}
        for _ in range(3):
            insert(org, 2)
            insert(org, 1, "OrderItem")
        for topic in ("/data/OrderItemChangeEvent", "/data/Sales__chn"):
            stream = await client.earliest(100, topic)
            assert {event.header["entityName"] for event in await stream.events(3)} == {"OrderItem"}


async def test_an_idle_stream_with_credit_gets_an_empty_response_whose_id_can_be_resumed_from() -> None:
    org = small_org()
    org.faults.apply({"keepalive_seconds": 0.05})
    async with running(org) as (_, client):
        insert(org)
        stream = client.subscribe()
        await stream.fetch(7)
        first, second = await stream.response(), await stream.response()
        assert (len(first.events), first.pending_num_requested) == (0, 7)
        assert first.latest_replay_id
        assert first.latest_replay_id != second.latest_replay_id  # the bus is shared and moves on
        insert(org, 1, "OrderItem")
        later = await client.after(first.latest_replay_id)
        assert [event.header["entityName"] for event in await later.events(1)] == ["OrderItem"]


async def test_a_stream_without_credit_is_closed_after_a_while() -> None:
    async with listening(2, credit=2, faults={"idle_close_seconds": 0.1}) as (*_, stream):
        await stream.events(2)
        assert await stream.ends()
        assert await stream.call.code() == grpc.StatusCode.OK


async def test_credit_in_time_keeps_a_stream_open() -> None:
    async with listening(4, credit=1, faults={"idle_close_seconds": 0.3}) as (*_, stream):
        for _ in range(3):
            await stream.events(1)
            await asyncio.sleep(0.15)
            await stream.fetch(1)
        await stream.events(1)


async def test_the_first_request_alone_says_where_to_begin_and_the_topic_may_be_left_out_later() -> None:
    async with listening(3, credit=1) as (*_, stream):
        await stream.events(1)
        await stream.fetch(5, topic_name="", replay_preset=pb.CUSTOM, replay_id=b"nonsense")
        assert [event.body["Name"] for event in await stream.events(2)] == ["1", "2"]


async def test_two_subscribers_each_get_everything() -> None:
    org = small_org()
    async with running(org) as (_, client):
        streams = [await client.earliest(100), await client.earliest(100)]
        insert(org, 10)
        for stream in streams:
            assert len(await stream.events(10)) == 10


async def test_a_client_that_is_done_sending_gets_what_it_asked_for_and_the_stream_ends() -> None:
    async with listening(3, credit=2) as (*_, stream):
        await stream.call.done_writing()
        await stream.events(2)
        assert await stream.ends()
