"""Asking the bus what it refuses, and writing records so that it has something to tell."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_world import ALL, Client

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def insert(org: SandboxOrg, count: int = 1, name: str = "Account") -> None:
    for number in range(count):
        with org.transaction() as writing:
            writing.insert(name, {"Name": f"{number}"} if name == "Account" else {"Quantity": number})


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
