"""Describe, limits and resources, against the Object Reference and the REST API Developer Guide."""

from typing import Any

from tests.cli.sandbox.rest.conftest import Client


def _fields(client: Client, entity: str) -> dict[str, dict[str, Any]]:
    answer = client.call("GET", f"sobjects/{entity}/describe")
    assert answer.status_code == 200
    return {one["name"]: one for one in answer.json()["fields"]}


def test_the_objects_have_their_own_key_prefixes(client: Client) -> None:
    told = client.call("GET", "sobjects").json()
    assert told["maxBatchSize"] == 200
    prefixes = {one["name"]: one["keyPrefix"] for one in told["sobjects"]}
    # Salesforce help, "Standard Field Record ID Prefix Decoder".
    expected = {
        "Account": "001",
        "Contact": "003",
        "User": "005",
        "Opportunity": "006",
        "OpportunityHistory": "008",
        "OpportunityLineItem": "00k",
        "Pricebook2": "01s",
        "Product2": "01t",
        "PricebookEntry": "01u",
        "Asset": "02i",
        "Quote": "0Q0",
        "QuoteLineItem": "0QL",
        "Contract": "800",
        "Order": "801",
        "OrderItem": "802",
    }
    assert {name: prefixes[name] for name in expected} == expected


def test_fields_have_the_types_of_the_object_reference(client: Client) -> None:
    order = _fields(client, "Order")
    types = {name: order[name]["type"] for name in ("EffectiveDate", "Status", "TotalAmount", "AccountId", "Id")}
    assert types == {
        "EffectiveDate": "date",
        "Status": "picklist",
        "TotalAmount": "currency",
        "AccountId": "reference",
        "Id": "id",
    }
    assert order["TotalAmount"]["createable"] is order["TotalAmount"]["updateable"] is False
    assert (order["TotalAmount"]["precision"], order["TotalAmount"]["scale"]) == (18, 2)
    assert order["AccountId"]["referenceTo"] == ["Account"]
    assert order["AccountId"]["relationshipName"] == "Account"
    assert order["EffectiveDate"]["nillable"] is False
    assert order["OrderNumber"]["autoNumber"] is True
    assert order["SystemModstamp"]["type"] == "datetime"
    assert order["CurrencyIsoCode"]["type"] == "picklist"


def test_an_address_is_a_compound_whose_parts_name_it(client: Client) -> None:
    account = _fields(client, "Account")
    assert account["BillingAddress"]["type"] == "address"
    assert account["BillingAddress"]["createable"] is False
    parts = [name for name, one in account.items() if one["compoundFieldName"] == "BillingAddress"]
    assert parts == [
        *("BillingStreet", "BillingCity", "BillingState", "BillingPostalCode", "BillingCountry"),
        *("BillingStateCode", "BillingCountryCode", "BillingLatitude", "BillingLongitude", "BillingGeocodeAccuracy"),
    ]
    contact = _fields(client, "Contact")
    assert {name for name, one in contact.items() if one["compoundFieldName"] == "Name"} == {
        "Salutation",
        "FirstName",
        "LastName",
    }


def test_children_are_named_as_relationship_queries_name_them(client: Client) -> None:
    children = client.call("GET", "sobjects/Order/describe").json()["childRelationships"]
    items = next(one for one in children if one["childSObject"] == "OrderItem" and one["field"] == "OrderId")
    assert items["relationshipName"] == "OrderItems"
    assert items["cascadeDelete"] is True


def test_limits_tell_what_is_left(client: Client) -> None:
    one = client.call("GET", "limits").json()["DailyApiRequests"]
    two = client.call("GET", "limits").json()["DailyApiRequests"]
    assert one["Max"] == two["Max"] == 5_000_000
    assert one["Remaining"] - two["Remaining"] == 1
    assert "DailyDeliveredPlatformEvents" in client.call("GET", "limits").json()


def test_a_version_lists_its_resources(client: Client) -> None:
    told = client.call("GET", "/services/data/v67.0/").json()
    assert told["query"] == "/services/data/v67.0/query"
    assert told["sobjects"] == "/services/data/v67.0/sobjects"
