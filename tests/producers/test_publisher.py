"""The producer's security comes from the environment, and what contradicts itself is said in one sentence."""

from pathlib import Path

import pytest

from fakturo.producers.publisher import SecurityFault, make_producer, security_options

PREFIX = "FAKTURO_KAFKA_SECURITY_"


def environment(**given: str) -> dict[str, str]:
    return {PREFIX + name: value for name, value in given.items()} | {"FAKTURO_KAFKA": "x:1"}


def test_without_settings_nothing_is_asked_for() -> None:
    assert security_options({"FAKTURO_KAFKA": "x:1"}) == {}


def test_sasl_with_user_and_password() -> None:
    given = environment(PROTOCOL="SASL_PLAINTEXT", SASL_USERNAME="u", SASL_PASSWORD="p")
    assert security_options(given) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_tls_with_the_systems_authorities_checks_the_host_name() -> None:
    options = security_options(environment(PROTOCOL="SSL"))
    assert options["security_protocol"] == "SSL"
    assert options["ssl_context"].check_hostname


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"PROTOCOL": "TLS"}, "PROTOCOL"),
        ({"SASL_USERNAME": "u"}, "PROTOCOL"),
        ({"PROTOCOL": "SASL_PLAINTEXT", "SASL_USERNAME": "u"}, "SASL_PASSWORD"),
        ({"PROTOCOL": "SASL_SSL", "SASL_PASSWORD": "p"}, "SASL_USERNAME"),
        ({"PROTOCOL": "SSL", "CAFILE": "x"}, "CAFILE"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(SecurityFault, match=PREFIX + named):
        security_options(environment(**given))


def test_a_file_that_is_not_there_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SecurityFault, match="CA_FILE"):
        security_options(environment(PROTOCOL="SSL", CA_FILE=str(tmp_path / "none.pem")))


async def test_a_producer_takes_what_the_largest_topic_takes() -> None:
    producer = make_producer("localhost:1", transactional_id="t", environment={})
    assert producer._max_request_size >= 5 * 1024 * 1024
    await producer.stop()
