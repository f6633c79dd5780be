"""The wire forms of the logins: Salesforce help, "OAuth Endpoints"; SOAP API Developer Guide, "login()"."""

import base64
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cli.sandbox.rest.conftest import Client

TOKEN = "/services/oauth2/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"


def _ask(client: Client, form: dict[str, str], **headers: str) -> requests.Response:
    return client.session.post(client.url + TOKEN, data=form, headers=headers)


def _soap(client: Client, version: str, password: str, *, header: str = "", path: str = "u") -> requests.Response:
    access = client.threaded.sandbox.access
    body = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:urn="urn:partner.soap.sforce.com">'
        f"<env:Header>{header}</env:Header><env:Body><urn:login><urn:username>{access.username}</urn:username>"
        f"<urn:password>{password}</urn:password></urn:login></env:Body></env:Envelope>"
    )
    return client.session.post(f"{client.url}/services/Soap/{path}/{version}", data=body)


def test_client_credentials_by_basic_header_give_a_token_that_opens_the_org(visitor: Client) -> None:
    access = visitor.threaded.sandbox.access
    basic = base64.b64encode(f"{access.client_id}:{access.client_secret}".encode()).decode()
    answer = _ask(visitor, {"grant_type": "client_credentials"}, Authorization=f"Basic {basic}")
    assert answer.status_code == 200
    told = answer.json()
    assert told["token_type"] == "Bearer"
    assert told["instance_url"] == visitor.url
    assert told["issued_at"].isdigit()
    org_id = visitor.threaded.sandbox.org_id
    assert told["id"].split("/")[-2] == org_id  # https://login.salesforce.com/id/<orgId>/<userId>
    assert told["access_token"].startswith(f"{org_id[:15]}!")
    visitor.session.headers["Authorization"] = f"Bearer {told['access_token']}"
    assert visitor.call("GET", "sobjects").status_code == 200


def test_client_credentials_may_stand_in_the_body(visitor: Client) -> None:
    access = visitor.threaded.sandbox.access
    form = {"grant_type": "client_credentials", "client_id": access.client_id, "client_secret": access.client_secret}
    assert _ask(visitor, form).status_code == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client_id"),
        ({"grant_type": "device"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "admin@fakturo.sandbox", "password": "wrong"}, "invalid_grant"),
    ],
)
def test_what_is_wrong_is_an_oauth_error(visitor: Client, changed: dict[str, str], error: str) -> None:
    access = visitor.threaded.sandbox.access
    form = {"grant_type": "client_credentials", "client_id": access.client_id, "client_secret": access.client_secret}
    answer = _ask(visitor, form | changed)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert access.client_secret not in answer.text


@pytest.mark.parametrize("with_token", [True, False])
def test_the_password_grant_takes_the_password_with_the_security_token_or_without(
    visitor: Client, with_token: bool
) -> None:
    access = visitor.threaded.sandbox.access
    form = {
        "grant_type": "password",
        "client_id": access.client_id,
        "client_secret": access.client_secret,
        "username": access.username,
        "password": access.password + (access.security_token if with_token else ""),
    }
    assert _ask(visitor, form).status_code == 200


def _assertion(client: Client, key: Any = None, **changed: Any) -> str:
    access = client.threaded.sandbox.access
    claims = {
        "iss": access.client_id,
        "sub": access.username,
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
    }
    signing = key or Path(client.threaded.sandbox.private_key_file).read_bytes()
    return jwt.encode(claims | changed, signing, algorithm="RS256")


def test_a_signed_assertion_gives_a_token(visitor: Client) -> None:
    answer = _ask(visitor, {"grant_type": JWT_BEARER, "assertion": _assertion(visitor)})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changed", "description"),
    [
        ({"exp": 1_000_000_000}, "expired authorization code"),
        ({"aud": "https://example.com"}, "audience is invalid"),
        ({"sub": "somebody@else"}, "user hasn't approved this consumer"),
    ],
)
def test_an_assertion_that_claims_something_else_is_refused(
    visitor: Client, changed: dict[str, Any], description: str
) -> None:
    answer = _ask(visitor, {"grant_type": JWT_BEARER, "assertion": _assertion(visitor, **changed)})
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": description}


def test_an_assertion_signed_by_another_key_is_refused(visitor: Client) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    answer = _ask(visitor, {"grant_type": JWT_BEARER, "assertion": _assertion(visitor, key=stranger)})
    assert answer.json() == {"error": "invalid_grant", "error_description": "invalid assertion"}


