"""Ends tasks for certain: a cancellation that was swallowed is said again.

Place     bridge.py, stream_session.py, app.py -> [this].
Why       `asyncio.wait_for` of Python 3.11, which aiokafka uses, returns its result and drops the cancellation where
          both come at the same time (CPython issue 86296); a task that loops would then run for ever.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

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
