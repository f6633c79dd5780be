"""The jobs of Bulk API 2.0: what a client asked for, how far it got, and which jobs the org keeps.

Place     rest/bulk_ingest, rest/bulk_query -> [this] <- ingest.py, query_jobs.py move a job's state.
Rules     States go Open -> UploadComplete -> InProgress -> JobComplete or Failed (a query begins at UploadComplete);
          Aborted ends any that isn't finished. Jobs are kept seven days by the org's clock. A rolling day takes
          15,000 batches of 10,000 records, and 10,000 query jobs.
Source    Bulk API 2.0 Developer Guide, "Bulk API 2.0 Ingest", "Query", "Limits".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fakturo.cli.sandbox.allocations import BULK_BATCHES, QUERY_JOBS
from fakturo.cli.sandbox.clock import instant_text
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.record_ids import record_id

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
KEPT = timedelta(days=7)
RECORDS_OF_A_BATCH = 10_000
LISTED = 1000  # jobs on a page of the list
FINISHED = frozenset({"JobComplete", "Failed", "Aborted"})
_PREFIX = "750"


@dataclass(slots=True, kw_only=True)
class Job:
    """A job. `client` is what `Sforce-Call-Options` named; `created_at` and `changed_at` are by the org's clock."""

    id: str
    operation: str
    entity: str
    api_version: str
    user_id: str
    client: str
    created_at: datetime
    changed_at: datetime
    state: str
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    external_id: str | None = None
    processed: int = 0
    failed: int = 0
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def is_query(self) -> bool:
        """Whether the job reads."""
        return self.operation in ("query", "queryAll")

    def info(self) -> dict[str, Any]:
        """What the org tells of a job when it is made or changed."""
        info: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.entity,
            "createdById": self.user_id,
            "createdDate": instant_text(self.created_at),
            "systemModstamp": instant_text(self.changed_at),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.api_version),
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
        }
        if self.external_id is not None:
            info["externalIdFieldName"] = self.external_id
        if not self.is_query and self.state == "Open":
            info["contentUrl"] = f"services/data/v{self.api_version}/jobs/ingest/{self.id}/batches"
        return info

    def whole_info(self) -> dict[str, Any]:
        """What the org tells of a job that is asked for: how far it got, too."""
        took = self.finished_at - self.created_at if self.finished_at is not None else timedelta()
        milliseconds = took // timedelta(milliseconds=1)
        info = self.info() | {
            "jobType": "V2Query" if self.is_query else "V2Ingest",
            "numberRecordsProcessed": self.processed,
            "retries": 0,
            "totalProcessingTime": milliseconds,
        }
        if self.is_query:
            info["isPkChunkingSupported"] = True
        else:
            info |= {
                "numberRecordsFailed": self.failed,
                "apiActiveProcessingTime": milliseconds,
                "apexProcessingTime": 0,
            }
        if self.error is not None:
            info["errorMessage"] = self.error
        return info


class Jobs:
    """The jobs that an org keeps."""

    def __init__(self, org: SandboxOrg) -> None:
        self.org = org
        self._jobs: dict[str, Job] = {}
        self._number = 0

    def create(self, **what: Any) -> Job:
        """A new job. Raises LIMIT_EXCEEDED when the day's query jobs are used up."""
        self._forget_old()
        now = self.org.clock.now()
        if what["operation"] in ("query", "queryAll"):
            _use(self.org, QUERY_JOBS, 1)
        self._number += 1
        job = Job(id=record_id(_PREFIX, self._number), created_at=now, changed_at=now, **what)
        self._jobs[job.id] = job
        return job

    def find(self, job_id: str, *, query: bool) -> Job:
        """The job of an id. Raises NOT_FOUND."""
        self._forget_old()
        job = next((one for one in self._jobs.values() if job_id in (one.id, one.id[:15])), None)
        if job is None or job.is_query != query:
            raise OrgError("NOT_FOUND", "The requested resource does not exist")
        return job

    def listed(self, *, query: bool) -> list[Job]:
        """The jobs of a kind, the newest first."""
        self._forget_old()
        return [job for job in reversed(self._jobs.values()) if job.is_query == query]

    def forget(self, job: Job) -> None:
        """Delete a job. Raises INVALIDJOBSTATE while it is at work or open."""
        if job.state not in FINISHED | {"UploadComplete"}:
            raise invalid_state(f"A job in the state {job.state} can't be deleted: abort it first.")
        del self._jobs[job.id]

    def move(self, job: Job, state: str, error: str | None = None) -> None:
        """Set a job's state by the org's clock."""
        job.state = state
        job.changed_at = self.org.clock.now()
        job.error = error
        if state in FINISHED:
            job.finished_at = job.changed_at

    def count_batches(self, records: int) -> None:
        """Take the batches of an upload out of the day's allowance. Raises LIMIT_EXCEEDED."""
        _use(self.org, BULK_BATCHES, -(-records // RECORDS_OF_A_BATCH))

    def _forget_old(self) -> None:
        """Let go of jobs older than a week."""
        oldest = self.org.clock.now() - KEPT
        for job in [job for job in self._jobs.values() if job.created_at < oldest]:
            del self._jobs[job.id]


def _use(org: SandboxOrg, name: str, count: int) -> None:
    """Take something out of the day's allocation. Raises LIMIT_EXCEEDED when it isn't there."""
    if not org.allocations.use(name, count):
        raise OrgError("LIMIT_EXCEEDED", f"{name}: the {org.allocations.most(name)} of a day are used up.")


def invalid_state(message: str) -> OrgError:
    """What is asked doesn't go with the state that the job is in."""
    return OrgError("INVALIDJOBSTATE", message)


def choice(body: dict[str, Any], name: str, allowed: Iterable[str], default: str) -> str:
    """A value of the request out of a list. Raises INVALIDJOB for another one."""
    value = str(body.get(name, default))
    if value not in allowed:
        raise OrgError("INVALIDJOB", f"{name}: '{value}' is none of {', '.join(allowed)}")
    return value
