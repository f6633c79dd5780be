"""Tasks of a process: run until it is told to stop, and ended for certain.

Place     the clock, the relay, the Salesforce bridge and its stream -> [this]. Agents have worker.py, which adds Faust.
Told      by SIGTERM or SIGINT.
Ended     a cancellation that was swallowed is said again: `asyncio.wait_for` of Python 3.11, which aiokafka uses,
          returns its result and drops the cancellation where both come at the same time (CPython issue 86296); a task
          that loops would then run for ever.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from fakturo.consumers.runtime.health import HealthServer

AGAIN_SECONDS = 5.0
"""Longer than anything of ours takes to wind up, which a second cancellation would cut short."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel `tasks` until all are done; what they end with is not raised."""
    every = tuple(tasks)
    left = {task for task in every if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in every:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of it


async def run_together(parts: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run `parts` until one ends; the others are cancelled, and its error is raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(tasks)


async def run_until_told(work: Coroutine[Any, Any, None], server: HealthServer) -> None:
    """Run `work` behind `server` until the process is told to stop; `work` is cancelled then, its own error is raised.

    Where `server` can't listen, its OSError is raised and `work` never begins.
    """
    try:
        await server.start()
    except BaseException:
        work.close()
        raise
    working = asyncio.create_task(work)
    try:
        await until_told((working,))
    finally:
        await end_tasks((working,))
        await server.stop()


async def until_told(working: Iterable[asyncio.Task[Any]]) -> None:
    """Wait for SIGTERM, SIGINT or the first of `working` to end, whose error is raised; none is cancelled."""
    telling = asyncio.create_task(told_to_stop().wait())
    try:
        done, _ = await asyncio.wait((telling, *working), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        telling.cancel()


def told_to_stop() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set from now on, in the loop that runs."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told
