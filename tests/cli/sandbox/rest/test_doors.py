"""The sandbox's own doors: faults, clock, state, deployment, the recycle bin."""

import io
import zipfile

from tests.cli.sandbox.rest.conftest import Client


def test_a_used_up_api_allocation_refuses_calls_until_the_day_is_over(client: Client) -> None:
    used = client.threaded.in_loop(lambda org: org.allocations.used("DailyApiRequests"))
    client.call("POST", "/sandbox/faults", {"api_allocation": used + 1})
    assert client.call("GET", "limits").status_code == 200
    refused = client.call("GET", "limits")
    assert refused.status_code == 403
    assert refused.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    client.call("POST", "/sandbox/clock", {"advance_seconds": 86_400})
    assert client.call("GET", "limits").status_code == 200
    client.call("POST", "/sandbox/clock", {"real": True})


def test_calls_are_unavailable_as_often_as_told(client: Client) -> None:
    told = client.call("POST", "/sandbox/faults", {"unavailable": 2}).json()
    assert told["unavailable"] == 2
    assert [client.call("GET", "limits").status_code for _ in range(3)] == [503, 503, 200]


def test_locked_rows_refuse_the_next_writes_only(client: Client) -> None:
    client.call("POST", "/sandbox/faults", {"lock_rows": 1})
    answer = client.call("POST", "sobjects/Account", {"Name": "a"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "UNABLE_TO_LOCK_ROW")
    assert client.call("POST", "sobjects/Account", {"Name": "a"}).status_code == 201


def test_expired_tokens_open_nothing(client: Client) -> None:
    client.call("POST", "/sandbox/faults", {"expired_token": True})
    assert client.call("GET", "limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"


def test_a_schema_change_shows_in_describe_at_once(client: Client) -> None:
    wanted = {"object": "Account", "field": "Surprise__c", "type": "currency", "precision": 10, "scale": 3}
    client.call("POST", "/sandbox/faults", {"schema_change": wanted})
    fields = {one["name"]: one for one in client.call("GET", "sobjects/Account/describe").json()["fields"]}
    assert (fields["Surprise__c"]["type"], fields["Surprise__c"]["scale"]) == ("currency", 3)
    record_id = client.create("Account", Name="a", Surprise__c="1.2345")
    assert str(client.read("Account", record_id)["Surprise__c"]) == "1.235"


def test_an_unknown_fault_is_refused_with_those_that_there_are_and_nothing_is_set(client: Client) -> None:
    answer = client.call("POST", "/sandbox/faults", {"lock_rows": 5, "earthquake": 1})
    assert answer.status_code == 400
    assert "earthquake" in answer.json()["error"]
    assert "lock_rows" in answer.json()["error"]
    assert client.call("GET", "/sandbox/state").json()["faults"]["lock_rows"] == 0
    assert client.call("POST", "/sandbox/faults", {"gap": 3}).status_code == 400


def test_clearing_turns_every_fault_off(client: Client) -> None:
    client.call("POST", "/sandbox/faults", {"gap": {"Account": 2}, "stream_off": True, "retention_seconds": 5})
    assert client.call("GET", "/sandbox/state").json()["faults"]["gap"] == {"Account": 2}
    told = client.call("DELETE", "/sandbox/faults").json()
    assert (told["gap"], told["stream_off"], told["retention_seconds"]) == ({}, False, 259_200)


def test_a_wrong_instant_is_refused_in_words(client: Client) -> None:
    answer = client.call("POST", "/sandbox/clock", {"now": "yesterday"})
    assert answer.status_code == 400
    assert "yesterday" in answer.json()["error"]


def test_a_deleted_record_comes_back_with_its_details(client: Client) -> None:
    account = client.create("Account", Name="a")
    order = client.create("Order", AccountId=account, EffectiveDate="2026-01-01")
    line = client.create("OrderItem", OrderId=order, Quantity=1, UnitPrice=2)
    client.call("DELETE", f"sobjects/Order/{order}")
    assert client.call("GET", f"sobjects/OrderItem/{line}").status_code == 404
    assert client.call("POST", "/sandbox/undelete", {"ids": [order]}).json() == {"undeleted": 1}
    assert client.read("OrderItem", line)["IsDeleted"] is False
    again = client.call("POST", "/sandbox/undelete", {"ids": [order]})
    assert again.json()[0]["errorCode"] == "UNDELETE_FAILED"


def test_a_zip_is_deployed_and_what_is_wrong_is_named(client: Client) -> None:
    field = (
        '<CustomField xmlns="http://soap.sforce.com/2006/04/metadata"><fullName>Zip__c</fullName>'
        "<label>Zip</label><type>Checkbox</type><defaultValue>false</defaultValue></CustomField>"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("force-app/main/default/objects/Account/fields/Zip__c.field-meta.xml", field)
        archive.writestr("sfdx-project.json", "{}")
    answer = client.session.post(f"{client.url}/sandbox/deploy", data=packed.getvalue())
    assert answer.json() == {"created": ["Account.Zip__c"], "changed": [], "ignored": ["sfdx-project.json"]}
    assert client.read("Account", client.create("Account", Name="a"))["Zip__c"] is False
    wrong = client.session.post(f"{client.url}/sandbox/deploy", data=b"no zip")
    assert (wrong.status_code, wrong.json()["error"]) == (400, "the body: this is no zip file")


def test_many_rows_are_put_at_once_and_found_like_any_others(client: Client) -> None:
    first = client.create("Account", Name="first")
    told = client.call(
        "POST", "/sandbox/rows", {"object": "Account", "count": 2_500, "values": {"Name": "many"}}
    ).json()
    assert told["put"] == 2_500
    assert client.read("Account", told["lastId"])["Name"] == "many"
    found = client.call("GET", "query?q=SELECT+COUNT()+FROM+Account+WHERE+Name='many'").json()
    assert found["totalSize"] == 2_500
    assert first < told["firstId"] < told["lastId"] < client.create("Account", Name="after")


def test_rows_of_no_object_or_no_number_are_refused(client: Client) -> None:
    for body in ({"object": "Nothing", "count": 1, "values": {}}, {"object": "Account", "count": 0, "values": {}}):
        assert client.call("POST", "/sandbox/rows", body).status_code == 400
