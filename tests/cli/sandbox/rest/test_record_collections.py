"""Collections and composite calls: REST API Developer Guide, "sObject Collections", "Composite"."""

from typing import Any

import pytest

from fakturo.cli.sandbox.objects.loading import read_field
from fakturo.cli.sandbox.transactions import CommittedTransaction
from tests.cli.sandbox.rest.conftest import Client


@pytest.fixture
def commits(client: Client) -> list[CommittedTransaction]:
    told: list[CommittedTransaction] = []
    client.threaded.in_loop(lambda org: org.listeners.append(told.append))
    client.threaded.in_loop(
        lambda org: [
            org.add_field("Account", field)
            for field in read_field({"name": "Key__c", "type": "string", "external_id": True, "unique": True})
        ]
    )
    return told


def _accounts(*names: str | None) -> list[dict[str, Any]]:
    return [{"attributes": {"type": "Account"}, "Name": name} for name in names]


def test_results_come_in_order_and_good_records_hold_beside_bad_ones(
    client: Client, commits: list[CommittedTransaction]
) -> None:
    answer = client.call("POST", "composite/sobjects", {"allOrNone": False, "records": _accounts("a", None, "c")})
    assert answer.status_code == 200
    one, two, three = answer.json()
    assert one["success"] is three["success"] is True
    assert two == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [Name]",
                "fields": ["Name"],
            }
        ],
    }
    assert client.read("Account", three["id"])["Name"] == "c"
    # One call is one transaction: one key for both records, in their order.
    assert [[change.record_id for change in commit.changes] for commit in commits] == [[one["id"], three["id"]]]


def test_all_or_none_undoes_the_good_ones_and_says_so(client: Client, commits: list[CommittedTransaction]) -> None:
    answer = client.call("POST", "composite/sobjects", {"allOrNone": True, "records": _accounts("a", None)})
    codes = [one["errors"][0]["statusCode"] for one in answer.json()]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert commits == []


def test_more_than_200_records_are_refused(client: Client) -> None:
    answer = client.call("POST", "composite/sobjects", {"records": _accounts(*["a"] * 201)})
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "EXCEEDED_ID_LIMIT"


def test_records_of_several_objects_are_changed_read_and_deleted(client: Client) -> None:
    account = client.create("Account", Name="a")
    product = client.create("Product2", Name="p")
    changed = client.call(
        "PATCH",
        "composite/sobjects",
        {
            "records": [
                {"attributes": {"type": "Account"}, "id": account, "Name": "b"},
                {"attributes": {"type": "Product2"}, "Id": product, "Name": "q"},
                {"attributes": {"type": "Account"}, "Name": "no id"},
            ]
        },
    ).json()
    assert [one["success"] for one in changed] == [True, True, False]
    assert changed[2]["errors"][0]["statusCode"] == "MISSING_ARGUMENT"
    missing = "001000000000001AAA"
    read = client.call("GET", f"composite/sobjects/Account?ids={account},{missing}&fields=Id,Name").json()
    assert [one and one["Name"] for one in read] == ["b", None]
    again = client.call("POST", "composite/sobjects/Account", {"ids": [account], "fields": ["Name"]}).json()
    assert [one["Name"] for one in again] == ["b"]
    deleted = client.call("DELETE", f"composite/sobjects?ids={account},{product},{missing}").json()
    assert [one["success"] for one in deleted] == [True, True, False]
    assert client.call("GET", f"sobjects/Product2/{product}").status_code == 404


def test_an_upsert_of_many_says_which_are_new(client: Client, commits: list[CommittedTransaction]) -> None:
    client.create("Account", Name="old", Key__c="K-1")
    parent = client.create("Account", Name="parent", Key__c="K-P")
    records = [
        {"attributes": {"type": "Account"}, "Key__c": "K-1", "Name": "changed"},
        {"attributes": {"type": "Account"}, "Key__c": "K-2", "Name": "new", "Parent": {"Key__c": "K-P"}},
        {"attributes": {"type": "Account"}, "Key__c": "K-3", "Name": "twice"},
        {"attributes": {"type": "Account"}, "Key__c": "K-3", "Name": "twice"},
        {"attributes": {"type": "Account"}, "Name": "without"},
    ]
    answer = client.call("PATCH", "composite/sobjects/Account/Key__c", {"allOrNone": False, "records": records})
    results = answer.json()
    assert [one.get("created") for one in results] == [False, True, None, None, None]
    codes = [one["errors"][0]["statusCode"] for one in results[2:]]
    assert codes == ["DUPLICATE_VALUE", "DUPLICATE_VALUE", "MISSING_ARGUMENT"]
    assert client.read("Account", results[1]["id"])["ParentId"] == parent


