"""`/query` and `/queryAll` as HTTP answers them; the queries themselves are in tests/cli/sandbox/soql.

Source    REST API Developer Guide, "Query", "Query More Results", "sObject Get Updated".
"""

from decimal import Decimal
from typing import Any

import pytest

from fakturo.cli.sandbox.org import SandboxOrg
from tests.cli.sandbox.rest.conftest import Client


def many_accounts(org: SandboxOrg) -> None:
    with org.transaction() as transaction:
        for number in range(2100):
            transaction.insert("Account", {"Name": f"Many {number:04d}"})


def ask(client: Client, text: str, resource: str = "query", **headers: str) -> dict[str, Any]:
    found = client.session.get(
        f"{client.url}/services/data/v67.0/{resource}/",
        params={"q": text},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    assert found.status_code == 200, found.text
    answer: dict[str, Any] = found.json(parse_float=Decimal)
    return answer


def test_an_answer_of_one_page_says_that_it_is_done(client: Client) -> None:
    account = client.create("Account", Name="One page")

    assert ask(client, "SELECT Name FROM Account WHERE Name = 'one page'") == {
        "totalSize": 1,
        "done": True,
        "records": [
            {
                "attributes": {"type": "Account", "url": f"/services/data/v67.0/sobjects/Account/{account}"},
                "Name": "One page",
            }
        ],
    }


def test_pages_have_two_thousand_records_or_as_many_as_asked_for(client: Client) -> None:
    client.threaded.in_loop(many_accounts)
    text = "SELECT Name FROM Account WHERE Name LIKE 'Many %' ORDER BY Name"

    first = ask(client, text)
    rest = client.call("GET", first["nextRecordsUrl"]).json()

    assert (first["totalSize"], first["done"], len(first["records"])) == (2100, False, 2000)
    assert first["nextRecordsUrl"].startswith("/services/data/v67.0/query/")
    assert first["nextRecordsUrl"].endswith("-2000")
    assert (rest["totalSize"], rest["done"], len(rest["records"])) == (2100, True, 100)
    assert rest["records"][-1]["Name"] == "Many 2099"
    sizes = {
        asked: len(ask(client, text, Sforce_Query_Options=f"batchSize={asked}")["records"]) for asked in (10, 250, 5000)
    }
    assert sizes == {10: 200, 250: 250, 5000: 2000}


def test_the_pages_of_query_all_stay_with_it(client: Client) -> None:
    client.threaded.in_loop(many_accounts)
    first = ask(client, "SELECT Id FROM Account", "queryAll")

    assert first["nextRecordsUrl"].startswith("/services/data/v67.0/queryAll/")
    assert client.call("GET", first["nextRecordsUrl"]).status_code == 200


def test_more_groups_than_a_page_holds_are_refused(client: Client) -> None:
    client.threaded.in_loop(many_accounts)
    text = "SELECT Id, COUNT(Name) FROM Account GROUP BY Id"
    found = client.session.get(f"{client.url}/services/data/v67.0/query", params={"q": text})

    assert found.status_code == 400
    assert found.json()[0]["errorCode"] == "EXCEEDED_ID_LIMIT"
    assert len(ask(client, text + " LIMIT 2000")["records"]) == 2000


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("query", 400, "MALFORMED_QUERY"),
        ("query?q=", 400, "MALFORMED_QUERY"),
        ("query?q=SELECT+Id", 400, "MALFORMED_QUERY"),
        ("query?q=SELECT+Id+FROM+Nope", 400, "INVALID_TYPE"),
        ("query/0r8000000000001AAA-2000", 400, "INVALID_QUERY_LOCATOR"),
        ("query/nonsense", 400, "INVALID_QUERY_LOCATOR"),
        ("sobjects/Account/updated?start=x&end=y", 400, "MALFORMED_QUERY"),
        ("sobjects/Account/updated?start=2026-11-01T00:00:00&end=y", 400, "MALFORMED_QUERY"),
        ("sobjects/Account/deleted?start=2001-01-01T00:00Z&end=2001-01-02T00:00Z", 400, "INVALID_REPLICATION_DATE"),
        ("sobjects/Nope/deleted?start=x&end=y", 400, "INVALID_TYPE"),
    ],
)  # fmt: skip
def test_what_can_not_be_answered_is_refused(client: Client, path: str, status: int, code: str) -> None:
    refused = client.call("GET", path)

    assert (refused.status_code, refused.json()[0]["errorCode"]) == (status, code)


def test_a_request_line_longer_than_16_384_bytes_is_refused(client: Client) -> None:
    names = ",".join(f"'{number:014d}'" for number in range(1000))

    assert client.call("GET", f"query?q=SELECT+Id+FROM+Account+WHERE+Name+IN+({names})").status_code == 414


def test_a_composite_call_may_query_what_it_has_just_written(client: Client) -> None:
    body = {
        "allOrNone": True,
        "compositeRequest": [
            {
                "method": "POST",
                "url": "/services/data/v67.0/sobjects/Account",
                "referenceId": "made",
                "body": {"Name": "Composite"},
            },
            {
                "method": "GET",
                "url": "/services/data/v67.0/query?q=SELECT+Name+FROM+Account+WHERE+Id='@{made.id}'",
                "referenceId": "found",
            },
        ],
    }

    answers = client.call("POST", "composite", body).json()["compositeResponse"]

    assert [one["httpStatusCode"] for one in answers] == [201, 200]
    assert answers[1]["body"]["records"][0]["Name"] == "Composite"


def test_a_record_that_is_gone_for_good_is_still_told_as_deleted(client: Client) -> None:
    account = client.create("Account", Name="For good")
    client.call("DELETE", f"sobjects/Account/{account}")

    def erase(org: SandboxOrg) -> None:
        with org.transaction() as transaction:
            transaction.hard_delete("Account", account)

    client.threaded.in_loop(erase)
    now = client.threaded.in_loop(lambda org: org.clock.now())
    day = f"start={now:%Y-%m-%d}T00:00:00Z&end={now.replace(year=now.year + 1):%Y-%m-%d}T00:00:00%2B00:00"

    told = client.call("GET", f"sobjects/Account/deleted/?{day}").json()

    assert account in [record["id"] for record in told["deletedRecords"]]
