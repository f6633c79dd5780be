"""Bulk API 2.0 as HTTP answers it; what becomes of the lines is in tests/cli/sandbox/bulk.

Source    Bulk API 2.0 Developer Guide, the walkthroughs of ingest and query jobs.
"""

import time
from typing import Any

import pytest
import requests

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.transactions import CommittedTransaction
from tests.cli.sandbox.rest.conftest import Client


def put(client: Client, job: str, content: str) -> requests.Response:
    return client.session.put(
        f"{client.url}/services/data/v67.0/jobs/ingest/{job}/batches",
        data=content.encode(),
        headers={"Content-Type": "text/csv"},
    )


def finished(client: Client, path: str) -> dict[str, Any]:
    """The job once it is done; it is at work for some milliseconds."""
    while True:
        job: dict[str, Any] = client.call("GET", path).json()
        if job["state"] in ("JobComplete", "Failed", "Aborted"):
            return job
        time.sleep(0.005)


def test_an_ingest_job_goes_from_open_to_its_results(client: Client) -> None:
    made = client.call("POST", "jobs/ingest", {"object": "Account", "contentType": "CSV", "operation": "insert"})
    job = made.json()
    assert (made.status_code, job["state"]) == (200, "Open")
    assert job["contentUrl"] == f"services/data/v67.0/jobs/ingest/{job['id']}/batches"

    assert put(client, job["id"], "Name\nHttp 1\n\nHttp 2\n").status_code == 201
    closed = client.call("PATCH", f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    assert (closed.status_code, closed.json()["state"]) == (200, "UploadComplete")
    done = finished(client, f"jobs/ingest/{job['id'][:15]}")
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"], done["jobType"]) == (2, 0, "V2Ingest")

    results = client.call("GET", f"jobs/ingest/{job['id']}/successfulResults/")
    assert results.headers["Content-Type"].startswith("text/csv")
    assert results.text.splitlines()[0] == '"sf__Id","sf__Created","Name"'
    assert len(results.text.splitlines()) == 3
    assert client.call("GET", f"jobs/ingest/{job['id']}/unprocessedrecords").text == '"Name"\n'
    assert client.call("GET", f"jobs/ingest/{job['id']}/otherresults").status_code == 404
    assert client.call("DELETE", f"jobs/ingest/{job['id']}").status_code == 204
    assert client.call("GET", f"jobs/ingest/{job['id']}").status_code == 404


def test_the_change_events_of_a_job_name_bulk_and_the_client(client: Client) -> None:
    commits: list[CommittedTransaction] = []
    client.threaded.in_loop(lambda org: org.listeners.append(commits.append))
    job = client.call(
        "POST", "jobs/ingest", {"object": "Account", "operation": "insert"}, Sforce_Call_Options="client=fakturo"
    ).json()["id"]
    put(client, job, "Name\nOrigin\n")
    client.call("PATCH", f"jobs/ingest/{job}", {"state": "UploadComplete"})
    finished(client, f"jobs/ingest/{job}")

    assert [(one.api, one.client) for one in commits] == [("bulk", "fakturo")]


def test_a_query_job_is_read_page_by_page_with_its_headers(client: Client) -> None:
    for name in ("Page A", "Page B", "Page C"):
        client.create("Account", Name=name)
    text = "SELECT Name FROM Account WHERE Name LIKE 'Page _' ORDER BY Name"
    job = client.call("POST", "jobs/query", {"operation": "query", "query": text}).json()
    assert (job["object"], job["operation"]) == ("Account", "query")
    assert finished(client, f"jobs/query/{job['id']}")["numberRecordsProcessed"] == 3

    first = client.call("GET", f"jobs/query/{job['id']}/results?maxRecords=2")
    last = client.call("GET", f"jobs/query/{job['id']}/results?locator={first.headers['Sforce-Locator']}&maxRecords=2")

    assert (first.text, first.headers["Sforce-NumberOfRecords"]) == ('"Name"\n"Page A"\n"Page B"\n', "2")
    assert (last.text, last.headers["Sforce-NumberOfRecords"]) == ('"Name"\n"Page C"\n', "1")
    assert last.headers["Sforce-Locator"] == "null"
    listed = client.call("GET", "jobs/query").json()
    assert listed["records"][0]["id"] == job["id"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "jobs/query", {"operation": "query", "query": "SELECT Nope FROM Account"}, 400, "INVALID_FIELD"),
        ("POST", "jobs/query", {"operation": "insert", "query": "SELECT Id FROM Account"}, 400, "INVALIDJOB"),
        ("POST", "jobs/ingest", {"operation": "insert"}, 400, "INVALID_TYPE"),
        ("GET", "jobs/query/7505f0000000999AAA", None, 404, "NOT_FOUND"),
        ("GET", "jobs/query/7505f0000000999AAA/results", None, 404, "NOT_FOUND"),
        ("PATCH", "jobs/ingest/7505f0000000999AAA", {"state": "Aborted"}, 404, "NOT_FOUND"),
        ("GET", "jobs/ingest?queryLocator=x", None, 400, "INVALID_QUERY_LOCATOR"),
    ],
)
def test_what_no_job_can_be_asked_is_refused(
    client: Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    refused = client.call(method, path, body)

    assert (refused.status_code, refused.json()[0]["errorCode"]) == (status, code)


def test_a_job_is_not_found_among_those_of_the_other_kind(client: Client) -> None:
    query = client.call("POST", "jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json()["id"]
    ingest = client.call("POST", "jobs/ingest", {"object": "Account", "operation": "insert"}).json()["id"]

    assert client.call("GET", f"jobs/ingest/{query}").status_code == 404
    assert client.call("GET", f"jobs/query/{ingest}").status_code == 404
    wrong = client.call("PATCH", f"jobs/ingest/{ingest}", {"state": "JobComplete"})
    assert wrong.json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert client.call("PATCH", f"jobs/ingest/{ingest}", {"state": "Aborted"}).json()["state"] == "Aborted"
    assert client.call("PATCH", f"jobs/query/{query}", {"state": "UploadComplete"}).status_code == 400


def test_a_large_table_is_read_while_other_calls_are_answered(client: Client) -> None:
    def fill(org: SandboxOrg) -> None:
        with org.transaction() as transaction:
            for number in range(25_000):
                transaction.insert("Pricebook2", {"Name": f"Book {number}"})

    client.threaded.in_loop(fill)
    job = client.call("POST", "jobs/query", {"operation": "query", "query": "SELECT Id FROM Pricebook2"}).json()["id"]
    assert client.call("GET", "limits").status_code == 200
    done = finished(client, f"jobs/query/{job}")
    pages = [client.call("GET", f"jobs/query/{job}/results?maxRecords=20000")]
    pages.append(
        client.call("GET", f"jobs/query/{job}/results?maxRecords=20000&locator={pages[0].headers['Sforce-Locator']}")
    )

    count = done["numberRecordsProcessed"]
    assert count >= 25_000
    ids = [line for page in pages for line in page.text.splitlines()[1:]]
    assert len(ids) == len(set(ids)) == count
