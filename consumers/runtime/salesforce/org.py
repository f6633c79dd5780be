"""One Salesforce org over REST and Bulk 2.0, for asyncio: simple-salesforce in a few threads.

Place     bridge (snapshot, resync, reconciliation), crm_sync, `fakturo salesforce ...` -> [this] -> the org.
Threads   simple-salesforce only knows how to block: each call runs in a pool of `THREADS`, each thread with an HTTP
          session of its own; no more calls than that are under way (Salesforce allows 25 long ones an org).
Tokens    the session id is passed in, so simple-salesforce never logs in by itself (its record calls would recurse for
          ever on a token that stays refused: reference, 4.1); a call answered 401 is made once more with a new token.
Numbers   JSON numbers with a point come as Decimal and go as exact JSON numbers; no float anywhere.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from threading import local
from typing import Any, TypeVar

import msgspec
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceExpiredSession

from fakturo.consumers.runtime.salesforce.bulk_jobs import BulkJobs, BulkPage
from fakturo.consumers.runtime.salesforce.errors import AuthenticationRefused, OrgUnavailable, fault_of
from fakturo.consumers.runtime.salesforce.limits import ApiUsage, api_usage_of
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.salesforce.tokens import AccessToken, TokenProvider
from fakturo.consumers.runtime.salesforce.transport import date_of, make_session, said_of
from fakturo.consumers.runtime.salesforce.upserts import UpsertResult, results_of

THREADS = 4
COLLECTION_RECORDS_MAX = 200
DESCRIBE_SECONDS = 60.0
"""How long a describe is good: a new field is seen after a minute, and a page costs no extra call."""

Result = TypeVar("Result")
Row = dict[str, Any]
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(slots=True)
class _Heard:
    """What the headers of the newest answer said."""

    server_now: datetime | None = None
    api_usage: ApiUsage | None = None


class Org:
    """The org of `settings`. `org_id` and `instance_url` are known once `open` has returned."""

    def __init__(self, settings: SalesforceSettings) -> None:
        self.settings = settings
        self.org_id = ""
        self.instance_url = ""
        self._heard = _Heard()
        self._local = local()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="salesforce")
        self._tokens = TokenProvider(settings, self._with_session)
        self._described: dict[str, tuple[float, Row]] = {}
        self._bulk = BulkJobs(self.call)

    async def open(self) -> None:
        """Let ourselves in.

        Raises:
            AuthenticationRefused: an administrator must look.
            OrgUnavailable: try later.
        """
        token = await self.token()
        self.org_id, self.instance_url = token.org_id, token.instance_url

    async def close(self) -> None:
        """Let go of the threads; a call that is under way ends in the background, by its time limit at the latest."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def token(self, *, renew: bool = False, instead_of: AccessToken | None = None) -> AccessToken:
        """Return the process's access token (see TokenProvider.token)."""
        return await self._tokens.token(renew=renew, instead_of=instead_of)

    @property
    def server_now(self) -> datetime | None:
        """Return what the org's clock said in its newest answer, to the second; None before the first."""
        return self._heard.server_now

    @property
    def api_usage(self) -> ApiUsage | None:
        """Return the day's API calls as the newest answer said them; None before the first."""
        return self._heard.api_usage

    async def ask_time(self) -> datetime:
        """Return the org's clock now, to the second below: not later than any query that is asked afterwards.

        The list of API versions is asked for: it needs no token and is not counted.
        """

        def _versions(session: requests.Session) -> datetime | None:
            response = session.get(f"{self.instance_url}/services/data/")
            return date_of(response.headers)

        told = await self._with_session(_versions)
        if told is None:
            raise OrgUnavailable("the org's answer has no Date header")
        return told

    async def query(self, soql: str, *, deleted: bool = False) -> AsyncIterator[list[Row]]:
        """Yield the rows of a SOQL query page by page (up to 2,000), deleted ones too if wanted; no `attributes`."""
        answer = await self.call(lambda client: client.query(soql, include_deleted=deleted))
        while True:
            yield [_plain(row) for row in answer["records"]]
            if answer["done"]:
                return
            answer = await self.call(partial(_more, at=answer["nextRecordsUrl"]))

    async def describe(self, entity: str, *, fresh: bool = False) -> Row:
        """Return the describe of an object: `fields` and what may be done with it; at most a minute old, or `fresh`."""
        found = self._described.get(entity)
        if fresh or found is None or time.monotonic() - found[0] > DESCRIBE_SECONDS:
            answer = await self.call(lambda client: client.restful(f"sobjects/{entity}/describe"))
            found = self._described[entity] = (time.monotonic(), dict(answer or {}))
        return found[1]

    async def objects(self) -> list[Row]:
        """Return the org's objects, each with name, label, keyPrefix and what may be done with it."""
        answer = await self.call(lambda client: client.describe())
        return list(dict(answer or {}).get("sobjects", ()))

    async def limits(self) -> Row:
        """Return the org's limits by name, each `{"Max": n, "Remaining": n}`."""
        return dict(await self.call(lambda client: client.limits()))

    async def upsert(self, entity: str, external_id: str, records: Sequence[Row]) -> list[UpsertResult]:
        """Insert or update up to 200 records by `external_id`, each for itself; results in their order."""
        return await self._collection(f"composite/sobjects/{entity}/{external_id}", entity, records)

    async def update(self, entity: str, records: Sequence[Row]) -> list[UpsertResult]:
        """Update up to 200 records by their `Id`, each for itself; results in their order."""
        return await self._collection("composite/sobjects", entity, records)

    async def delete(self, record_ids: Sequence[str]) -> list[UpsertResult]:
        """Delete up to 200 records by their `Id`, each for itself; results in their order."""
        if len(record_ids) > COLLECTION_RECORDS_MAX:
            raise ValueError(f"{len(record_ids)} records: a collection takes {COLLECTION_RECORDS_MAX}")
        if not record_ids:
            return []
        asked = {"ids": ",".join(record_ids), "allOrNone": "false"}
        path = "composite/sobjects"
        answer = await self.call(lambda client: client.restful(path, method="DELETE", params=asked))
        return results_of(answer or [], len(record_ids))

    async def _collection(self, path: str, entity: str, records: Sequence[Row]) -> list[UpsertResult]:
        if len(records) > COLLECTION_RECORDS_MAX:
            raise ValueError(f"{len(records)} records: a collection takes {COLLECTION_RECORDS_MAX}")
        if not records:
            return []
        typed = [{"attributes": {"type": entity}, **record} for record in records]
        body = _encoder.encode({"allOrNone": False, "records": typed})
        answer = await self.call(lambda client: client.restful(path, method="PATCH", data=body))
        return results_of(answer or [], len(records))

    async def start_query_job(self, soql: str, *, deleted: bool = False) -> str:
        """Start a Bulk 2.0 query and return the job's id; its results stay in the org for seven days."""
        return await self._bulk.start_query(soql, deleted=deleted)

    async def is_query_job_complete(self, job_id: str) -> bool:
        """Return whether a query job's results can be read.

        Raises:
            OrgRefused: the job failed or is gone (`is_missing`); begin a new one.
        """
        return await self._bulk.is_complete(f"query/{job_id}")

    async def query_job_page(self, job_id: str, locator: str, page_rows: int) -> BulkPage:
        """Return the page of a complete job's results that begins at `locator` ("": the first).

        Raises:
            OrgRefused: the job is gone (`is_missing`).
        """
        return await self._bulk.page(job_id, locator, page_rows)

    async def bulk_rows(
        self, soql: str, page_rows: int = 10_000, *, deleted: bool = False
    ) -> AsyncIterator[list[dict[str, str]]]:
        """Yield the rows of a Bulk 2.0 query page by page, as text; empty cells are nulls."""
        job_id = await self._bulk.start_query(soql, deleted=deleted)
        async for page in self._bulk.pages(job_id, page_rows):
            yield page.rows

    async def bulk_upsert(self, entity: str, external_id: str, records: Sequence[Row]) -> list[UpsertResult]:
        """Insert or update any number of records by `external_id` in a Bulk 2.0 job; results in their order."""
        return await self._bulk.upsert(entity, external_id, records)

    async def call(self, work: Callable[[Salesforce], Result]) -> Result:
        """Run `work` with a client in a thread; once more with a new token if the org takes the old one no more.

        Raises:
            OrgUnavailable, AllocationUsedUp, AuthenticationRefused, OrgRefused: see errors.
        """
        token = await self.token()
        try:
            return await self._with_client(work, token)
        except SalesforceExpiredSession:
            token = await self.token(instead_of=token)
        try:
            return await self._with_client(work, token)
        except SalesforceExpiredSession:
            raise AuthenticationRefused("the org refuses a token that it gave just now") from None

    async def _with_client(self, work: Callable[[Salesforce], Result], token: AccessToken) -> Result:
        def _work(session: requests.Session) -> Result:
            try:
                return work(self._client(session, token))
            except SalesforceExpiredSession:
                raise
            except SalesforceError as error:
                raise fault_of(error.status, error.content, (token.access_token,)) from None

        return await self._with_session(_work)

    async def _with_session(self, work: Callable[[requests.Session], Result]) -> Result:
        def _work() -> Result:
            try:
                return work(self._session())
            except OSError as error:  # as every exception of requests is
                raise OrgUnavailable(f"{self.settings.login_url}: {said_of(error)}") from None

        return await asyncio.get_running_loop().run_in_executor(self._pool, _work)

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = make_session(self.settings, self._listen)
        session: requests.Session = self._local.session
        return session

    def _client(self, session: requests.Session, token: AccessToken) -> Salesforce:
        """Return this thread's client for `token`."""
        if getattr(self._local, "token", None) is not token:
            self._local.client = Salesforce(
                session_id=token.access_token,
                instance_url=token.instance_url,
                version=self.settings.api_version,
                session=session,
                parse_float=Decimal,
                object_pairs_hook=dict,
            )
            self._local.token = token
        client: Salesforce = self._local.client
        return client

    def _listen(self, headers: Mapping[str, str]) -> None:
        self._heard.server_now = date_of(headers) or self._heard.server_now
        self._heard.api_usage = api_usage_of(headers.get("Sforce-Limit-Info")) or self._heard.api_usage


def _more(client: Salesforce, at: str) -> Any:
    return client.query_more(at, identifier_is_url=True)


def _plain(row: Row) -> Row:
    """Return a row without what says only where it came from, its parents' rows too."""
    return {
        name: _plain(value) if isinstance(value, dict) else value for name, value in row.items() if name != "attributes"
    }


__all__ = ["BulkPage", "Org", "Row", "UpsertResult"]
