"""The logins of the unmodified simple-salesforce, tokens that end, and certificates; the rest is in conftest.py."""

from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceRefusedRequest,
)

from tests.cli.sandbox.simple_salesforce.conftest import VERSION, Client, trusting


def test_login_by_user_name_password_and_security_token_over_soap(client: Client) -> None:
    told = client.told
    sf = client.log_in(
        username=told["username"],
        password=told["password"],
        security_token=told["security_token"],
        version="64.0",  # the last one that has login()
    )

    assert sf.query("SELECT Id FROM Account LIMIT 1")["done"] is True
    assert sf.sf_instance == client.domain.removesuffix("/my")


def test_login_by_password_grant(client: Client) -> None:
    told = client.told
    sf = client.log_in(
        username=told["username"],
        password=told["password"],
        consumer_key=told["client_id"],
        consumer_secret=told["client_secret"],
    )

    assert sf.query("SELECT Id FROM Account LIMIT 1")["done"] is True


def test_login_by_signed_assertion(client: Client) -> None:
    told = client.told
    sf = client.log_in(
        username=told["username"], consumer_key=told["client_id"], privatekey_file=told["private_key_file"]
    )

    assert sf.query("SELECT Id FROM Account LIMIT 1")["done"] is True


def test_login_by_client_credentials(client: Client) -> None:
    assert client.usual().query("SELECT Id FROM Account LIMIT 1")["done"] is True


def test_login_by_a_session_that_somebody_else_opened(client: Client, sf: Salesforce) -> None:
    other = Salesforce(
        session_id=sf.session_id,
        instance_url=client.told["rest_url"],
        session=trusting(client.told["ca_file"]),
        version=VERSION,
    )

    assert other.query("SELECT Id FROM Account LIMIT 1")["done"] is True


@pytest.mark.parametrize("grant", ["soap", "password", "client credentials"])
def test_wrong_credentials_are_refused(client: Client, grant: str) -> None:
    told = client.told
    wrong: dict[str, Any] = {
        "soap": {"username": told["username"], "password": "no", "security_token": "no", "version": "64.0"},
        "password": {
            "username": told["username"],
            "password": "no",
            "consumer_key": told["client_id"],
            "consumer_secret": told["client_secret"],
        },
        "client credentials": {"consumer_key": told["client_id"], "consumer_secret": "no"},
    }[grant]

    with pytest.raises(SalesforceAuthenticationFailed):
        client.log_in(**wrong)


def test_a_client_that_does_not_know_the_authority_is_not_let_in(client: Client) -> None:
    stranger = requests.Session()
    stranger.trust_env = False

    with pytest.raises(requests.exceptions.SSLError):
        Salesforce(
            session=stranger,
            domain=client.domain,
            consumer_key=client.told["client_id"],
            consumer_secret=client.told["client_secret"],
        )


def test_the_environment_is_enough_to_know_the_authority(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", client.told["ca_file"] or "")

    sf = Salesforce(
        domain=client.domain,
        consumer_key=client.told["client_id"],
        consumer_secret=client.told["client_secret"],
        version=VERSION,
    )

    assert sf.query("SELECT Id FROM Account LIMIT 1")["done"] is True


def test_an_expired_token_is_renewed_by_the_client_itself(client: Client) -> None:
    sf = client.usual()
    old = sf.session_id
    client.running.in_loop(lambda org: org.faults.apply({"expired_token": True}))

    assert sf.query("SELECT Id FROM Account LIMIT 1")["done"] is True
    assert sf.session_id != old

    client.running.in_loop(lambda org: org.faults.apply({"expired_token": True}))
    assert sf.Account.describe()["name"] == "Account"


def test_bulk_does_not_renew_a_token_and_says_so(client: Client) -> None:
    sf = client.usual()
    bulk = sf.bulk2.Account
    client.running.in_loop(lambda org: org.faults.apply({"expired_token": True}))

    with pytest.raises(SalesforceExpiredSession):
        bulk.insert(records=[{"Name": "Late"}], wait=0)


def test_an_allocation_that_is_used_up_refuses_every_call(client: Client) -> None:
    sf = client.usual()
    client.running.in_loop(lambda org: org.faults.apply({"api_allocation": 0}))
    try:
        with pytest.raises(SalesforceRefusedRequest) as caught:
            sf.query("SELECT Id FROM Account LIMIT 1")
        assert caught.value.content[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    finally:
        client.running.in_loop(lambda org: org.faults.apply({"api_allocation": None}))
