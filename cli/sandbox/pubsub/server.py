"""Starts the event bus of a sandbox org as a gRPC server, with TLS or plain, on loopback.

Place     `fakturo sandbox`, running.py, tests -> [this] -> service
"""

from dataclasses import dataclass

import grpc

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.cli.sandbox.pubsub.service import PubSubService

LARGEST_MESSAGE = 4 * 1024 * 1024
"""A request of more bytes is refused by gRPC itself, as by the real one."""
_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 1_000),
    ("grpc.so_reuseport", 0),
    # Clients may ping as often as the real service lets them, also while no call is open.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclass(slots=True)
class RunningBus:
    """A server that answers at `target` (host:port)."""

    bus: EventBus
    server: grpc.aio.Server
    target: str

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """End the open streams after `grace_seconds`, the server, and the log: the org goes on untold."""
        await self.server.stop(grace_seconds)
        self.bus.close()


async def start_bus(
    org: SandboxOrg,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    certificate: tuple[bytes, bytes] | None = None,
    seed: int = 1,
) -> RunningBus:
    """Start the org's bus; `port` 0 takes a free one; `certificate` is (private key, chain) in PEM, None is plain.

    Raises:
        OSError: the port is taken.
    """
    bus = EventBus(org, seed=seed)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((PubSubService(bus).handlers(),))
    address = f"{host}:{port}"
    try:
        if certificate is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, grpc.ssl_server_credentials([certificate]))
    except RuntimeError as error:
        raise OSError(f"the event bus can't listen on {address}: {error}") from None
    await server.start()
    return RunningBus(bus, server, f"{host}:{bound}")
