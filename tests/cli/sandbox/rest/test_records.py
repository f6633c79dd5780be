"""One record at a time, with the answers of the REST API Developer Guide."""

from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from fakturo.cli.sandbox.objects.loading import read_field
from tests.cli.sandbox.rest.conftest import Client


def test_a_record_is_created_read_changed_and_deleted(client: Client) -> None:
    created = client.call("POST", "sobjects/Account", {"Name": "Express Logistics and Transport"})
    assert created.status_code == 201
    record_id = created.json()["id"]
    assert created.json() == {"id": record_id, "success": True, "errors": []}
    assert created.headers["Location"] == f"/services/data/v67.0/sobjects/Account/{record_id}"
    assert record_id.startswith("001")
    assert len(record_id) == 18

    read = client.read("Account", record_id)
    assert read["attributes"] == {"type": "Account", "url": f"/services/data/v67.0/sobjects/Account/{record_id}"}
    assert read["Name"] == "Express Logistics and Transport"
    assert read["Id"] == record_id

    changed = client.call("PATCH", f"sobjects/Account/{record_id}", {"BillingCity": "San Francisco"})
    assert (changed.status_code, changed.content) == (204, b"")
    read = client.read("Account", record_id)
    assert read["BillingCity"] == "San Francisco"
    assert read["BillingAddress"]["city"] == "San Francisco"

    deleted = client.call("DELETE", f"sobjects/Account/{record_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    gone = client.call("GET", f"sobjects/Account/{record_id}")
    assert gone.status_code == 404
    assert gone.json() == [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED"}]


def test_a_record_is_found_by_its_15_characters(client: Client) -> None:
    record_id = client.create("Account", Name="Short")
    assert client.read("Account", record_id[:15])["Id"] == record_id


def test_only_the_named_fields_are_read(client: Client) -> None:
    record_id = client.create("Account", Name="Acme", AccountNumber="A-1")
    answer = client.call("GET", f"sobjects/Account/{record_id}?fields=AccountNumber,Name").json()
    assert list(answer) == ["attributes", "AccountNumber", "Name"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "sobjects/Nothing/001000000000001AAA", None, 404, "NOT_FOUND"),
        ("GET", "sobjects/Account/001000000000001AAA", None, 404, "NOT_FOUND"),
        ("GET", "sobjects/Account/tooshort", None, 404, "NOT_FOUND"),
        ("GET", "sobjects/Account/0030000000000001", None, 404, "NOT_FOUND"),
        ("GET", "sobjects/Account/003000000000001AAA", None, 400, "MALFORMED_ID"),
        ("GET", "nothing", None, 404, "NOT_FOUND"),
        ("DELETE", "limits", None, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "sobjects/Account", {"AccountNumber": "1"}, 400, "REQUIRED_FIELD_MISSING"),
        ("POST", "sobjects/Account", {"Name": "A", "Colour": "red"}, 400, "INVALID_FIELD"),
        ("POST", "sobjects/Account", {"Name": "A", "SystemModstamp": "2026-01-01"}, 400,
         "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("POST", "sobjects/Account", {"Name": "A" * 256}, 400, "STRING_TOO_LONG"),
        ("POST", "sobjects/Account", {"Name": "A", "ParentId": "001"}, 400, "MALFORMED_ID"),
        ("POST", "sobjects/Account", {"Name": "A", "ParentId": "001000000000001AAA"}, 400,
         "INVALID_CROSS_REFERENCE_KEY"),
        ("POST", "sobjects/Account", {"Name": "A", "AnnualRevenue": "much"}, 400, "JSON_PARSER_ERROR"),
        ("POST", "sobjects/Account", {"Name": "A", "AnnualRevenue": 10**18}, 400, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("POST", "sobjects/Account", ["no object"], 400, "JSON_PARSER_ERROR"),
        ("POST", "sobjects/OpportunityHistory", {}, 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        ("POST", "sobjects/ProductSellingModel", {"Name": "A", "SellingModelType": "Rented"}, 400,
         "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    ],
)  # fmt: skip
def test_a_refusal_is_a_list_with_its_code(
    client: Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = client.call(method, path, body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)
    assert answer.json()[0]["message"]


def test_a_refusal_names_the_fields(client: Client) -> None:
    answer = client.call("POST", "sobjects/Account", {})
    assert answer.json() == [
        {"message": "Required fields are missing: [Name]", "errorCode": "REQUIRED_FIELD_MISSING", "fields": ["Name"]}
    ]


def test_a_body_that_is_no_json_is_a_parser_error(client: Client) -> None:
    answer = client.session.post(f"{client.url}/services/data/v67.0/sobjects/Account", data="{Name:")
    assert answer.json()[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_an_api_version_that_is_retired_is_gone_and_one_that_never_was_is_not_found(client: Client) -> None:
    assert client.call("GET", "/services/data/v30.0/limits").status_code == 410
    assert client.call("GET", "/services/data/v99.0/limits").status_code == 404


def test_amounts_stay_exact_in_both_directions(client: Client) -> None:
    # Sixteen digits before the point: a double would make ...991 of the last ones (2^53 has 16 digits in all).
    text = b'{"Name": "Big", "StageName": "Prospecting", "CloseDate": "2026-12-01", "Amount": 9007199254740993.17}'
    answer = client.session.post(f"{client.url}/services/data/v67.0/sobjects/Opportunity", data=text)
    assert answer.status_code == 201, answer.text
    raw = client.call("GET", f"sobjects/Opportunity/{answer.json()['id']}?fields=Amount").text
    assert raw.endswith('"Amount":9007199254740993.17}')


def test_an_amount_is_rounded_to_its_scale_half_up_and_always_has_a_point(client: Client) -> None:
    line = {"StageName": "Prospecting", "CloseDate": "2026-12-01"}
    one = client.create("Opportunity", Name="a", Amount="2.675", **line)
    other = client.create("Opportunity", Name="b", Amount=100, **line)
    assert client.read("Opportunity", one)["Amount"] == Decimal("2.68")
    assert '"Amount":100.0,' in client.call("GET", f"sobjects/Opportunity/{other}").text


def test_null_empties_a_field(client: Client) -> None:
    record_id = client.create("Account", Name="Acme", Fax="1")
    client.call("PATCH", f"sobjects/Account/{record_id}", {"Fax": None})
    assert client.read("Account", record_id)["Fax"] is None


def test_every_answer_has_the_orgs_time_and_the_calls_of_the_day(client: Client) -> None:
    client.call("POST", "/sandbox/clock", {"freeze": "2013-05-06T07:08:09Z"})
    try:
        one = client.call("GET", "limits")
        two = client.call("GET", "limits")
        assert parsedate_to_datetime(one.headers["Date"]) == datetime.fromisoformat("2013-05-06T07:08:09Z")
        used = [int(answer.headers["Sforce-Limit-Info"].split("=")[1].split("/")[0]) for answer in (one, two)]
        assert used[1] == used[0] + 1
        record = client.read("Account", client.create("Account", Name="Then"))
        assert record["SystemModstamp"] == record["CreatedDate"] == "2013-05-06T07:08:09.000+0000"
    finally:
        client.call("POST", "/sandbox/clock", {"real": True})


@pytest.fixture
def with_external_id(client: Client) -> Client:
    spec = {"name": "Ext__c", "type": "string", "length": 20, "external_id": True, "unique": True}
    loose = {"name": "Loose__c", "type": "string", "length": 20, "external_id": True}
    client.threaded.in_loop(
        lambda org: [org.add_field("Account", field) for one in (spec, loose) for field in read_field(one)]
    )
    return client


def test_an_upsert_creates_with_201_and_changes_with_200(with_external_id: Client) -> None:
    path = "sobjects/Account/Ext__c/A-1"
    first = with_external_id.call("PATCH", path, {"Name": "One"})
    record_id = first.json()["id"]
    assert first.status_code == 201
    assert first.json() == {"id": record_id, "success": True, "errors": [], "created": True}
    second = with_external_id.call("PATCH", path, {"Name": "Two"})
    assert second.status_code == 200
    assert second.json() == {"id": record_id, "success": True, "errors": [], "created": False}
    assert with_external_id.call("GET", path).json()["Name"] == "Two"
    # Until API 45 a change was answered without a body.
    old = with_external_id.call("PATCH", f"/services/data/v45.0/{path}", {"Name": "Three"})
    assert old.status_code == 204
    assert with_external_id.call("DELETE", path).status_code == 204
    assert with_external_id.call("GET", path).status_code == 404


def test_an_external_id_may_hold_slashes_spaces_and_signs(with_external_id: Client) -> None:
    path = "sobjects/Account/Ext__c/INV%2F2026%20%2B1"
    assert with_external_id.call("PATCH", path, {"Name": "One"}).status_code == 201
    assert with_external_id.call("GET", path).json()["Ext__c"] == "INV/2026 +1"


def test_an_external_id_that_several_records_have_is_answered_300_with_their_addresses(
    with_external_id: Client,
) -> None:
    ids = [with_external_id.create("Account", Name=name, Loose__c="L-1") for name in ("a", "b")]
    urls = [f"/services/data/v67.0/sobjects/Account/{one}" for one in ids]
    for method, body in (("PATCH", {"Name": "c"}), ("GET", None), ("DELETE", None)):
        answer = with_external_id.call(method, "sobjects/Account/Loose__c/L-1", body)
        assert (answer.status_code, answer.json()) == (300, urls)


def test_an_upsert_by_a_field_that_is_no_external_id_is_not_found(with_external_id: Client) -> None:
    answer = with_external_id.call("PATCH", "sobjects/Account/Fax/1", {"Name": "x"})
    assert answer.status_code == 404
    assert answer.json()[0]["errorCode"] == "NOT_FOUND"
    repeated = with_external_id.call("PATCH", "sobjects/Account/Ext__c/1", {"Name": "x", "Ext__c": "1"})
    assert repeated.json()[0]["errorCode"] == "INVALID_FIELD"


def test_a_unique_value_is_refused_twice_with_the_record_that_has_it(with_external_id: Client) -> None:
    record_id = with_external_id.create("Account", Name="a", Ext__c="U-1")
    answer = with_external_id.call("POST", "sobjects/Account", {"Name": "b", "Ext__c": "u-1"})  # capitals don't count
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "message": f"duplicate value found: Ext__c duplicates value on record with id: {record_id}",
            "errorCode": "DUPLICATE_VALUE",
        }
    ]


def test_a_parent_may_be_named_by_its_external_id(with_external_id: Client) -> None:
    parent = with_external_id.create("Account", Name="parent", Ext__c="P-1")
    child = with_external_id.create("Contact", LastName="Doe", Account={"Ext__c": "P-1"})
    assert with_external_id.read("Contact", child)["AccountId"] == parent
    answer = with_external_id.call("POST", "sobjects/Contact", {"LastName": "Doe", "Account": {"Ext__c": "none"}})
    assert answer.json()[0] == {
        "message": "Foreign key external ID: none not found for field Ext__c in entity Account",
        "errorCode": "INVALID_FIELD",
    }