def test_soap_login_gives_a_session_id_that_is_an_access_token(visitor: Client) -> None:
    access = visitor.threaded.sandbox.access
    answer = _soap(visitor, "59.0", access.password + access.security_token)
    assert answer.status_code == 200
    result = {one.tag.rpartition("}")[2]: one.text for one in ElementTree.fromstring(answer.text).iter()}
    host = visitor.url.removeprefix("https://")
    org_id = visitor.threaded.sandbox.org_id
    assert result["serverUrl"] == f"https://{host}/services/Soap/u/59.0/{org_id[:15]}"
    assert result["organizationId"] == org_id
    visitor.session.headers["Authorization"] = f"Bearer {result['sessionId']}"
    assert visitor.call("GET", "limits").status_code == 200


def test_soap_login_may_name_the_organization(visitor: Client) -> None:
    password = visitor.threaded.sandbox.access.password
    scope = "<urn:LoginScopeHeader><urn:organizationId>{}</urn:organizationId></urn:LoginScopeHeader>"
    ours = _soap(visitor, "59.0", password, header=scope.format(visitor.threaded.sandbox.org_id))
    assert ours.status_code == 200
    assert _soap(visitor, "59.0", password, header=scope.format("00D000000000999EAA")).status_code == 500


def test_a_wrong_password_is_a_soap_fault(visitor: Client) -> None:
    answer = _soap(visitor, "59.0", "wrong")
    assert answer.status_code == 500
    fault = ElementTree.fromstring(answer.text).find(f"{SOAP}Body/{SOAP}Fault")
    assert fault is not None
    assert fault.findtext("faultcode") == "sf:INVALID_LOGIN"
    code = "{urn:fault.partner.soap.sforce.com}exceptionCode"
    assert [one.text for one in fault.iter(code)] == ["INVALID_LOGIN"]


@pytest.mark.parametrize(
    ("version", "word"), [("65.0", "login"), ("67.0", "login"), ("30.0", "UNSUPPORTED_API_VERSION")]
)
def test_soap_login_is_gone_from_version_65_and_below_31(visitor: Client, version: str, word: str) -> None:
    answer = _soap(visitor, version, visitor.threaded.sandbox.access.password)
    assert answer.status_code == 500
    assert word in answer.text
    assert "sessionId" not in answer.text


def test_xml_with_entities_is_refused(visitor: Client) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    answer = visitor.session.post(f"{visitor.url}/services/Soap/u/59.0", data=bomb)
    assert answer.status_code == 500
    assert "no XML" in answer.text


def test_userinfo_says_whose_token_it_is(client: Client, visitor: Client) -> None:
    told = client.call("GET", "/services/oauth2/userinfo").json()
    assert told["organization_id"] == client.threaded.sandbox.org_id
    assert told["preferred_username"] == client.threaded.sandbox.access.username
    assert visitor.call("GET", "/services/oauth2/userinfo").status_code == 403


def test_a_revoked_token_opens_nothing(client: Client) -> None:
    token = str(client.session.headers["Authorization"]).removeprefix("Bearer ")
    revoked = client.session.post(f"{client.url}/services/oauth2/revoke", data={"token": token})
    assert revoked.status_code == 200
    answer = client.call("GET", "limits")
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_a_session_ends_after_two_idle_hours(client: Client) -> None:
    def idle(org: Any) -> None:
        for session in org.sessions._live.values():
            session.last_used -= 7_201

    client.threaded.in_loop(idle)
    assert client.call("GET", "limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"


def test_the_list_of_versions_needs_no_token_and_all_else_does(visitor: Client) -> None:
    versions = visitor.call("GET", "/services/data").json()
    # Salesforce release notes: 59.0 is Winter '24, 67.0 is Summer '26.
    labels = {one["version"]: one["label"] for one in versions}
    assert labels["59.0"] == "Winter '24"
    assert labels["67.0"] == "Summer '26"
    assert visitor.call("GET", "limits").status_code == 401


def test_a_path_may_begin_with_the_host_that_simple_salesforce_builds(client: Client) -> None:
    assert client.call("GET", "/services/data/v67.0/limits").status_code == 200
    answer = client.session.get(f"{client.url}/my.salesforce.com/services/data/v67.0/limits/")
    assert answer.status_code == 200
