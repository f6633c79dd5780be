"""One way to make a Kafka producer: idempotent, all replicas, our message sizes, security from the environment.

Place     the usage client, and every other writer of ours -> [this] -> aiokafka.
Security  FAKTURO_KAFKA_SECURITY_ and: PROTOCOL (PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL), CA_FILE, CERT_FILE,
          KEY_FILE, KEY_PASSWORD, SASL_MECHANISM (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), SASL_USERNAME, SASL_PASSWORD.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from fakturo.schemas.topics import DEAD_LETTER_BODY_BYTES_MAX

SECURITY_PREFIX = "FAKTURO_KAFKA_SECURITY_"
REQUEST_BYTES_MAX = DEAD_LETTER_BODY_BYTES_MAX + 65_536
"""The largest body that any topic of ours takes, with its headers and framing."""
BATCH_BYTES_MAX = 262_144
TRANSACTION_TIMEOUT_MS = 30_000
"""How long a writer that died in a transaction holds back those who read what is committed."""

_FILES = ("CA_FILE", "CERT_FILE", "KEY_FILE", "KEY_PASSWORD")
_SASL = {
    "SASL_MECHANISM": "sasl_mechanism",
    "SASL_USERNAME": "sasl_plain_username",
    "SASL_PASSWORD": "sasl_plain_password",
}
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class SecurityFault(ValueError):
    """A security setting is missing, unknown or contradicts another; the text names its variable."""


def make_producer(
    bootstrap: str,
    *,
    transactional_id: str | None = None,
    transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS,
    linger_ms: int = 0,
    request_timeout_ms: int = 10_000,
    batch_bytes_max: int = BATCH_BYTES_MAX,
    environment: Mapping[str, str] = os.environ,
) -> AIOKafkaProducer:
    """Return a producer that is not started yet; it must be made on the event loop that will use it.

    Raises:
        SecurityFault: the security settings of `environment` don't fit together.
    """
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=transactional_id,
        transaction_timeout_ms=transaction_timeout_ms,
        enable_idempotence=True,
        acks="all",
        linger_ms=linger_ms,
        max_batch_size=batch_bytes_max,
        max_request_size=REQUEST_BYTES_MAX,
        request_timeout_ms=request_timeout_ms,
        **security_options(environment),
    )


async def stop_producer(producer: AIOKafkaProducer, *, seconds: float) -> None:
    """Stop `producer`, letting it send what it holds for at most `seconds`; then drop it without waiting.

    aiokafka's own `stop` waits for ever while no broker answers.
    """
    with suppress(KafkaError, TimeoutError, OSError):
        await asyncio.wait_for(producer.stop(), seconds)
        return
    sender = producer._sender.sender_task
    if sender is not None and not sender.done():
        sender.cancel()
        await asyncio.wait([sender], timeout=1)
    with suppress(KafkaError, TimeoutError, OSError):
        await asyncio.wait_for(producer.client.close(), 1)


def security_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the security arguments of an aiokafka client; none where the environment says nothing.

    Raises:
        SecurityFault: an unknown variable or protocol, SASL without user or password, a file that can't be read.
    """
    given = {
        name.removeprefix(SECURITY_PREFIX): value
        for name, value in environment.items()
        if name.startswith(SECURITY_PREFIX)
    }
    if not given:
        return {}
    unknown = sorted(given.keys() - {"PROTOCOL", *_FILES, *_SASL})
    if unknown:
        raise SecurityFault(f"{SECURITY_PREFIX}{unknown[0]} is not a setting")
    protocol = given.get("PROTOCOL", "")
    if protocol not in _PROTOCOLS:
        raise SecurityFault(f"{SECURITY_PREFIX}PROTOCOL is {protocol!r}; it must be one of {', '.join(_PROTOCOLS)}")
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(given)
    if protocol.startswith("SASL"):
        options |= _sasl_options(given)
    return options


def _ssl_context(given: Mapping[str, str]) -> Any:
    names = dict(zip(("cafile", "certfile", "keyfile", "password"), (given.get(name) for name in _FILES), strict=True))
    try:
        return create_ssl_context(**names)
    except OSError as error:  # ssl.SSLError is one
        raise SecurityFault(f"{SECURITY_PREFIX}CA_FILE, CERT_FILE or KEY_FILE can't be used: {error}") from error


def _sasl_options(given: Mapping[str, str]) -> dict[str, str]:
    wanted = {"SASL_MECHANISM": "PLAIN", **given}
    missing = [name for name in _SASL if not wanted.get(name)]
    if missing:
        raise SecurityFault(f"{SECURITY_PREFIX}{missing[0]} is not set")
    return {option: wanted[name] for name, option in _SASL.items()}
