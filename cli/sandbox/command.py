"""`fakturo sandbox`: starts a sandbox org, prints one line, serves until it is told to stop.

Place     cli/commands.py -> [this] -> server.py, packages.py
Rules     The one line is all that standard output gets; a program reads it with `--json`. SIGTERM and Ctrl-C end it
          with status 0. What can't be served or deployed is said on standard error, with status 2.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.package_files import PackageFault
from fakturo.cli.sandbox.packages import deploy_folder
from fakturo.cli.sandbox.server import RunningSandbox, start_sandbox


def run_command(
    *,
    host: str,
    port: int,
    pubsub_port: int,
    plain: bool,
    names: Sequence[str],
    metadata: Path | None,
    now: datetime | None,
    seed: int,
    as_json: bool,
) -> int:
    """Serve until a signal comes; return the exit status."""
    org = SandboxOrg(start=now, seed=seed)
    try:
        if metadata is not None:
            deploy_folder(org, metadata)
        asyncio.run(
            _serve(org, host=host, port=port, pubsub_port=pubsub_port, plain=plain, names=tuple(names), as_json=as_json)
        )
    except (PackageFault, OSError) as fault:
        sys.stderr.write(f"fakturo sandbox: {fault}\n")
        return 2
    return 0


async def _serve(
    org: SandboxOrg,
    *,
    host: str,
    port: int,
    pubsub_port: int,
    plain: bool,
    names: tuple[str, ...],
    as_json: bool,
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopped.set)
    sandbox = await start_sandbox(org, host=host, port=port, pubsub_port=pubsub_port, plain=plain, names=names)
    try:
        sys.stdout.write(_line(sandbox, as_json=as_json) + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await sandbox.stop()


def _line(sandbox: RunningSandbox, *, as_json: bool) -> str:
    told = sandbox.told()
    return json.dumps(told) if as_json else " ".join(f"{name}={value}" for name, value in told.items() if value)
