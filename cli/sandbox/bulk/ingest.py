"""Ingest jobs: an uploaded CSV is written to the org, 200 records a transaction.

Place     rest/bulk_ingest -> [this] -> SandboxOrg.transaction (change events come out of each) -> results.
Rules     A record that is refused fails alone. The 200 records of a transaction are what triggers see at once, so
          their change events share a transaction key. The same external id twice among them is refused the second
          time. Between transactions other work of the loop goes on; an aborted job stops there, and what it hasn't
          come to is unprocessed.
Source    Bulk API 2.0 Developer Guide, "Bulk API 2.0 Ingest"; "How Requests Are Processed" (chunks of 200).
"""

import asyncio
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from fakturo.cli.sandbox.bulk.background import Background
from fakturo.cli.sandbox.bulk.jobs import DELIMITERS, FINISHED, LINE_ENDINGS, Job, Jobs, choice, invalid_state
from fakturo.cli.sandbox.bulk.upload import InvalidBatch, Upload, error_text
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.transactions import Transaction

RECORDS_OF_A_TRANSACTION = 200
LARGEST_UPLOAD = 150 * 1000 * 1000
OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")


@dataclass(slots=True)
class _Work:
    """What a job was given and what came of it, line by line: (id, created) or (id, error) before the line's cells."""

    content: bytes = b""
    columns: list[str] = field(default_factory=list)
    done: list[list[str]] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)
    untouched: list[list[str]] = field(default_factory=list)


class Ingest:
    """The ingest jobs of an org; `close` ends what is at work."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._work: dict[str, _Work] = {}
        self._background = Background(jobs)

    def create(self, body: dict[str, Any], *, version: str, user_id: str, client: str) -> Job:
        """A new, open job of a request. Raises INVALIDJOB or INVALID_TYPE for what can't be one."""
        operation = choice(body, "operation", OPERATIONS, "")
        choice(body, "contentType", ("CSV",), "CSV")
        entity = self.jobs.org.object(str(body.get("object", "")))
        external_id = body.get("externalIdFieldName")
        if operation == "upsert" and not external_id:
            raise OrgError("INVALIDJOB", "The externalIdFieldName is required for upsert")
        job = self.jobs.create(
            operation=operation,
            entity=entity.name,
            api_version=version,
            user_id=user_id,
            client=client,
            state="Open",
            delimiter=choice(body, "columnDelimiter", DELIMITERS, "COMMA"),
            line_ending=choice(body, "lineEnding", LINE_ENDINGS, "LF"),
            external_id=str(external_id) if operation == "upsert" else None,
        )
        self._work[job.id] = _Work()
        self._forget_deleted()
        return job

    def upload(self, job: Job, content: bytes) -> None:
        """Take the job's CSV. Raises for a second upload, a closed job or too much."""
        if job.state != "Open":
            raise invalid_state(f"Content can be uploaded to an open job; this one is {job.state}.")
        if len(content) > LARGEST_UPLOAD:
            raise OrgError("EXCEEDED_MAX_SIZE_REQUEST", f"An upload has at most {LARGEST_UPLOAD} bytes.")
        work = self._work[job.id]
        if work.content:
            raise OrgError(
                "CLIENT_INPUT_ERROR",
                f"Found multiple contents for job: <{job.id}>, please 'Close' / 'Abort' / 'Delete' the current Job "
                "then create a new Job and make sure you only do 'PUT' once on a given Job.",
            )
        work.content = content

    def close_upload(self, job: Job) -> None:
        """Begin to work on an open job."""
        if job.state != "Open":
            raise invalid_state(f"Closing already {_spoken(job)} Job not allowed")
        self.jobs.move(job, "UploadComplete")
        self._background.start(job, self._run(job, self._work[job.id]))

    def abort(self, job: Job) -> None:
        """Stop a job that isn't finished; what it has written stays."""
        if job.state in FINISHED:
            raise invalid_state(f"Aborting already {_spoken(job)} Job not allowed")
        self.jobs.move(job, "Aborted")

    def result(self, job: Job, which: str) -> tuple[list[str], list[list[str]]]:
        """Header and lines of `successfulresults`, `failedresults` or `unprocessedrecords`."""
        if job.state not in FINISHED:
            raise invalid_state(f"The results of a job are there when it is finished; this one is {job.state}.")
        work = self._work[job.id]
        if which == "successfulresults":
            return ["sf__Id", "sf__Created", *work.columns], work.done
        if which == "failedresults":
            return ["sf__Id", "sf__Error", *work.columns], work.refused
        if which == "unprocessedrecords":
            return work.columns, work.untouched
        raise OrgError("NOT_FOUND", "The requested resource does not exist")

    async def close(self) -> None:
        """End what is at work."""
        await self._background.close()

    async def _run(self, job: Job, work: _Work) -> None:
        """Work through a job, transaction by transaction."""
        await asyncio.sleep(0)
        if job.state != "UploadComplete":
            return
        self.jobs.move(job, "InProgress")
        try:
            upload, lines = self._read(job, work)
        except (InvalidBatch, OrgError) as error:
            self.jobs.move(job, "Failed", str(error))
            return
        remaining = iter(lines)
        while job.state == "InProgress" and (batch := list(islice(remaining, RECORDS_OF_A_TRANSACTION))):
            self._write(job, work, upload, batch)
            await asyncio.sleep(0)
        work.untouched = list(remaining)
        work.content = b""
        if job.state == "InProgress":
            self.jobs.move(job, "JobComplete")

    def _read(self, job: Job, work: _Work) -> tuple[Upload, list[list[str]]]:
        """The upload and its lines, counted against the day's batches."""
        entity = self.jobs.org.object(job.entity)
        upload = Upload(self.jobs.org, entity, work.content, DELIMITERS[job.delimiter])
        work.columns = upload.columns
        lines = list(upload.lines())
        if job.operation in ("delete", "hardDelete") and [name.lower() for name in upload.columns] != ["id"]:
            raise InvalidBatch("The 'delete/hardDelete' batch must contain only 'Id'")
        self.jobs.count_batches(len(lines))
        return upload, lines

    def _write(self, job: Job, work: _Work, upload: Upload, batch: list[list[str]]) -> None:
        """One transaction."""
        seen: set[str] = set()
        org = self.jobs.org
        with org.transaction(
            user_id=job.user_id, client=job.client, api="bulk", version=job.api_version
        ) as transaction:
            for line in batch:
                values = upload.values(line)
                record_id = str(values.get("Id") or "")
                try:
                    record_id, created = _write_one(transaction, job, values, seen)
                    work.done.append([record_id, "true" if created else "false", *line])
                except OrgError as error:
                    work.refused.append([record_id, error_text(error), *line])
                    job.failed += 1
                job.processed += 1

    def _forget_deleted(self) -> None:
        """Let go of the work of jobs that the org doesn't keep any more."""
        kept = {job.id for job in self.jobs.listed(query=False)}
        for job_id in self._work.keys() - kept:
            del self._work[job_id]


