"""Bulk jobs that write: what becomes of each line of an upload, and what the job says of itself.

Source    Bulk API 2.0 Developer Guide, "Bulk API 2.0 Ingest", "Prepare CSV Files".
"""

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from fakturo.cli.sandbox.bulk.ingest import Ingest
from fakturo.cli.sandbox.bulk.jobs import Job, Jobs
from fakturo.cli.sandbox.bulk.lines import csv_pieces
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.transactions import CommittedTransaction


class Loading:
    """An org with an external id on Account, and its ingest jobs."""

    def __init__(self) -> None:
        self.org = SandboxOrg(start=datetime(2026, 11, 26, 12, tzinfo=UTC))
        self.org.add_field("Account", Field(name="Ext__c", type="string", length=40, external_id=True, unique=True))
        self.ingest = Ingest(Jobs(self.org))
        self.commits: list[CommittedTransaction] = []
        self.org.listeners.append(self.commits.append)

    def open(self, operation: str = "insert", entity: str = "Account", **more: Any) -> Job:
        body = {"operation": operation, "object": entity, "contentType": "CSV", **more}
        return self.ingest.create(body, version="67.0", user_id=self.org.user_id, client="acme")

    async def load(self, content: str, operation: str = "insert", entity: str = "Account", **more: Any) -> Job:
        """Make a job, upload, close, and wait until it is done."""
        job = self.open(operation, entity, **more)
        self.ingest.upload(job, content.encode())
        self.ingest.close_upload(job)
        await self.finished(job)
        return job

    async def finished(self, job: Job) -> None:
        while job.state not in ("JobComplete", "Failed", "Aborted"):
            await asyncio.sleep(0)

    def result(self, job: Job, which: str) -> list[dict[str, str]]:
        header, lines = self.ingest.result(job, which)
        text = b"".join(csv_pieces(header, lines, job)).decode()
        return list(csv.DictReader(io.StringIO(text)))

    def account(self, ext: str) -> dict[str, Any]:
        (record_id,) = self.org.by_external("Account", "Ext__c", ext)
        return self.org.tables["Account"][record_id]


@pytest.fixture
def loading() -> Loading:
    return Loading()


async def test_every_line_becomes_a_record_and_a_line_of_the_results(loading: Loading) -> None:
    job = await loading.load('Name,Ext__c,BillingCity\n"Acme, Inc",a-1,"Zürich"\nBeta,b-1,\n')

    assert job.whole_info() | {"totalProcessingTime": 0, "apiActiveProcessingTime": 0} == {
        "id": job.id,
        "operation": "insert",
        "object": "Account",
        "createdById": loading.org.user_id,
        "createdDate": job.info()["createdDate"],
        "systemModstamp": job.info()["systemModstamp"],
        "state": "JobComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 67.0,
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
        "jobType": "V2Ingest",
        "numberRecordsProcessed": 2,
        "numberRecordsFailed": 0,
        "retries": 0,
        "totalProcessingTime": 0,
        "apiActiveProcessingTime": 0,
        "apexProcessingTime": 0,
    }
    done = loading.result(job, "successfulresults")
    assert [(line["sf__Created"], line["Name"], line["Ext__c"]) for line in done] == [
        ("true", "Acme, Inc", "a-1"),
        ("true", "Beta", "b-1"),
    ]
    assert loading.account("a-1") == loading.org.tables["Account"][done[0]["sf__Id"]]
    assert loading.account("a-1")["BillingCity"] == "Zürich"
    assert loading.result(job, "failedresults") == []


async def test_upsert_creates_or_updates_by_the_external_id(loading: Loading) -> None:
    await loading.load("Name,Ext__c\nAcme,a-1\n")
    job = await loading.load("Ext__c,Name\na-1,Acme 2\nb-1,Beta\n", "upsert", externalIdFieldName="Ext__c")

    assert [line["sf__Created"] for line in loading.result(job, "successfulresults")] == ["false", "true"]
    assert loading.account("a-1")["Name"] == "Acme 2"
    assert loading.account("b-1")["Name"] == "Beta"


async def test_an_empty_cell_leaves_a_field_and_na_empties_it(loading: Loading) -> None:
    await loading.load("Name,Ext__c,BillingCity,Phone\nAcme,a-1,Bern,12\n")
    await loading.load("Ext__c,BillingCity,Phone\na-1,,#N/A\n", "upsert", externalIdFieldName="Ext__c")

    assert loading.account("a-1")["BillingCity"] == "Bern"
    assert loading.account("a-1")["Phone"] is None


