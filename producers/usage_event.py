"""One usage event before it is sent: refused here with the reason that would make it a dead letter later.

Place     upstream system -> UsageClient -> [this] -> bytes for `billing.usage`.
Numbers   Decimal becomes a decimal string, an integer stays one, a float is refused wherever it stands: which field a
          meter totals is the price list's business, which can change after the event was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from fakturo.schemas.codec import decode_envelope, decode_event, encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.usage import USAGE_CORRECTED
from fakturo.schemas.topics import MEGABYTE

EVENT_BYTES_MAX = MEGABYTE
"""The usage agent dead-letters what is larger (FAKTURO_EVENT_BYTES_MAX)."""
DEPTH_MAX = 16
INTEGER_MAX = 2**63 - 1
INTEGER_DIGITS_MAX = 24
DECIMALS_MAX = 12
RESERVED_PREFIX = "fakturo."


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """What was used: `account` is who, `time` when it happened, `type` what the meters match, `data` how much.

    (`source`, `id`) is its identity: sent twice with the same content it counts once, so sending again is always safe.
    """

    account: str
    type: str
    id: str
    time: datetime
    data: Mapping[str, Any]
    source: str
    traceparent: str | None = None


def correction(
    *,
    account: str,
    id: str,  # noqa: A002 - the attribute's own name
    time: datetime,
    source: str,
    corrects: tuple[str, str],
    by: UsageEvent | None,
) -> UsageEvent:
    """Return the event that replaces the event known as `corrects` (its source, its id) by `by`, or voids it (None).

    `account` is that of the event that is corrected, whatever `by` says. It has an identity of its own, and so has
    `by`. Of several corrections of one event the one with the latest `time` stands, so give the time of the decision.
    Raises nothing: `encode_usage` checks it, the replacement too.
    """
    data = {
        "corrects": {"source": corrects[0], "id": corrects[1]},
        "replacement": None if by is None else _attributes(by),
    }
    return UsageEvent(account=account, type=USAGE_CORRECTED, id=id, time=time, data=data, source=source)


def _attributes(event: UsageEvent) -> dict[str, Any]:
    """Return `event` as the CloudEvent that a correction carries."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.account,
        "time": event.time,
        "datacontenttype": "application/json",
        "data": event.data,
    }


def encode_usage(event: UsageEvent) -> bytes:
    """Return `event` as a structured CloudEvent.

    Raises:
        SchemaError: an empty attribute, a time without zone, a float or NaN, a value that JSON has no word for, a
            reserved type, more than 1 MB. Its `path` says where, its `reason` is the dead letter's.
    """
    for name in ("account", "type", "id", "source"):
        _text(getattr(event, name), f"$.{'subject' if name == 'account' else name}", required=True)
    if event.type.startswith(RESERVED_PREFIX) and event.type != USAGE_CORRECTED:
        raise SchemaError(Reason.UNKNOWN_TYPE, f"types that begin with {RESERVED_PREFIX!r} are Fakturo's own", "$.type")
    if not isinstance(event.data, Mapping):
        raise SchemaError(Reason.UNKNOWN_SHAPE, "data must be an object (a mapping)", "$.data")
    value = encode(
        Event(
            specversion="1.0",
            id=event.id,
            source=event.source,
            type=event.type,
            subject=event.account,
            time=_instant(event.time, "$.time"),
            datacontenttype="application/json",
            traceparent=event.traceparent,
            data=_plain(event.data, "$.data", DEPTH_MAX),
        )
    )
    if len(value) > EVENT_BYTES_MAX:
        raise SchemaError(Reason.BODY_TOO_LARGE, f"{len(value)} bytes; at most {EVENT_BYTES_MAX} are taken")
    if event.type == USAGE_CORRECTED:
        _check_replacement(decode_event(value).data.replacement)
    return value


def _check_replacement(replacement: Mapping[str, Any] | None) -> None:
    """Refuse a replacement that the usage agent could not read."""
    if replacement is None:
        return
    path = "$.data.replacement"
    for name in ("subject", "type", "id", "source"):
        _text(replacement.get(name, ""), f"{path}.{name}", required=True)
    if replacement["type"].startswith(RESERVED_PREFIX):
        raise SchemaError(Reason.UNKNOWN_TYPE, "a replacement is a usage event of yours", f"{path}.type")
    try:
        decode_envelope(encode(replacement))
    except SchemaError as error:
        text = str(error).removesuffix(f" (at {error.path})")
        raise SchemaError(error.reason, text, path + error.path.removeprefix("$")) from error


def _plain(value: Any, path: str, depth: int) -> Any:
    """Return `value` as JSON takes it."""
    if depth == 0:
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"nested deeper than {DEPTH_MAX}", path)
    match value:
        case None | bool():
            return value
        case str():
            return _text(value, path)
        case int() | float() | Decimal():
            return _number(value, path)
        case datetime():
            return _instant(value, path)
        case date():
            return value.isoformat()
        case Mapping():
            return {_text(name, path): _plain(item, f"{path}.{name}", depth - 1) for name, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_plain(item, f"{path}[{index}]", depth - 1) for index, item in enumerate(value)]
    raise SchemaError(Reason.UNKNOWN_SHAPE, f"JSON has no word for a {type(value).__name__}", path)


def _number(value: Any, path: str) -> int | str:
    if isinstance(value, float):
        raise SchemaError(Reason.FLOAT_AMOUNT, f"{value!r} is a float; use Decimal or text", path)
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise SchemaError(Reason.INVALID_AMOUNT, f"{value} doesn't fit 64 bits; use Decimal or text", path)
        return value
    if not value.is_finite():
        raise SchemaError(Reason.NOT_A_NUMBER, f"{value} is no number", path)
    if value.adjusted() >= INTEGER_DIGITS_MAX or -value.adjusted() > DECIMALS_MAX + INTEGER_DIGITS_MAX:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{value} has more digits than any amount", path)
    text = format(value, "f")
    if len(text.partition(".")[2].rstrip("0")) > DECIMALS_MAX:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{value} has more than {DECIMALS_MAX} decimals", path)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _instant(value: Any, path: str) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise SchemaError(Reason.INVALID_TIME, f"{value!r} is no datetime with a zone", path)
    return value


def _text(value: Any, path: str, *, required: bool = False) -> str:
    if not isinstance(value, str) or (required and not value):
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"{value!r} is no text" if value != "" else "is empty", path)
    if "\0" in value or not _is_unicode(value):
        raise SchemaError(Reason.UNKNOWN_SHAPE, "holds a character that no database takes (NUL, half a pair)", path)
    return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