def _write_one(transaction: Transaction, job: Job, values: dict[str, Any], seen: set[str]) -> tuple[str, bool]:
    """Write one record; its id and whether it is new. Raises OrgError."""
    entity = job.entity
    if job.operation == "insert":
        return transaction.insert(entity, values), True
    if job.operation == "upsert":
        return _upsert(transaction, job, values, seen)
    record_id = values.pop("Id", None)
    if not record_id:
        raise OrgError("MISSING_ARGUMENT", "Id not specified in an update call")
    if job.operation == "update":
        transaction.update(entity, record_id, values)
    elif job.operation == "delete":
        transaction.delete(entity, record_id)
    else:
        transaction.hard_delete(entity, record_id)
    return record_id, False


def _upsert(transaction: Transaction, job: Job, values: dict[str, Any], seen: set[str]) -> tuple[str, bool]:
    """Write one record by its external id."""
    field_name = next((name for name in values if name.lower() == str(job.external_id).lower()), None)
    key = values.pop(field_name) if field_name else None
    if not key and str(job.external_id).lower() != "id":
        raise OrgError("MISSING_ARGUMENT", f"{job.external_id} not specified")
    if key in seen:
        raise OrgError("DUPLICATE_VALUE", f"Duplicate external id specified: {key}", (str(job.external_id),))
    upserted = transaction.upsert(job.entity, str(job.external_id), key, values)
    if key:
        seen.add(key)
    return upserted.record_id, upserted.created


def _spoken(job: Job) -> str:
    """The state as Salesforce's sentences have it."""
    return {"JobComplete": "Completed", "UploadComplete": "Closed"}.get(job.state, job.state)
