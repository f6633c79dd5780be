"""The Org client against recorded answers: tokens, exact numbers, paging, faults."""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fakturo.consumers.runtime.salesforce.errors import (
    AllocationUsedUp,
    AuthenticationRefused,
    OrgRefused,
    OrgUnavailable,
    fault_of,
)
from fakturo.consumers.runtime.salesforce.limits import ApiUsage, api_usage_of
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.tokens import audience
from fakturo.consumers.runtime.salesforce.upserts import UpsertResult

SECRET = "planted-secret-3141"


@pytest.fixture
async def org(fake: Any) -> AsyncIterator[Org]:
    opened = Org(fake.settings())
    await opened.open()
    yield opened
    await opened.close()


def page(*records: dict[str, Any], following: str | None = None) -> bytes:
    more = {"done": True} if following is None else {"done": False, "nextRecordsUrl": following}
    return json.dumps({"totalSize": len(records), "records": list(records), **more}).encode()


async def rows_of(pages: AsyncIterator[list[Any]]) -> list[list[Any]]:
    return [rows async for rows in pages]


async def test_client_credentials_give_the_token_and_the_org_of_its_id(fake: Any, org: Org) -> None:
    assert org.org_id == "00D000000000001EAA"  # the 18-character form of 00D000000000001: one capital (D), bit 2 of 5
    assert org.instance_url == fake.url
    asked = fake.asked[0]
    assert asked.form == {"grant_type": "client_credentials"}
    assert asked.headers["Authorization"] == "Basic Y29uc3VtZXIta2V5OnBsYW50ZWQtc2VjcmV0LTMxNDE="  # RFC 7617


