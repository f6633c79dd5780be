"""Query jobs: a SOQL query is run in the background, its rows are fetched as pages of CSV.

Place     rest/bulk_query -> [this] -> soql.execution; the pages are written line by line while they are sent.
Rules     The rows are those of the moment when the job ran: later writes don't touch them. A job holds references to
          rows, no text: a million rows are 8 MB. A large table is looked at in a thread, other work of the loop goes
          on. What Bulk doesn't answer (GROUP BY, aggregates, OFFSET, child subqueries, compounds) is refused when the
          job is made. ORDER BY and LIMIT are answered: in Salesforce they only end its chunking by primary key.
Source    Bulk API 2.0 Developer Guide, "Understanding Bulk API 2.0 Query" (SOQL Considerations, Limits).
"""

import asyncio
import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fakturo.cli.sandbox.bulk.background import Background
from fakturo.cli.sandbox.bulk.jobs import DELIMITERS, FINISHED, LINE_ENDINGS, Job, Jobs, choice, invalid_state
from fakturo.cli.sandbox.bulk.lines import csv_pieces
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.errors import SoqlError
from fakturo.cli.sandbox.soql.execution import Plan, Queries
from fakturo.cli.sandbox.soql.shapes import Lines

OPERATIONS = ("query", "queryAll")
_MOST_OF_A_PAGE = 250_000  # rows, where the client names no maxRecords
_REFUSED = "FUNCTIONALITY_NOT_ENABLED"


@dataclass(slots=True)
class _Rows:
    """What a job found."""

    lines: Lines
    rows: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of results: `locator` of the next one, or None; `pieces` of CSV, made as they are read."""

    records: int
    locator: str | None
    pieces: Iterator[bytes]


class QueryJobs:
    """The query jobs of an org; `close` ends what is at work."""

    def __init__(self, jobs: Jobs, queries: Queries) -> None:
        self.jobs = jobs
        self._queries = queries
        self._found: dict[str, _Rows] = {}
        self._background = Background(jobs)

    def create(self, body: dict[str, Any], *, version: str, user_id: str, client: str) -> Job:
        """A new job of a request, set to work. Raises INVALIDJOB, or what is wrong with the query."""
        operation = choice(body, "operation", OPERATIONS, "")
        choice(body, "contentType", ("CSV",), "CSV")
        if not body.get("query"):
            raise OrgError("INVALIDJOB", "The query is required")
        plan = self._queries.plan(str(body["query"]), deleted=operation == "queryAll", all_rows_allowed=True)
        try:
            lines = _lines(plan)
        except SoqlError as fault:
            raise OrgError(fault.code, fault.sentence) from None
        job = self.jobs.create(
            operation=operation,
            entity=plan.entity.name,
            api_version=version,
            user_id=user_id,
            client=client,
            state="UploadComplete",
            delimiter=choice(body, "columnDelimiter", DELIMITERS, "COMMA"),
            line_ending=choice(body, "lineEnding", LINE_ENDINGS, "LF"),
        )
        self._forget_deleted()
        self._found[job.id] = _Rows(lines)
        self._background.start(job, self._run(job, plan))
        return job

    def abort(self, job: Job) -> None:
        """Stop a job that isn't finished."""
        if job.state in FINISHED:
            spoken = {"JobComplete": "Completed"}.get(job.state, job.state)
            raise invalid_state(f"Aborting already {spoken} Job not allowed")
        self.jobs.move(job, "Aborted")

    def page(self, job: Job, locator: str | None, max_records: int | None) -> Page:
        """A page of results. Raises INVALIDJOBSTATE before the job is complete, INVALID_QUERY_LOCATOR."""
        if job.state != "JobComplete":
            raise invalid_state(f"The results of a job are there when it is complete; this one is {job.state}.")
        found = self._found[job.id]
        start = _start(locator, job)
        rows = found.rows[start : start + (max_records or _MOST_OF_A_PAGE)]
        end = start + len(rows)
        following = _locator(job, end) if end < len(found.rows) else None
        return Page(len(rows), following, csv_pieces(found.lines.header, found.lines.of(rows), job))

    async def close(self) -> None:
        """End what is at work."""
        await self._background.close()

    async def _run(self, job: Job, plan: Plan) -> None:
        """Find the rows."""
        await asyncio.sleep(0)
        if job.state != "UploadComplete":
            return
        self.jobs.move(job, "InProgress")
        answer = await plan.run_aside()
        if job.state == "InProgress":
            self._found[job.id].rows = answer.rows
            job.processed = len(answer)
            self.jobs.move(job, "JobComplete")

    def _forget_deleted(self) -> None:
        """Let go of the rows of jobs that the org doesn't keep any more."""
        kept = {job.id for job in self.jobs.listed(query=True)}
        for job_id in self._found.keys() - kept:
            del self._found[job_id]


def _lines(plan: Plan) -> Lines:
    """How the plan's rows become CSV. Raises for what Bulk doesn't answer."""
    if plan.shape is None:
        raise SoqlError(_REFUSED, "Aggregate queries and GROUP BY are not supported in Bulk Query")
    if plan.query.offset:
        raise SoqlError(_REFUSED, "OFFSET is not supported in Bulk Query")
    return plan.shape.lines()


def _locator(job: Job, start: int) -> str:
    """An opaque place in a job's results."""
    return base64.urlsafe_b64encode(f"{job.id[:15]}:{start}".encode()).decode().rstrip("=")


def _start(locator: str | None, job: Job) -> int:
    """The row at which a locator's page begins."""
    if locator is None:
        return 0
    try:
        owner, start = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode().split(":")
        if owner == job.id[:15]:
            return int(start)
    except ValueError:
        pass
    raise OrgError("INVALID_QUERY_LOCATOR", "invalid query locator")
