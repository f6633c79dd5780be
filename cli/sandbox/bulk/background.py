"""Jobs at work in the background of the event loop.

Place     ingest.py, query_jobs.py -> [this]
Rules     A job never stays InProgress because its work broke: it fails, with the name of the fault.
"""

import asyncio
from collections.abc import Coroutine

import structlog

from fakturo.cli.sandbox.bulk.jobs import FINISHED, Job, Jobs

_log = structlog.get_logger()


class Background:
    """Runs the work of jobs; `close` ends what is running."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._tasks: dict[asyncio.Task[None], Job] = {}

    def start(self, job: Job, work: Coroutine[None, None, None]) -> None:
        """Set a job to work."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = job
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """End what is running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let a job fail whose work broke."""
        job = self._tasks.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and job.state not in FINISHED:
            _log.error("sandbox_job_fault", job=job.id, error=repr(error))
            self._jobs.move(job, "Failed", f"InternalServerError : The sandbox itself failed: {type(error).__name__}")
