"""Asking the bus what it refuses, and writing records so that it has something to tell."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_world import ALL, Client, Stream, running, small_org

INVALID = grpc.StatusCode.INVALID_ARGUMENT
LOST = (INVALID, "subscription.fetch.replayid.corrupted")
"""A position that the bus does not know (any more)."""
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "service.unavailable")


def insert(org: SandboxOrg, count: int = 1, name: str = "Account") -> None:
    for number in range(count):
        with org.transaction() as writing:
            writing.insert(name, {"Name": f"{number}"} if name == "Account" else {"Quantity": number})


@asynccontextmanager
async def listening(
    count: int, *, credit: int, faults: dict[str, Any] | None = None
) -> AsyncIterator[tuple[SandboxOrg, Client, Stream]]:
    """Run a small org's bus, write `count` accounts, and open a stream that begins with the first and asks `credit`."""
    org = small_org()
    org.faults.apply(faults or {})
    async with running(org) as (_, client):
        insert(org, count)
        yield org, client, await client.earliest(credit)


Ask = Callable[[Client], Awaitable[Any]]


def asks(topic: str = ALL, *requests: dict[str, Any]) -> Ask:
    async def ask(client: Client) -> None:
        stream = client.subscribe(topic)
        for request in requests:
            await stream.fetch(**request)
        for _ in range(3):
            await stream.response()

    return ask


def asks_after(replay_id: bytes) -> Ask:
    """Ask for the event behind a position."""
    return asks(ALL, {"count": 1, "replay_preset": pb.CUSTOM, "replay_id": replay_id})


async def ask_topic(client: Client, name: str) -> None:
    await client.stub.GetTopic(pb.TopicRequest(topic_name=name), metadata=client.headers)
