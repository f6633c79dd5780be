"""Records, queries, Bulk jobs and collections by the unmodified simple-salesforce; what it is, says conftest.py."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from fakturo.cli.sandbox.metadata import Field
from tests.cli.sandbox.simple_salesforce.conftest import EXT, Client


def names(sf: Salesforce, where: str, **more: Any) -> list[str]:
    found = sf.query_all(f"SELECT Name FROM Account WHERE {where} ORDER BY Name", **more)
    return [record["Name"] for record in found["records"]]


def test_records_are_created_read_changed_and_deleted(sf: Salesforce) -> None:
    created = sf.Account.create({"Name": "Crud", "BillingCity": "Bern", EXT: "crud-1"})
    record_id = created["id"]
    assert created["success"] is True

    assert sf.Account.update(record_id, {"BillingCity": "Basel"}) == 204
    read = sf.Account.get(record_id)
    assert (read["Name"], read["BillingCity"], read["BillingAddress"]["city"]) == ("Crud", "Basel", "Basel")
    assert sf.Account.get_by_custom_id(EXT, "crud-1")["Id"] == record_id

    assert sf.Account.delete(record_id) == 204
    with pytest.raises(SalesforceResourceNotFound):
        sf.Account.get(record_id)


def test_an_upsert_by_external_id_creates_then_updates(sf: Salesforce) -> None:
    assert sf.Account.upsert(f"{EXT}/ups-1", {"Name": "Upserted"}) == 201
    assert sf.Account.upsert(f"{EXT}/ups-1", {"Name": "Upserted again"}) in (200, 204)

    assert names(sf, f"{EXT} = 'ups-1'") == ["Upserted again"]


def test_several_records_of_one_external_id_answer_three_hundred(client: Client, sf: Salesforce) -> None:
    client.running.in_loop(
        lambda org: org.add_field("Account", Field(name="Twice__c", type="string", length=9, external_id=True))
    )
    for name in ("One", "Two"):
        sf.Account.create({"Name": name, "Twice__c": "t"})

    with pytest.raises(SalesforceMoreThanOneRecord):
        sf.Account.upsert("Twice__c/t", {"Name": "Three"})


def test_a_query_reads_parents_children_and_exact_numbers(sf: Salesforce) -> None:
    account = sf.Account.create({"Name": "Parent", "AnnualRevenue": 1000})["id"]
    sf.Contact.create({"LastName": "Doe", "FirstName": "Jane", "AccountId": account})
    sf.Opportunity.create(
        {"Name": "Deal", "AccountId": account, "Amount": 0.1, "StageName": "Closed Won", "CloseDate": "2026-11-26"}
    )

    (contact,) = sf.query(f"SELECT Name, Account.Name FROM Contact WHERE AccountId = '{account}'")["records"]
    (parent,) = sf.query(f"SELECT Id, (SELECT LastName FROM Contacts) FROM Account WHERE Id = '{account}'")["records"]
    (deal,) = sf.query(f"SELECT Amount FROM Opportunity WHERE AccountId = '{account}'")["records"]

    assert (contact["Name"], contact["Account"]["Name"]) == ("Jane Doe", "Parent")
    assert parent["Contacts"]["records"][0]["LastName"] == "Doe"
    assert deal["Amount"] == Decimal("0.1")


def test_query_all_iter_follows_every_page(sf: Salesforce) -> None:
    lines = [{"Name": f"Page {number:04d}", EXT: f"page-{number}"} for number in range(450)]
    sf.bulk2.Account.insert(records=lines, wait=0)
    text = "SELECT Name FROM Account WHERE Name LIKE 'Page %' ORDER BY Name"

    first = sf.query(text, headers={"Sforce-Query-Options": "batchSize=200"})
    found = list(sf.query_all_iter(text, headers={"Sforce-Query-Options": "batchSize=200"}))

    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    assert [record["Name"] for record in found] == [line["Name"] for line in lines]
    assert sf.query_all(text)["totalSize"] == 450
    assert sf.query("SELECT COUNT() FROM Account WHERE Name LIKE 'Page %'")["totalSize"] == 450


def test_a_page_goes_on_by_its_locator_until_that_is_too_old(client: Client, sf: Salesforce) -> None:
    lines = [{"LastName": f"L{number}"} for number in range(250)]
    sf.bulk2.Contact.insert(records=lines, wait=0)
    first = sf.query("SELECT Id FROM Contact", headers={"Sforce-Query-Options": "batchSize=200"})
    locator = first["nextRecordsUrl"].rsplit("/", 1)[1]
    assert len(sf.query_more(locator)["records"]) == first["totalSize"] - 200
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_QUERY_LOCATOR"):
        sf.query_more("0r8000000000000AAA-200")

    client.running.in_loop(lambda org: org.clock.advance(timedelta(days=2, minutes=1).total_seconds()))
    try:
        with pytest.raises(SalesforceMalformedRequest, match="INVALID_QUERY_LOCATOR"):
            sf.query_more(locator)
    finally:
        client.running.in_loop(lambda org: org.clock.real())


def test_deleted_records_are_seen_by_who_includes_them(sf: Salesforce) -> None:
    record_id = sf.Account.create({"Name": "Gone"})["id"]
    sf.Account.delete(record_id)

    assert names(sf, "Name = 'Gone'") == []
    assert names(sf, "Name = 'Gone' AND IsDeleted = true", include_deleted=True) == ["Gone"]


def test_updated_and_deleted_name_the_records_of_a_stretch_of_time(sf: Salesforce) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=1)
    end = datetime.now(UTC) + timedelta(minutes=2)
    kept = sf.Account.create({"Name": "Kept"})["id"]
    gone = sf.Account.create({"Name": "Lost"})["id"]
    sf.Account.delete(gone)

    updated = sf.Account.updated(begin, end)
    deleted = sf.Account.deleted(begin, end)

    assert kept in updated["ids"] and gone not in updated["ids"]
    assert gone in [record["id"] for record in deleted["deletedRecords"]]
    assert kept not in [record["id"] for record in deleted["deletedRecords"]]
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_REPLICATION_DATE"):
        sf.Account.updated(end, begin)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Id FRM Account", "MALFORMED_QUERY"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
    ],
)
def test_a_wrong_query_is_refused_as_salesforce_refuses_it(sf: Salesforce, text: str, code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query(text)

    assert caught.value.content[0]["errorCode"] == code
    assert "ERROR at Row:1:Column:" in caught.value.content[0]["message"]


def test_bulk_inserts_upserts_updates_and_deletes(sf: Salesforce) -> None:
    lines = [{"Name": f"Bulk {number}", EXT: f"bulk-{number}"} for number in range(3)]
    (inserted,) = sf.bulk2.Account.insert(records=lines, wait=0)
    assert inserted | {"job_id": ""} == {
        "numberRecordsFailed": 0,
        "numberRecordsProcessed": 3,
        "numberRecordsTotal": 3,
        "job_id": "",
    }

    (upserted,) = sf.bulk2.Account.upsert(
        records=[{EXT: "bulk-2", "Name": "Bulk two"}, {EXT: "bulk-3", "Name": "Bulk 3"}, {EXT: "bulk-4", "Name": ""}],
        external_id_field=EXT,
        wait=0,
    )
    results = sf.bulk2.Account.get_all_ingest_records(upserted["job_id"])
    assert [line["sf__Created"] for line in results["successfulRecords"]] == ["false", "true"]
    (refused,) = results["failedRecords"]
    assert refused["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
    assert results["unprocessedRecords"] == []

    ids = {line[EXT]: line["sf__Id"] for line in results["successfulRecords"]}
    sf.bulk2.Account.update(records=[{"Id": ids["bulk-3"], "Name": "Bulk three"}], wait=0)
    sf.bulk2.Account.delete(records=[{"Id": ids["bulk-2"]}], wait=0)
    assert names(sf, "Name LIKE 'Bulk %'") == ["Bulk 0", "Bulk 1", "Bulk three"]
    sf.bulk2.Account.hard_delete(records=[{"Id": ids["bulk-2"]}], wait=0)
    assert names(sf, "Name = 'Bulk two'", include_deleted=True) == []


def test_bulk_reads_pages_of_csv_and_downloads_them(sf: Salesforce, tmp_path: Path) -> None:
    lines = [{"Name": f"Read {number}", EXT: f"read-{number}"} for number in range(5)]
    sf.bulk2.Account.insert(records=lines, wait=0)
    text = f"SELECT Name, {EXT} FROM Account WHERE Name LIKE 'Read %' ORDER BY Name"

    pages = list(sf.bulk2.Account.query(text, max_records=2, wait=0))
    files = sf.bulk2.Account.download(text, path=str(tmp_path), max_records=4, wait=0)

    assert [len(page.splitlines()) - 1 for page in pages] == [2, 2, 1]
    read = [line for page in pages for line in csv.DictReader(io.StringIO(page))]
    assert read == lines
    assert [result["number_of_records"] for result in files] == [4, 1]
    assert Path(files[0]["file"]).read_text().splitlines()[1] == '"Read 0","read-0"'
    assert [len(page.splitlines()) for page in sf.bulk2.Account.query_all(text, wait=0)] == [6]


def test_a_bulk_job_can_be_asked_aborted_and_listed(sf: Salesforce) -> None:
    client = sf.bulk2.Account._client
    job = client.create_job("insert")
    assert client.get_job(job["id"], False)["state"] == "Open"
    assert client.abort_job(job["id"], False)["state"] == "Aborted"

    listed = sf.restful("jobs/ingest")
    assert listed["done"] is True
    assert listed["records"][0]["id"] == job["id"]
    assert sf.restful(f"jobs/ingest/{job['id']}", method="DELETE") is None
    with pytest.raises(SalesforceResourceNotFound):
        client.get_job(job["id"], False)


def test_collections_write_two_hundred_records_in_one_call(sf: Salesforce) -> None:
    records = [{"attributes": {"type": "Account"}, "Name": f"Coll {n}", EXT: f"coll-{n}"} for n in range(200)]
    before = sf.query("SELECT COUNT() FROM Account WHERE Name LIKE 'Coll %'")["totalSize"]

    results = sf.restful(
        f"composite/sobjects/Account/{EXT}",
        method="PATCH",
        data=json.dumps({"allOrNone": False, "records": [*records[:199], {**records[199], "Name": None}]}),
    )

    assert before == 0
    assert [result["success"] for result in results] == [True] * 199 + [False]
    assert results[199]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert sf.query("SELECT COUNT() FROM Account WHERE Name LIKE 'Coll %'")["totalSize"] == 199


def test_limits_and_usage_are_told(sf: Salesforce) -> None:
    sf.query("SELECT Id FROM Account LIMIT 1")
    limits = sf.limits()

    assert limits["DailyApiRequests"]["Remaining"] < limits["DailyApiRequests"]["Max"]
    assert {"DailyBulkV2QueryJobs", "DailyBulkApiBatches", "DailyDeliveredPlatformEvents"} <= limits.keys()
    assert sf.api_usage["api-usage"].total == limits["DailyApiRequests"]["Max"]


def test_describe_tells_objects_and_fields(sf: Salesforce) -> None:
    entities = {entity["name"] for entity in sf.describe()["sobjects"]}
    fields = {field["name"]: field for field in sf.Account.describe()["fields"]}

    assert {"Account", "OrderItem", "Product2", "SBQQ__Subscription__c"} <= entities
    assert (fields[EXT]["type"], fields[EXT]["externalId"], fields[EXT]["custom"]) == ("string", True, True)
