"""The faults of the event bus: resets, breaks, retention, allocations, every error code on demand."""

import grpc
import pytest

from fakturo.cli.sandbox.allocations import DELIVERED_EVENTS
from fakturo.cli.sandbox.pubsub.errors import STATUS
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_asking import LOST, UNAVAILABLE, Ask, ask_topic, asks, asks_after, insert, listening
from tests.cli.sandbox.bus_world import ALL, refusal, running, small_org


async def test_a_reset_ends_open_streams_as_unavailable_and_old_ids_are_lost() -> None:
    async with listening(2, credit=100) as (org, client, stream):
        old = (await stream.events(2))[-1].replay_id
        org.faults.apply({"stream_reset": True})
        assert await refusal(stream.response) == UNAVAILABLE
        assert await refusal(lambda: asks_after(old)(client)) == LOST
        again = await client.earliest(10)
        insert(org)
        assert len(await again.events(1)) == 1


async def test_a_break_ends_open_streams_and_their_positions_stay_good() -> None:
    async with listening(2, credit=1) as (org, client, stream):
        last = (await stream.events(1))[0].replay_id
        org.faults.apply({"disconnect": True})
        assert await refusal(stream.response) == UNAVAILABLE
        again = await client.after(last)
        assert [event.body["Name"] for event in await again.events(1)] == ["1"]


async def test_an_id_older_than_the_retention_is_lost_and_so_is_a_stream_that_fell_behind_it() -> None:
    async with listening(3, credit=1) as (org, client, slow):
        old = (await slow.events(1))[0].replay_id
        org.clock.advance(73 * 3600)
        assert await refusal(lambda: asks_after(old)(client)) == LOST
        await slow.fetch(1)
        assert await refusal(slow.response) == LOST


async def test_an_allocation_that_is_used_up_closes_the_stream_until_a_day_has_gone() -> None:
    async with listening(5, credit=100, faults={"event_allocation": 3}) as (org, client, stream):
        last = (await stream.events(3))[-1].replay_id
        exceeded = (grpc.StatusCode.RESOURCE_EXHAUSTED, "subscription.limit.exceeded")
        assert await refusal(stream.response) == exceeded
        assert org.allocations.used(DELIVERED_EVENTS) == 3
        org.clock.advance(25 * 3600)
        again = await client.after(last)
        assert [event.body["Name"] for event in await again.events(2)] == ["3", "4"]


async def test_a_service_that_is_away_comes_back() -> None:
    async with running(small_org()) as (bus, client):
        bus.org.faults.apply({"unavailable": 2})
        assert await refusal(lambda: ask_topic(client, ALL)) == UNAVAILABLE
        assert await refusal(lambda: asks(ALL, {"count": 1})(client)) == UNAVAILABLE
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
    async with listening(2, credit=100) as (org, client, stream):
        old = (await stream.events(2))[1].replay_id
        org.faults.apply({"stream_off": True})
        insert(org, 3)
        assert await refusal(stream.response) == UNAVAILABLE
        assert await refusal(lambda: ask_topic(client, ALL)) == UNAVAILABLE
        org.faults.apply({"stream_off": False})
        insert(org, 1, "OrderItem")
        assert await refusal(lambda: asks_after(old)(client)) == LOST
        again = await client.earliest(100)
        assert [event.header["entityName"] for event in await again.events(1)] == ["OrderItem"]