async def test_a_private_key_signs_the_assertion_for_three_minutes(fake: Any, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = tmp_path / "key.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    opened = Org(fake.settings(private_key_file=file, client_secret=None, username="bridge@acme.example"))
    await opened.open()
    await opened.close()
    form = fake.asked[0].form
    claims = jwt.decode(form["assertion"], key.public_key(), algorithms=["RS256"], audience=fake.url)
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (claims["iss"], claims["sub"]) == ("consumer-key", "bridge@acme.example")


@pytest.mark.parametrize(
    ("login_url", "expected"),
    [
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("https://test.salesforce.com", "https://test.salesforce.com"),
        ("https://localhost:8443", "https://localhost:8443"),
    ],
)
def test_the_assertion_is_for_the_login_host_of_the_orgs_kind(login_url: str, expected: str) -> None:
    assert audience(login_url) == expected


async def test_a_file_that_is_no_key_is_named_and_not_shown(fake: Any, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(SECRET)
    opened = Org(fake.settings(private_key_file=file, username="bridge@acme.example"))
    with pytest.raises(AuthenticationRefused, match=r"key\.pem: is no RSA private key in PEM form") as found:
        await opened.open()
    await opened.close()
    assert SECRET not in "".join(traceback.format_exception(found.value))


async def test_a_refused_login_says_why_without_the_secret(fake: Any) -> None:
    refusal = {"error": "invalid_client", "error_description": f"invalid client credentials {SECRET}"}
    fake.answers["/services/oauth2/token"] = lambda asked: (400, {}, refusal)
    opened = Org(fake.settings())
    with pytest.raises(AuthenticationRefused, match="invalid_client: invalid client credentials") as found:
        await opened.open()
    await opened.close()
    said = "".join(traceback.format_exception(found.value)) + repr(opened.settings)
    assert SECRET not in said


async def test_an_answer_that_quotes_the_request_is_told_without_its_secrets(fake: Any, org: Org) -> None:
    """As a proxy's page in front of the org does, with every header; the text is cut after the secrets are."""

    def _page(asked: Any) -> tuple[int, dict[str, str], bytes]:
        return 403, {}, b"x" * 460 + f" {asked.headers['Authorization']} {asked.body.decode()}".encode()

    said = []
    for path, wanted in (("/query/", org.query("SELECT Id FROM Account")), ("/limits/", None)):
        fake.answers[path] = _page
        with pytest.raises(OrgRefused, match=r"\*\*\*") as found:
            await (rows_of(wanted) if wanted else org.limits())
        said += traceback.format_exception(found.value)
    fake.answers["/services/oauth2/token"] = _page
    with pytest.raises(AuthenticationRefused, match=r"\*\*\*") as refused:
        await org.token(renew=True)
    said += traceback.format_exception(refused.value)
    basic = "Y29uc3VtZXIta2V5OnBsYW50ZWQtc2VjcmV0LTMxNDE="  # consumer-key:planted-secret-3141, RFC 7617
    found_in = [secret for secret in (SECRET, "token-1", basic[:20]) if secret in "".join(said)]
    assert found_in == []


async def test_calls_that_find_the_token_refused_at_once_renew_it_once(fake: Any, org: Org) -> None:
    fake.answers["/query/"] = lambda asked: (200, {}, page({"Id": "a"}))
    fake.good_tokens.clear()
    await asyncio.gather(*(rows_of(org.query("SELECT Id FROM Account")) for _ in range(8)))
    assert fake.tokens_given == 2


async def test_a_token_that_stays_refused_ends_in_an_error_and_not_in_a_loop(fake: Any, org: Org) -> None:
    fake.answers["/services/oauth2/token"] = lambda asked: (
        200,
        {},
        {"access_token": "x", "instance_url": fake.url, "id": "https://x/id/00D000000000001/005000000000001"},
    )
    fake.good_tokens.clear()
    with pytest.raises(AuthenticationRefused):
        await org.describe("Account")
    assert fake.count("/services/data/v67.0/sobjects/Account/describe") == 2


def test_a_token_does_not_print_itself(fake: Any) -> None:
    from fakturo.consumers.runtime.salesforce.tokens import AccessToken

    token = AccessToken("00D!very-secret", "https://acme.my.salesforce.com", "00D000000000001EAA", "005")
    assert "very-secret" not in f"{token} {token!r}"


async def test_amounts_come_exact_and_pages_follow_one_another(fake: Any, org: Org) -> None:
    first = b'{"totalSize":2,"done":false,"nextRecordsUrl":"/services/data/v67.0/query/01g-1","records":[{"attributes":'
    first += (
        b'{"type":"OrderItem","url":"/x"},"Id":"a","UnitPrice":123456789012345678.91,"Order":{"attributes":{},"N":1}}]}'
    )
    fake.answers["/query/"] = lambda asked: (200, {}, first)
    fake.answers["/query/01g-1"] = lambda asked: (200, {}, page({"Id": "b", "UnitPrice": None}))
    pages = await rows_of(org.query("SELECT Id, UnitPrice FROM OrderItem"))
    assert pages == [
        [{"Id": "a", "UnitPrice": Decimal("123456789012345678.91"), "Order": {"N": 1}}],
        [{"Id": "b", "UnitPrice": None}],
    ]
    assert fake.asked[1].params == {"q": "SELECT Id, UnitPrice FROM OrderItem"}


async def test_deleted_rows_are_asked_of_query_all(fake: Any, org: Org) -> None:
    fake.answers["/queryAll/"] = lambda asked: (200, {}, page({"Id": "a", "IsDeleted": True}))
    assert await rows_of(org.query("SELECT Id FROM Account", deleted=True)) == [[{"Id": "a", "IsDeleted": True}]]


async def test_our_calls_name_themselves_and_the_answers_tell_time_and_usage(fake: Any, org: Org) -> None:
    headers = {"Sforce-Limit-Info": "api-usage=18/5000", "Date": "Thu, 26 Nov 2026 11:45:07 GMT"}
    fake.answers["/limits/"] = lambda asked: (200, headers, {"DailyApiRequests": {"Max": 5000, "Remaining": 4982}})
    assert (await org.limits())["DailyApiRequests"]["Remaining"] == 4982
    assert fake.asked[-1].headers["Sforce-Call-Options"] == "client=fakturo"
    assert org.api_usage == ApiUsage(used=18, allowed=5000)
    assert org.server_now is not None
    assert (await org.ask_time()).tzinfo is not None


async def test_a_collection_carries_exact_numbers_and_tells_each_records_end(fake: Any, org: Org) -> None:
    lock = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": []}
    fake.answers["/composite/sobjects/Invoice__c/Key__c"] = lambda asked: (
        200,
        {},
        [
            {"id": "a01", "success": True, "errors": [], "created": True},
            {"success": False, "errors": [lock]},
        ],
    )
    records = [{"Key__c": "1", "Total__c": Decimal("12345678901234567.89")}, {"Key__c": "2", "Total__c": None}]
    results = await org.upsert("Invoice__c", "Key__c", records)
    assert results[0] == UpsertResult(True, record_id="a01", is_created=True)
    assert (results[1].is_written, results[1].is_lock) == (False, True)
    assert b'"Total__c":12345678901234567.89' in fake.asked[-1].body
    assert json.loads(fake.asked[-1].body)["allOrNone"] is False
    assert json.loads(fake.asked[-1].body)["records"][1] == {
        "attributes": {"type": "Invoice__c"},
        "Key__c": "2",
        "Total__c": None,
    }


async def test_more_than_two_hundred_records_are_no_collection(org: Org) -> None:
    with pytest.raises(ValueError, match="201 records"):
        await org.update("Account", [{"Id": "x"}] * 201)


async def test_a_bulk_query_waits_for_its_job_and_reads_page_by_page(fake: Any, org: Org) -> None:
    states = iter(["UploadComplete", "InProgress", "JobComplete"])
    fake.answers["/jobs/query"] = lambda asked: (200, {}, {"id": "750A", "state": "UploadComplete"})
    fake.answers["/jobs/query/750A"] = lambda asked: (200, {}, {"id": "750A", "state": next(states)})

    def results(asked: Any) -> Any:
        if asked.params.get("locator") == "MTA":
            return 200, {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "1"}, b'"Id","Name"\n"c",""\n'
        body = '"Id","Name"\n"a","Käse, ""jung""\nund alt"\n"b","x"\n'.encode()
        return 200, {"Sforce-Locator": "MTA", "Sforce-NumberOfRecords": "2"}, body

    fake.answers["/jobs/query/750A/results"] = results
    pages = await rows_of(org.bulk_rows("SELECT Id, Name FROM Account", page_rows=2, deleted=True))
    assert pages == [
        [{"Id": "a", "Name": 'Käse, "jung"\nund alt'}, {"Id": "b", "Name": "x"}],
        [{"Id": "c", "Name": ""}],
    ]
    created = next(json.loads(one.body) for one in fake.asked if one.method == "POST" and one.path.endswith("/query"))
    assert created == {"operation": "queryAll", "query": "SELECT Id, Name FROM Account"}


async def test_a_failed_query_job_says_why(fake: Any, org: Org) -> None:
    fake.answers["/jobs/query"] = lambda asked: (200, {}, {"id": "750A", "state": "UploadComplete"})
    failed = {"id": "750A", "state": "Failed", "errorMessage": "API_ERROR: too big"}
    fake.answers["/jobs/query/750A"] = lambda asked: (200, {}, failed)
    with pytest.raises(OrgRefused, match="JOB_FAILED: API_ERROR: too big"):
        await rows_of(org.bulk_rows("SELECT Id FROM Account"))


async def test_a_bulk_upsert_writes_nulls_as_such_and_finds_each_records_end(fake: Any, org: Org) -> None:
    fake.answers["/jobs/ingest"] = lambda asked: (200, {}, {"id": "750B", "state": "Open"})
    fake.answers["/jobs/ingest/750B/batches"] = lambda asked: (201, {}, b"")
    fake.answers["/jobs/ingest/750B"] = lambda asked: (200, {}, {"id": "750B", "state": "JobComplete"})
    good = b'"sf__Id","sf__Created","Key__c"\n"a01","true","k1"\n'
    bad = b'"sf__Id","sf__Error","Key__c"\n"","DUPLICATE_VALUE:duplicate value found:Key__c --","k2"\n'
    fake.answers["/jobs/ingest/750B/successfulResults"] = lambda asked: (200, {}, good)
    fake.answers["/jobs/ingest/750B/failedResults"] = lambda asked: (200, {}, bad)
    results = await org.bulk_upsert(
        "Line__c",
        "Key__c",
        [
            {"Key__c": "k1", "Net__c": Decimal("1E+2"), "Paid__c": None, "Invoice__r": {"Key__c": "i1"}},
            {"Key__c": "k2", "Net__c": Decimal("0.10"), "Open__c": True},
            {"Key__c": "k3"},
        ],
    )
    assert results[0] == UpsertResult(True, record_id="a01", is_created=True)
    assert (results[1].code, results[2].code) == ("DUPLICATE_VALUE", "UNPROCESSED")
    uploaded = next(one for one in fake.asked if one.method == "PUT")
    assert uploaded.body.decode() == (
        "Invoice__r.Key__c,Key__c,Net__c,Open__c,Paid__c\ni1,k1,100,,#N/A\n,k2,0.10,true,\n,k3,,,\n"
    )


async def test_what_passes_and_what_does_not_are_told_apart(fake: Any, org: Org) -> None:
    used_up = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    fake.answers["/limits/"] = lambda asked: (403, {}, used_up)
    with pytest.raises(AllocationUsedUp, match="TotalRequests Limit exceeded"):
        await org.limits()
    bad = [{"errorCode": "MALFORMED_QUERY", "message": "unexpected token: FORM"}]
    fake.answers["/query/"] = lambda asked: (400, {}, bad)
    with pytest.raises(OrgRefused, match="MALFORMED_QUERY: unexpected token: FORM"):
        await rows_of(org.query("SELECT Id FORM Account"))


async def test_a_get_that_is_answered_503_is_tried_again(fake: Any, org: Org) -> None:
    answers = iter([(503, {}, b"away"), (503, {}, b"away"), (200, {}, page({"Id": "a"}))])
    fake.answers["/query/"] = lambda asked: next(answers)
    assert await rows_of(org.query("SELECT Id FROM Account")) == [[{"Id": "a"}]]


async def test_an_org_that_is_not_there_is_unavailable_and_no_secret_is_said() -> None:
    from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings

    opened = Org(SalesforceSettings(login_url="http://127.0.0.1:9", client_id="k", client_secret=SECRET))
    with pytest.raises(OrgUnavailable) as found:
        await opened.open()
    await opened.close()
    assert SECRET not in "".join(traceback.format_exception(found.value))


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (500, "gone", OrgUnavailable),
        (400, [{"errorCode": "QUERY_TIMEOUT", "message": "too long"}], OrgUnavailable),
        (403, [{"errorCode": "API_DISABLED_FOR_ORG", "message": "no API"}], OrgRefused),
        (404, b"<html>", OrgRefused),
        (401, [], AuthenticationRefused),
    ],
)
def test_each_status_means_one_decision(status: int, content: Any, kind: type[Exception]) -> None:
    assert type(fault_of(status, content)) is kind


def test_the_limit_header_counts_the_orgs_calls_and_not_the_apps_share() -> None:
    assert api_usage_of("per-app-api-usage=17/250(appName=sample)") is None
    assert api_usage_of("api-usage=18/5000; per-app-api-usage=17/250(appName=a)") == ApiUsage(18, 5000)
    assert api_usage_of(None) is None
    # 4,000 of 5,000 are used: 20 % are left, which is all of the reserve.
    assert not ApiUsage(4000, 5000).leaves(20)
    assert ApiUsage(3999, 5000).leaves(20)
    assert ApiUsage(1, 3).used_percent == 34
