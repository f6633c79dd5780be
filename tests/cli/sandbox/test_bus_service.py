"""The bus as a Pub/Sub client meets it: real gRPC on loopback, the generated stubs and nothing else."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from fakturo.cli.sandbox.allocations import DELIVERED_EVENTS
from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.errors import STATUS
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_world import ALL, Client, refusal, running, small_org

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def insert(org: SandboxOrg, count: int = 1, name: str = "Account") -> None:
    for number in range(count):
        with org.transaction() as writing:
            writing.insert(name, {"Name": f"{number}"} if name == "Account" else {"Quantity": number})


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
    org = small_org()
    async with running(org) as (_, client):
        stream = client.subscribe()
        await stream.earliest(100)
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
        stream = client.subscribe()
        await stream.earliest(60)
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
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 555)
        stream = client.subscribe()
        await stream.earliest(100)
        names: list[Any] = []
        while len(names) < 555:
            events = await stream.events(min(100, 555 - len(names)))
            names += [event.body["Name"] for event in events]
            await stream.fetch(len(events))
        assert names == [f"{number}" for number in range(555)]


async def test_latest_begins_with_what_comes_custom_after_an_id_earliest_with_all() -> None:
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 3)
        first = client.subscribe()
        await first.earliest(10)
        ids = [event.replay_id for event in await first.events(3)]
        latest, custom = client.subscribe(), client.subscribe()
        await latest.fetch(10)
        await custom.custom(ids[0])
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
            stream = client.subscribe(topic)
            await stream.earliest(100)
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
        later = client.subscribe()
        await later.custom(first.latest_replay_id)
        assert [event.header["entityName"] for event in await later.events(1)] == ["OrderItem"]


async def test_a_stream_without_credit_is_closed_after_a_while() -> None:
    org = small_org()
    org.faults.apply({"idle_close_seconds": 0.1})
    async with running(org) as (_, client):
        insert(org, 2)
        stream = client.subscribe()
        await stream.earliest(2)
        await stream.events(2)
        assert await stream.ends()
        assert await stream.call.code() == grpc.StatusCode.OK


async def test_credit_in_time_keeps_a_stream_open() -> None:
    org = small_org()
    org.faults.apply({"idle_close_seconds": 0.3})
    async with running(org) as (_, client):
        insert(org, 4)
        stream = client.subscribe()
        await stream.earliest(1)
        for _ in range(3):
            await stream.events(1)
            await asyncio.sleep(0.15)
            await stream.fetch(1)
        await stream.events(1)


Ask = Callable[[Client], Awaitable[Any]]


def asks(topic: str = ALL, *requests: dict[str, Any]) -> Ask:
    async def ask(client: Client) -> None:
        stream = client.subscribe(topic)
        for request in requests:
            await stream.fetch(**request)
        for _ in range(3):
            await stream.response()

    return ask


async def ask_topic(client: Client, name: str) -> None:
    await client.stub.GetTopic(pb.TopicRequest(topic_name=name), metadata=client.headers)


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (asks(ALL, {"count": 0}), INVALID, "subscription.fetch.requested.events.invalid"),
        (asks(ALL, {"count": -5}), INVALID, "subscription.fetch.requested.events.invalid"),
        (asks("", {"count": 1}), INVALID, "topic.validation.empty"),
        (asks("/data/NoSuchChangeEvent", {"count": 1}), grpc.StatusCode.NOT_FOUND, "topic.not.found"),
        (asks("/data/Ping__e", {"count": 1}), grpc.StatusCode.NOT_FOUND, "topic.not.found"),
        (
            asks(ALL, {"count": 1}, {"count": 1, "topic_name": "/data/AccountChangeEvent"}),
            *(INVALID, "subscription.fetch.topic.mismatch"),
        ),
        (
            asks(ALL, {"count": 1, "replay_preset": pb.CUSTOM}),
            *(INVALID, "subscription.fetch.replayid.validation.failed"),
        ),
        (
            asks(ALL, {"count": 1, "replay_preset": pb.CUSTOM, "replay_id": b"nonsense"}),
            *(INVALID, "subscription.fetch.replayid.corrupted"),
        ),
        (lambda client: client.schema("nope"), INVALID, "schema.validation.failed"),
        (lambda client: ask_topic(client, ""), INVALID, "topic.validation.empty"),
        (lambda client: ask_topic(client, "/data/Nope__chn"), grpc.StatusCode.NOT_FOUND, "topic.not.found"),
    ],
)
async def test_a_wrong_request_is_refused_with_its_code_in_the_trailers(
    ask: Ask, status: grpc.StatusCode, code: str
) -> None:
    async with running(small_org()) as (_, client):
        assert await refusal(lambda: ask(client)) == (status, code)


async def test_the_first_request_alone_says_where_to_begin_and_the_topic_may_be_left_out_later() -> None:
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 3)
        stream = client.subscribe()
        await stream.earliest(1)
        await stream.events(1)
        await stream.fetch(5, topic_name="", replay_preset=pb.CUSTOM, replay_id=b"nonsense")
        assert [event.body["Name"] for event in await stream.events(2)] == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"accesstoken": "00D!stolen"}, "service.auth.error"),
        ({"tenantid": "00D000000000000EAA"}, "service.auth.error"),
        ({"instanceurl": "acme"}, "service.auth.error"),
        ({"accesstoken": None}, "service.auth.headers.invalid"),
        ({"tenantid": None}, "service.auth.headers.invalid"),
    ],
)
async def test_every_call_needs_the_three_headers_and_a_live_token(change: dict[str, Any], code: str) -> None:
    async with running(small_org()) as (_, client):
        headers = {name: value for name, value in (dict(client.headers) | change).items() if value is not None}
        stranger = Client(client.stub, tuple(headers.items()))
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        assert await refusal(lambda: stranger.schema("x")) == (unauthenticated, code)
        assert await refusal(lambda: ask_topic(stranger, ALL)) == (unauthenticated, code)
        assert await refusal(lambda: asks(ALL, {"count": 1})(stranger)) == (unauthenticated, code)


async def test_an_open_stream_outlives_its_token_and_a_new_one_needs_a_fresh_token() -> None:
    org = small_org()
    async with running(org) as (_, client):
        stream = client.subscribe()
        await stream.earliest(10)
        insert(org)
        await stream.events(1)
        org.faults.apply({"expired_token": True})
        insert(org)
        await stream.fetch(1)
        await stream.events(1)
        refused = (grpc.StatusCode.UNAUTHENTICATED, "service.auth.error")
        assert await refusal(lambda: asks(ALL, {"count": 1})(client)) == refused


async def test_a_secret_is_in_no_refusal() -> None:
    async with running(small_org()) as (_, client):
        headers = tuple({**dict(client.headers), "accesstoken": "planted-secret"}.items())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask_topic(Client(client.stub, headers), ALL)
        assert "planted-secret" not in str(caught.value)


async def test_a_reset_ends_open_streams_as_unavailable_and_old_ids_are_lost() -> None:
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 2)
        stream = client.subscribe()
        await stream.earliest(100)
        old = (await stream.events(2))[-1].replay_id
        org.faults.apply({"stream_reset": True})
        unavailable = (grpc.StatusCode.UNAVAILABLE, "service.unavailable")
        assert await refusal(stream.response) == unavailable
        lost = (INVALID, "subscription.fetch.replayid.corrupted")
        asked = asks(ALL, {"count": 1, "replay_preset": pb.CUSTOM, "replay_id": old})
        assert await refusal(lambda: asked(client)) == lost
        again = client.subscribe()
        await again.earliest(10)
        insert(org)
        assert len(await again.events(1)) == 1


async def test_a_break_ends_open_streams_and_their_positions_stay_good() -> None:
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 2)
        stream = client.subscribe()
        await stream.earliest(1)
        last = (await stream.events(1))[0].replay_id
        org.faults.apply({"disconnect": True})
        assert await refusal(stream.response) == (grpc.StatusCode.UNAVAILABLE, "service.unavailable")
        again = client.subscribe()
        await again.custom(last)
        assert [event.body["Name"] for event in await again.events(1)] == ["1"]


async def test_an_id_older_than_the_retention_is_lost_and_so_is_a_stream_that_fell_behind_it() -> None:
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 3)
        slow = client.subscribe()
        await slow.earliest(1)
        old = (await slow.events(1))[0].replay_id
        org.clock.advance(73 * 3600)
        lost = (INVALID, "subscription.fetch.replayid.corrupted")
        asked = asks(ALL, {"count": 1, "replay_preset": pb.CUSTOM, "replay_id": old})
        assert await refusal(lambda: asked(client)) == lost
        await slow.fetch(1)
        assert await refusal(slow.response) == lost


async def test_an_allocation_that_is_used_up_closes_the_stream_until_a_day_has_gone() -> None:
    org = small_org()
    org.faults.apply({"event_allocation": 3})
    async with running(org) as (_, client):
        insert(org, 5)
        stream = client.subscribe()
        await stream.earliest(100)
        last = (await stream.events(3))[-1].replay_id
        exceeded = (grpc.StatusCode.RESOURCE_EXHAUSTED, "subscription.limit.exceeded")
        assert await refusal(stream.response) == exceeded
        assert org.allocations.used(DELIVERED_EVENTS) == 3
        org.clock.advance(25 * 3600)
        again = client.subscribe()
        await again.custom(last)
        assert [event.body["Name"] for event in await again.events(2)] == ["3", "4"]


async def test_a_service_that_is_away_comes_back() -> None:
    async with running(small_org()) as (bus, client):
        bus.org.faults.apply({"unavailable": 2})
        unavailable = (grpc.StatusCode.UNAVAILABLE, "service.unavailable")
        assert await refusal(lambda: ask_topic(client, ALL)) == unavailable
        assert await refusal(lambda: asks(ALL, {"count": 1})(client)) == unavailable
        await ask_topic(client, ALL)


@pytest.mark.parametrize(("code", "status"), sorted(STATUS.items()))
async def test_every_error_code_can_be_asked_for(code: str, status: grpc.StatusCode) -> None:
    org = small_org()
    async with running(org) as (_, client):
        org.faults.apply({"bus_error": {code: 1}})
        publishing: Ask = lambda one: one.stub.Publish(pb.PublishRequest(), metadata=one.headers)  # noqa: E731
        calls: dict[str, Ask] = {
            "topic": lambda one: ask_topic(one, ALL),
            "schema": lambda one: one.schema("x"),
            "publish": publishing,
        }
        call = calls.get(code.partition(".")[0], asks(ALL, {"count": 1}))
        assert await refusal(lambda: call(client)) == (status, code)
        await ask_topic(client, ALL)


async def test_while_the_stream_is_off_the_bus_is_away_and_afterwards_older_positions_are_lost() -> None:
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 2)
        stream = client.subscribe()
        await stream.earliest(100)
        old = (await stream.events(2))[1].replay_id
        org.faults.apply({"stream_off": True})
        insert(org, 3)
        unavailable = (grpc.StatusCode.UNAVAILABLE, "service.unavailable")
        assert await refusal(stream.response) == unavailable
        assert await refusal(lambda: ask_topic(client, ALL)) == unavailable
        org.faults.apply({"stream_off": False})
        insert(org, 1, "OrderItem")
        asked = asks(ALL, {"count": 1, "replay_preset": pb.CUSTOM, "replay_id": old})
        assert await refusal(lambda: asked(client)) == (INVALID, "subscription.fetch.replayid.corrupted")
        again = client.subscribe()
        await again.earliest(100)
        assert [event.header["entityName"] for event in await again.events(1)] == ["OrderItem"]


async def test_managed_subscriptions_are_refused_with_a_code() -> None:
    async with running(small_org()) as (_, client):

        async def ask() -> None:
            call = client.stub.ManagedSubscribe(metadata=client.headers)
            await call.write(pb.ManagedFetchRequest(developer_name="Sales", num_requested=1))
            await call.read()

        status, code = await refusal(ask)
        assert status == grpc.StatusCode.UNIMPLEMENTED
        assert code.startswith("managed.subscription.")


async def test_two_subscribers_each_get_everything() -> None:
    org = small_org()
    async with running(org) as (_, client):
        streams = [client.subscribe(), client.subscribe()]
        for stream in streams:
            await stream.earliest(100)
        insert(org, 10)
        for stream in streams:
            assert len(await stream.events(10)) == 10


async def test_a_client_that_is_done_sending_gets_what_it_asked_for_and_the_stream_ends() -> None:
    org = small_org()
    async with running(org) as (_, client):
        insert(org, 3)
        stream = client.subscribe()
        await stream.earliest(2)
        await stream.call.done_writing()
        await stream.events(2)
        assert await stream.ends()
