"""Serves one sandbox org: REST and SOAP over HTTPS (or plain HTTP), the event bus over gRPC, in one event loop.

Place     `fakturo sandbox`, running.py -> [this] -> rest/app.py, pubsub/server.py
Rules     Both listen before the caller goes on. Keys lie in a folder of the sandbox's own, readable by its owner alone,
          and are gone when it stops. The `Date` header is the org's time, not the server's.
"""

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from fakturo.cli.sandbox.access import Access, make_access
from fakturo.cli.sandbox.certificates import LOOPBACK, Certificates, make_certificates
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.server import RunningBus, start_bus
from fakturo.cli.sandbox.questions import Questions
from fakturo.cli.sandbox.rest.app import build_app

_IDLE_SECONDS = 75


@dataclass(slots=True)
class RunningSandbox:
    """A sandbox that answers: where, and with which credentials."""

    org: SandboxOrg
    access: Access
    rest_url: str
    pubsub_target: str
    ca_file: str | None
    private_key_file: str
    bus: RunningBus = field(repr=False)
    _questions: Questions = field(repr=False)
    _rest: "_Server" = field(repr=False)
    _serving: asyncio.Task[None] = field(repr=False)
    _folder: Path = field(repr=False)

    @property
    def org_id(self) -> str:
        """The 18-character id of the org: the tenantid of Pub/Sub calls."""
        return self.org.org_id

    @property
    def login_domain(self) -> str:
        """The `domain` with which an unmodified simple-salesforce logs in over HTTPS."""
        return f"{self.rest_url.split('://', 1)[1]}/my"

    def told(self) -> dict[str, str | None]:
        """Return what a client needs, as `--json` prints it; the credentials open this sandbox and nothing else."""
        return {
            "rest_url": self.rest_url,
            "pubsub_target": self.pubsub_target,
            "ca_file": self.ca_file,
            "org_id": self.org_id,
            "username": self.access.username,
            "password": self.access.password,
            "security_token": self.access.security_token,
            "client_id": self.access.client_id,
            "client_secret": self.access.client_secret,
            "private_key_file": self.private_key_file,
        }

    async def stop(self) -> None:
        """End both servers and throw the keys away."""
        await self.bus.stop()
        self._rest.should_exit = True
        self._rest.force_exit = True
        await self._serving
        await self._questions.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the sandbox."""
        yield


async def start_sandbox(
    org: SandboxOrg,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    pubsub_port: int = 0,
    plain: bool = False,
    names: Sequence[str] = (),
) -> RunningSandbox:
    """Start serving `org`; port 0 takes a free one. `names` are further host names that its certificate is for.

    Raises:
        OSError: a port is taken.
    """
    folder = Path(tempfile.mkdtemp(prefix="fakturo-sandbox-"))
    try:
        access = make_access()
        certificates = None if plain else make_certificates((*LOOPBACK, *names))
        _write_keys(folder, access, certificates)
        listening = _listen(host, port)
        bound = listening.getsockname()[1]
        app = build_app(org, access)
        bus = await start_bus(
            org,
            host=host,
            port=pubsub_port,
            certificate=(certificates.key, certificates.chain) if certificates else None,
        )
        app.state.bus = bus.bus
        server = _Server(_config(app, folder, certificates))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await server.ready.wait()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    called = _called(host, names)
    return RunningSandbox(
        org=org,
        access=access,
        rest_url=f"{'http' if plain else 'https'}://{called}:{bound}",
        pubsub_target=f"{called}:{bus.target.rpartition(':')[2]}",
        ca_file=None if plain else str(folder / "ca.pem"),
        private_key_file=str(folder / "private_key.pem"),
        bus=bus,
        _questions=app.state.questions,
        _rest=server,
        _serving=serving,
        _folder=folder,
    )


def _called(host: str, names: Sequence[str]) -> str:
    """Return the name that clients call: of a sandbox that listens everywhere, the first one it was given."""
    name = host if host not in {"0.0.0.0", "::"} else names[0] if names else "127.0.0.1"  # noqa: S104 - compared
    return f"[{name}]" if ":" in name else name


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, or asyncio does not switch Nagle's delay off on what it accepts.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    return listening


def _write_keys(folder: Path, access: Access, certificates: Certificates | None) -> None:
    _write(folder / "private_key.pem", access.private_key)
    if certificates is not None:
        _write(folder / "ca.pem", certificates.authority)
        _write(folder / "chain.pem", certificates.chain)
        _write(folder / "key.pem", certificates.key)


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _config(app: object, folder: Path, certificates: Certificates | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        ssl_certfile=folder / "chain.pem" if certificates else None,
        ssl_keyfile=folder / "key.pem" if certificates else None,
    )
