"""Bulk API 2.0: query jobs read page by page, and upsert jobs, resumable and in flat memory.

Place     Org -> [this] -> simple-salesforce's session and URLs -> the org.
Why own   simple-salesforce's bulk2 sleeps in the thread until a job ends (up to a day), begins every query anew, and
          never renews a token. Here the loop waits, and a job is named by its id, so another process goes on with it.
Memory    a page of `page_rows` rows is the most that is held at once.
Nulls     an empty cell of a result is null; to write null the cell is `#N/A` (an empty one leaves the field as it is).
Source    Bulk API 2.0 Developer Guide: query jobs, `Sforce-Locator`; ingest jobs; reference, 4.1 and 5.1.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceExpiredSession

from fakturo.consumers.runtime.salesforce.errors import OrgRefused, fault_of
from fakturo.consumers.runtime.salesforce.upserts import UpsertResult, bulk_results_of

PAUSE_SECONDS_MIN = 0.1
PAUSE_SECONDS_MAX = 5.0
JOB_BYTES_MAX = 90_000_000
"""An upload may have 100 MB before it is base64-encoded (reference, 6)."""
NULL = "#N/A"
LAST = "null"

Result = TypeVar("Result")


class Caller(Protocol):
    """Org.call: runs a function with a client in a thread, renewing the token once."""

    def __call__(self, work: Callable[[Salesforce], Result]) -> Awaitable[Result]:
        """Run it."""


@dataclass(frozen=True, slots=True)
class BulkPage:
    """Rows as text by column, and where the next page begins: None after the last."""

    rows: list[dict[str, str]]
    locator: str | None


class BulkJobs:
    """Bulk 2.0 of one org."""

    def __init__(self, call: Caller) -> None:
        self._call = call

    async def start_query(self, soql: str, *, deleted: bool) -> str:
        """Start a query job, of deleted records too if wanted; return its id."""
        body = {"operation": "queryAll" if deleted else "query", "query": soql}
        return str((await self._json("POST", "query", body))["id"])

    async def pages(self, job_id: str, page_rows: int) -> AsyncIterator[BulkPage]:
        """Wait for a query job and yield its pages."""
        await self._finished(f"query/{job_id}")
        following: str | None = ""
        while following is not None:
            page = await self.page(job_id, following, page_rows)
            yield page
            following = page.locator

    async def page(self, job_id: str, locator: str, page_rows: int) -> BulkPage:
        """Return the page of a complete query job that begins at `locator`."""
        return await self._call(partial(_page, job_id=job_id, locator=locator, page_rows=page_rows))

    async def upsert(self, entity: str, external_id: str, records: Sequence[Mapping[str, Any]]) -> list[UpsertResult]:
        """Upsert `records` by `external_id`, in as many jobs as their size asks for, one after the other."""
        results: list[UpsertResult] = []
        for part, text in _uploads(records):
            job = {"object": entity, "operation": "upsert", "externalIdFieldName": external_id, "contentType": "CSV"}
            job_id = (await self._json("POST", "ingest", {**job, "lineEnding": "LF"}))["id"]
            results += await self._upload(job_id, external_id, [str(record[external_id]) for record in part], text)
        return results

    async def _upload(self, job_id: str, external_id: str, keys: list[str], text: bytes) -> list[UpsertResult]:
        path = f"ingest/{job_id}"
        await self._call(lambda client: _request(client, "PUT", f"{path}/batches", data=text, content="text/csv"))
        await self._json("PATCH", path, {"state": "UploadComplete"})
        ended_by = "the job ended before this record"
        try:
            await self._finished(path)
        except OrgRefused as refusal:
            if refusal.is_missing:
                raise
            # Failed or aborted: what was written before that is in the result files all the same.
            ended_by = refusal.message
        successful, failed = [
            await self._call(partial(_csv, path=f"{path}/{name}")) for name in ("successfulResults", "failedResults")
        ]
        return bulk_results_of(keys, external_id, successful, failed, ended_by)

    async def is_complete(self, path: str) -> bool:
        """Return whether the job at `path` is complete.

        Raises:
            OrgRefused: it failed, was aborted or is not there.
        """
        job = await self._json("GET", path)
        if job["state"] in ("Failed", "Aborted"):
            raise OrgRefused("JOB_" + job["state"].upper(), str(job.get("errorMessage") or "no message"))
        return bool(job["state"] == "JobComplete")

    async def _finished(self, path: str) -> None:
        """Return when the job is complete; raise as `is_complete` does."""
        pause = PAUSE_SECONDS_MIN
        while not await self.is_complete(path):
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, PAUSE_SECONDS_MAX)

    async def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else msgspec.json.encode(body)
        answer = await self._call(lambda client: _request(client, method, path, data=data).json())
        return dict(answer)


def _request(
    client: Salesforce,
    method: str,
    path: str,
    *,
    data: bytes | None = None,
    content: str = "application/json",
    accept: str = "application/json",
    params: Mapping[str, str] | None = None,
    stream: bool = False,
) -> requests.Response:
    """Ask the bulk API.

    Raises:
        SalesforceExpiredSession: the token is refused.
        OrgFault: anything else that is no success.
    """
    headers = {**client.headers, "Content-Type": f"{content}; charset=UTF-8", "Accept": accept}
    url = client.bulk2_url + path
    response = client.session.request(method, url, headers=headers, data=data, params=params, stream=stream)
    if response.status_code < 300:
        return response
    try:
        answer = response.json()
    except ValueError:
        answer = response.text
    if response.status_code == 401:
        raise SalesforceExpiredSession("bulk", 401, path, b"")
    raise fault_of(response.status_code, answer, (client.session_id,))


def _page(client: Salesforce, job_id: str, locator: str, page_rows: int) -> BulkPage:
    params = {"maxRecords": str(page_rows)} | ({"locator": locator} if locator else {})
    response = _request(client, "GET", f"query/{job_id}/results", accept="text/csv", params=params)
    following = response.headers.get("Sforce-Locator", LAST)
    return BulkPage(rows=_rows(response), locator=None if following in ("", LAST) else following)


def _csv(client: Salesforce, path: str) -> list[dict[str, str]]:
    return _rows(_request(client, "GET", path, accept="text/csv"))


def _rows(response: requests.Response) -> list[dict[str, str]]:
    text = response.content.decode("utf-8-sig").replace("\0", "")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _uploads(records: Sequence[Mapping[str, Any]]) -> list[tuple[list[Mapping[str, Any]], bytes]]:
    """Cut `records` into parts whose CSV is within what one job takes."""
    if not records:
        return []
    text = _csv_of(records)
    if len(text) <= JOB_BYTES_MAX or len(records) == 1:
        return [(list(records), text)]
    middle = len(records) // 2
    return [*_uploads(records[:middle]), *_uploads(records[middle:])]


def _csv_of(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Write records as CSV; a field that a record does not have is an empty cell, so it stays as it is.

    A parent by external id, `{"Account__r": {"Ext__c": "7"}}`, becomes the column `Account__r.Ext__c`.
    """
    flat = [_flat(record) for record in records]
    names = sorted({name for record in flat for name in record})
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in record.items()} for record in flat)
    return buffer.getvalue().encode()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": told for inner, told in value.items() if inner != "attributes"})
        elif name != "attributes":
            flat[name] = value
    return flat


def _cell(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
