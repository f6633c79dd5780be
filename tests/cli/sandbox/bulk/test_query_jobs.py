"""Bulk jobs that read: pages of CSV, and what Bulk doesn't answer.

Source    Bulk API 2.0 Developer Guide, "Understanding Bulk API 2.0 Query", "Get Results for a Query Job".
"""

import asyncio
from datetime import UTC, datetime

import pytest

from fakturo.cli.sandbox.bulk.jobs import Job, Jobs
from fakturo.cli.sandbox.bulk.query_jobs import Page, QueryJobs
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.soql.execution import Queries

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Reading:
    """An org with five accounts, and its query jobs."""

    def __init__(self) -> None:
        self.org = SandboxOrg(start=NOON)
        self.org.clock.freeze(NOON)
        with self.org.transaction() as tx:
            self.ids = [tx.insert("Account", {"Name": f"A{place}", "NumberOfEmployees": place}) for place in range(4)]
            self.ids.append(tx.insert("Account", {"Name": 'The "fifth", Zürich', "ParentId": self.ids[0]}))
        self.jobs = Jobs(self.org)
        self.query_jobs = QueryJobs(self.jobs, Queries(self.org))

    def create(self, text: str, operation: str = "query", **more: str) -> Job:
        body = {"operation": operation, "query": text, **more}
        return self.query_jobs.create(body, version="67.0", user_id=self.org.user_id, client="")

    async def ask(self, text: str, operation: str = "query", **more: str) -> Job:
        job = self.create(text, operation, **more)
        while job.state != "JobComplete":
            await asyncio.sleep(0)
        return job

    async def csv(self, text: str, operation: str = "query", **more: str) -> str:
        return text_of(self.query_jobs.page(await self.ask(text, operation, **more), None, None))


def text_of(page: Page) -> str:
    return b"".join(page.pieces).decode()


@pytest.fixture
def reading() -> Reading:
    return Reading()


async def test_rows_are_lines_with_every_cell_in_quotes(reading: Reading) -> None:
    text = await reading.csv(
        "SELECT Id, Name, NumberOfEmployees, Parent.Name, IsDeleted, CreatedDate FROM Account "
        "WHERE Name LIKE 'The%' OR Name = 'A1'"
    )

    assert text == (
        '"Id","Name","NumberOfEmployees","Parent.Name","IsDeleted","CreatedDate"\n'
        f'"{reading.ids[1]}","A1","1","","false","2026-11-26T12:00:00.000Z"\n'
        f'"{reading.ids[4]}","The ""fifth"", Zürich","","A0","false","2026-11-26T12:00:00.000Z"\n'
    )


async def test_pages_follow_each_other_by_their_locators(reading: Reading) -> None:
    job = await reading.ask("SELECT Name FROM Account ORDER BY Name")
    pages, locator = [], None
    while True:
        page = reading.query_jobs.page(job, locator, 2)
        pages.append((page.records, text_of(page).splitlines()))
        locator = page.locator
        if locator is None:
            break

    assert [(count, lines[1:]) for count, lines in pages] == [
        (2, ['"A0"', '"A1"']),
        (2, ['"A2"', '"A3"']),
        (1, ['"The ""fifth"", Zürich"']),
    ]
    assert {lines[0] for _, lines in pages} == {'"Name"'}


async def test_of_no_rows_there_is_the_header(reading: Reading) -> None:
    job = await reading.ask("SELECT Id, Name FROM Account WHERE Name = 'nobody'")
    page = reading.query_jobs.page(job, None, 10)

    assert (page.records, page.locator, text_of(page)) == (0, None, '"Id","Name"\n')


async def test_a_locator_of_another_job_or_of_none_is_refused(reading: Reading) -> None:
    one, other = await reading.ask("SELECT Id FROM Account"), await reading.ask("SELECT Id FROM Account")
    locator = reading.query_jobs.page(one, None, 1).locator
    assert locator is not None

    for wrong in (locator, "nonsense", "%%%"):
        with pytest.raises(OrgError, match="INVALID_QUERY_LOCATOR"):
            reading.query_jobs.page(other, wrong, 1)


async def test_query_all_reads_the_recycle_bin_too(reading: Reading) -> None:
    with reading.org.transaction() as tx:
        tx.delete("Account", reading.ids[1])

    text = "SELECT Name FROM Account WHERE IsDeleted = true"
    assert await reading.csv(text) == '"Name"\n'
    assert await reading.csv(text, "queryAll") == '"Name"\n"A1"\n'


async def test_the_rows_are_those_of_the_moment_when_the_job_ran(reading: Reading) -> None:
    job = await reading.ask("SELECT Name FROM Account ORDER BY Name LIMIT 2")
    with reading.org.transaction() as tx:
        tx.update("Account", reading.ids[0], {"Name": "Changed"})
        tx.delete("Account", reading.ids[1])

    assert text_of(reading.query_jobs.page(job, None, None)) == '"Name"\n"A0"\n"A1"\n'


async def test_the_job_tells_what_it_is(reading: Reading) -> None:
    job = await reading.ask("SELECT Id FROM Account", columnDelimiter="TAB", lineEnding="CRLF")
    info = job.whole_info()

    assert (info["state"], info["jobType"], info["numberRecordsProcessed"]) == ("JobComplete", "V2Query", 5)
    assert (info["object"], info["isPkChunkingSupported"], info["columnDelimiter"]) == ("Account", True, "TAB")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT COUNT() FROM Account", "FUNCTIONALITY_NOT_ENABLED"),
        ("SELECT Name, COUNT(Id) FROM Account GROUP BY Name", "FUNCTIONALITY_NOT_ENABLED"),
        ("SELECT Id FROM Account OFFSET 3", "FUNCTIONALITY_NOT_ENABLED"),
        ("SELECT BillingAddress FROM Account", "FUNCTIONALITY_NOT_ENABLED"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "FUNCTIONALITY_NOT_ENABLED"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELEKT", "MALFORMED_QUERY"),
        ("", "INVALIDJOB"),
    ],
)
async def test_what_bulk_does_not_answer_is_refused_when_the_job_is_made(
    reading: Reading, text: str, code: str
) -> None:
    with pytest.raises(OrgError) as caught:
        reading.create(text)

    assert caught.value.code == code


async def test_results_are_there_when_the_job_is_complete_and_not_of_an_aborted_one(reading: Reading) -> None:
    job = reading.create("SELECT Id FROM Account")
    with pytest.raises(OrgError, match="INVALIDJOBSTATE"):
        reading.query_jobs.page(job, None, None)
    reading.query_jobs.abort(job)
    await asyncio.sleep(0.01)

    assert job.state == "Aborted"
    with pytest.raises(OrgError, match="Aborting already Aborted Job not allowed"):
        reading.query_jobs.abort(job)


async def test_the_query_jobs_of_a_day_are_used_up(reading: Reading) -> None:
    assert reading.org.allocations.use("DailyBulkV2QueryJobs", 10_000)

    with pytest.raises(OrgError, match="LIMIT_EXCEEDED"):
        reading.create("SELECT Id FROM Account")
