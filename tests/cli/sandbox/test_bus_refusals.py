"""What the event bus refuses: wrong requests, missing headers, dead tokens; and what no refusal tells."""

from typing import Any

import grpc
import pytest

from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_asking import INVALID, Ask, ask_topic, asks, insert, listening
from tests.cli.sandbox.bus_world import ALL, Client, refusal, running, small_org


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
    async with listening(0, credit=10) as (org, client, stream):
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


async def test_managed_subscriptions_are_refused_with_a_code() -> None:
    async with running(small_org()) as (_, client):

        async def ask() -> None:
            call = client.stub.ManagedSubscribe(metadata=client.headers)
            await call.write(pb.ManagedFetchRequest(developer_name="Sales", num_requested=1))
            await call.read()

        status, code = await refusal(ask)
        assert status == grpc.StatusCode.UNIMPLEMENTED
        assert code.startswith("managed.subscription.")