async def test_a_parent_is_named_by_its_external_id(loading: Loading) -> None:
    await loading.load("Name,Ext__c\nAcme,a-1\n")
    job = await loading.load(
        "LastName,Account.Ext__c\nDoe,a-1\nAsh,nobody\nElm,\n", "insert", "Contact", columnDelimiter="COMMA"
    )

    assert (job.processed, job.failed) == (3, 1)
    (refused,) = loading.result(job, "failedresults")
    assert refused["sf__Error"].startswith("INVALID_FIELD:Foreign key external ID: nobody not found for field Ext__c")
    assert refused["LastName"] == "Ash"
    contacts = {row["LastName"]: row["AccountId"] for row in loading.org.tables["Contact"].values()}
    assert contacts == {"Doe": loading.account("a-1")["Id"], "Elm": None}


async def test_a_refused_record_fails_alone_and_says_why(loading: Loading) -> None:
    job = await loading.load("Name,Ext__c\nAcme,a-1\n,b-1\nGamma,a-1\nDelta,d-1\n")

    assert [line["Name"] for line in loading.result(job, "successfulresults")] == ["Acme", "Delta"]
    missing, doubled = loading.result(job, "failedresults")
    assert missing["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert doubled["sf__Error"].startswith("DUPLICATE_VALUE:duplicate value found: Ext__c")
    assert missing["sf__Id"] == ""


async def test_the_same_external_id_twice_in_a_transaction_is_refused_the_second_time(loading: Loading) -> None:
    job = await loading.load("Ext__c,Name\na-1,Acme\na-1,Other\n", "upsert", externalIdFieldName="Ext__c")

    (refused,) = loading.result(job, "failedresults")
    assert refused["sf__Error"] == "DUPLICATE_VALUE:Duplicate external id specified: a-1:Ext__c --"
    assert loading.account("a-1")["Name"] == "Acme"


async def test_records_are_written_two_hundred_a_transaction(loading: Loading) -> None:
    await loading.load("Name\n" + "".join(f"A{number}\n" for number in range(450)))

    assert [len(commit.changes) for commit in loading.commits] == [200, 200, 50]
    assert {(commit.api, commit.client, commit.user_id) for commit in loading.commits} == {
        ("bulk", "acme", loading.org.user_id)
    }


async def test_update_delete_and_hard_delete_take_ids(loading: Loading) -> None:
    job = await loading.load("Name\nAcme\nBeta\n")
    one, two = (line["sf__Id"] for line in loading.result(job, "successfulresults"))

    await loading.load(f"Id,Name\n{one},Acme 2\n", "update")
    await loading.load(f"Id\n{one}\n", "delete")
    await loading.load(f"Id\n{two}\n", "hardDelete")
    again = await loading.load(f"Id\n{two}\n{one}\nnonsense\n", "delete")

    accounts = loading.org.tables["Account"]
    assert (accounts[one]["Name"], accounts[one]["IsDeleted"]) == ("Acme 2", True)
    assert two not in accounts
    assert (again.processed, again.failed) == (3, 3)
    assert [line["sf__Error"].split(":")[0] for line in loading.result(again, "failedresults")] == [
        "INVALID_CROSS_REFERENCE_KEY",
        "ENTITY_IS_DELETED",
        "MALFORMED_ID",
    ]


@pytest.mark.parametrize(
    ("content", "operation", "words"),
    [
        ("Name,Nope__c\nAcme,1\n", "insert", "InvalidBatch : Field name not found : Nope__c"),
        ("Name,Owner.Name\nAcme,1\n", "insert", "Field name not found : Owner.Name"),
        ("Name,name\nAcme,1\n", "insert", "Duplicate field name in the header row : name"),
        ("Name\nAcme,1\n", "insert", "Line 2 has 2 cells, the header row 1"),
        ('Name\n"Acme\n', "insert", "can't be read"),
        ("\n", "insert", "no header row"),
        ("Id,Name\n001,x\n", "delete", "must contain only 'Id'"),
    ],
)
async def test_an_upload_that_can_not_be_read_fails_the_job_and_writes_nothing(
    loading: Loading, content: str, operation: str, words: str
) -> None:
    job = await loading.load(content, operation)

    assert job.state == "Failed"
    assert words in str(job.whole_info()["errorMessage"])
    assert loading.commits == []


async def test_other_delimiters_and_line_endings_are_read_and_written(loading: Loading) -> None:
    job = await loading.load("Name|Ext__c\r\nAcme|a-1\r\n", columnDelimiter="PIPE", lineEnding="CRLF")
    header, lines = loading.ingest.result(job, "successfulresults")

    text = b"".join(csv_pieces(header, lines, job)).decode()
    assert text.splitlines(keepends=True)[0] == '"sf__Id"|"sf__Created"|"Name"|"Ext__c"\r\n'
    assert loading.account("a-1")["Name"] == "Acme"


async def test_an_aborted_job_leaves_the_rest_unprocessed(loading: Loading) -> None:
    job = loading.open()
    loading.ingest.upload(job, ("Name\n" + "".join(f"A{number}\n" for number in range(1000))).encode())
    loading.ingest.close_upload(job)
    while not loading.commits:
        await asyncio.sleep(0)
    loading.ingest.abort(job)
    await asyncio.sleep(0.01)

    assert job.state == "Aborted"
    assert len(loading.result(job, "unprocessedrecords")) == 800
    assert len(loading.result(job, "successfulresults")) == job.processed == 200


async def test_a_job_refuses_what_its_state_forbids(loading: Loading) -> None:
    job = loading.open()
    with pytest.raises(OrgError, match="INVALIDJOBSTATE"):
        loading.ingest.result(job, "successfulresults")
    with pytest.raises(OrgError, match="INVALIDJOBSTATE"):
        loading.ingest.jobs.forget(job)
    loading.ingest.upload(job, b"Name\nAcme\n")
    with pytest.raises(OrgError, match="Found multiple contents"):
        loading.ingest.upload(job, b"Name\nAcme\n")
    loading.ingest.close_upload(job)
    await loading.finished(job)
    with pytest.raises(OrgError, match="Aborting already Completed Job not allowed"):
        loading.ingest.abort(job)
    with pytest.raises(OrgError, match="Closing already Completed Job not allowed"):
        loading.ingest.close_upload(job)
    with pytest.raises(OrgError, match="INVALIDJOBSTATE"):
        loading.ingest.upload(job, b"Name\nAcme\n")
    loading.ingest.jobs.forget(job)
    with pytest.raises(OrgError, match="NOT_FOUND"):
        loading.ingest.jobs.find(job.id, query=False)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"operation": "merge", "object": "Account"}, "INVALIDJOB"),
        ({"operation": "insert", "object": "Nope"}, "INVALID_TYPE"),
        ({"operation": "upsert", "object": "Account"}, "INVALIDJOB"),
        ({"operation": "insert", "object": "Account", "columnDelimiter": "DOT"}, "INVALIDJOB"),
        ({"operation": "insert", "object": "Account", "contentType": "XML"}, "INVALIDJOB"),
    ],
)
async def test_what_can_not_be_a_job_is_refused(loading: Loading, body: dict[str, Any], code: str) -> None:
    with pytest.raises(OrgError) as caught:
        loading.ingest.create(body, version="67.0", user_id="", client="")

    assert caught.value.code == code


async def test_jobs_are_kept_seven_days_by_the_clock_of_the_org(loading: Loading) -> None:
    job = await loading.load("Name\nAcme\n")
    loading.org.clock.advance(7 * 86_400 - 60)
    assert loading.ingest.jobs.find(job.id[:15], query=False) is job

    loading.org.clock.advance(120)

    with pytest.raises(OrgError, match="NOT_FOUND"):
        loading.ingest.jobs.find(job.id, query=False)


async def test_the_batches_of_a_day_are_used_up_by_ten_thousands(loading: Loading) -> None:
    batches = loading.org.allocations
    before = batches.used("DailyBulkApiBatches")
    await loading.load("Name\n" + "A\n" * 10_001)

    assert batches.used("DailyBulkApiBatches") - before == 2


async def test_a_locked_row_fails_and_the_others_go_on(loading: Loading) -> None:
    loading.org.faults.apply({"lock_rows": 1})
    job = await loading.load("Name\nAcme\nBeta\n")

    (refused,) = loading.result(job, "failedresults")
    assert refused["sf__Error"].startswith("UNABLE_TO_LOCK_ROW:")
    assert job.processed - job.failed == 1