def test_writes_carry_the_client_that_the_call_options_name(
    client: Client, commits: list[CommittedTransaction]
) -> None:
    client.call("POST", "sobjects/Account", {"Name": "a"}, Sforce_Call_Options="client=fakturo, defaultNamespace=x")
    assert commits[-1].origin == "com/salesforce/api/rest/67.0;client=fakturo"


def test_a_later_call_uses_what_an_earlier_one_answered(client: Client) -> None:
    body = {
        "compositeRequest": [
            {
                "method": "POST",
                "url": "/services/data/v67.0/sobjects/Account",
                "referenceId": "refAccount",
                "body": {"Name": "Sample Account"},
            },
            {
                "method": "POST",
                "url": "/services/data/v67.0/sobjects/Contact",
                "referenceId": "refContact",
                "body": {"LastName": "Sample Contact", "AccountId": "@{refAccount.id}"},
            },
            {
                "method": "GET",
                "url": "/services/data/v67.0/sobjects/Contact/@{refContact.id}?fields=AccountId",
                "referenceId": "refRead",
            },
        ]
    }
    account, contact, read = client.call("POST", "composite", body).json()["compositeResponse"]
    assert account["httpStatusCode"] == contact["httpStatusCode"] == 201
    assert account["httpHeaders"]["Location"].endswith(account["body"]["id"])
    assert read["httpStatusCode"] == 200
    assert read["body"]["AccountId"] == account["body"]["id"]


def test_all_or_none_of_a_composite_call_undoes_all(client: Client, commits: list[CommittedTransaction]) -> None:
    calls = [
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Account", "referenceId": "a", "body": {"Name": "x"}},
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Account", "referenceId": "b", "body": {}},
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Account", "referenceId": "c", "body": {"Name": "y"}},
    ]
    told = client.call("POST", "composite", {"allOrNone": True, "compositeRequest": calls}).json()["compositeResponse"]
    assert [one["body"][0]["errorCode"] for one in told] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
    ]
    assert commits == []
    told = client.call("POST", "composite", {"compositeRequest": calls}).json()["compositeResponse"]
    assert [one["httpStatusCode"] for one in told] == [201, 400, 201]
    assert len(commits) == 2  # each its own transaction


def test_a_reference_to_what_failed_halts_that_call(client: Client) -> None:
    calls = [
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Account", "referenceId": "a", "body": {}},
        {"method": "GET", "url": "/services/data/v67.0/sobjects/Account/@{a.id}", "referenceId": "b"},
    ]
    told = client.call("POST", "composite", {"compositeRequest": calls}).json()["compositeResponse"]
    assert told[1]["httpStatusCode"] == 400
    assert told[1]["body"][0]["errorCode"] == "PROCESSING_HALTED"


def test_more_than_25_calls_are_refused(client: Client) -> None:
    calls = [
        {"method": "GET", "url": "/services/data/v67.0/limits", "referenceId": f"r{number}"} for number in range(26)
    ]
    assert client.call("POST", "composite", {"compositeRequest": calls}).status_code == 400


def test_a_batch_runs_calls_that_know_nothing_of_each_other(client: Client) -> None:
    body = {"batchRequests": [{"method": "GET", "url": "v67.0/limits"}, {"method": "GET", "url": "v67.0/nothing"}]}
    answer = client.call("POST", "composite/batch", body).json()
    assert answer["hasErrors"] is True
    assert [one["statusCode"] for one in answer["results"]] == [200, 404]


def test_a_later_call_uses_a_row_that_a_query_found(client: Client) -> None:
    account = client.create("Account", Name="Found by query")
    calls = [
        {
            "method": "GET",
            "url": "/services/data/v67.0/query/?q=SELECT+Id+FROM+Account+WHERE+Name='Found+by+query'",
            "referenceId": "found",
        },
        {
            "method": "PATCH",
            "url": "/services/data/v67.0/sobjects/Account/@{found.records[0].Id}",
            "referenceId": "changed",
            "body": {"Fax": "1"},
        },
    ]
    told = client.call("POST", "composite", {"compositeRequest": calls}).json()["compositeResponse"]
    assert [one["httpStatusCode"] for one in told] == [200, 204]
    assert client.read("Account", account)["Fax"] == "1"
