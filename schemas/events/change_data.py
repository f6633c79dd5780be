"""Salesforce change records as they lie on `sf.cdc.<SObject>`: the canonical form, one record a record id.

Place     salesforce bridge or simulator -> `sf.cdc.*` -> [this] -> contracts agent. Not a CloudEvent.
Form      decimals as strings, dates `YYYY-MM-DD`, datetimes ISO Z, compounds dotted (`BillingAddress.Street`).
"""

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta

import msgspec

from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FieldValue = str | int | bool | None
"""What a field of a Salesforce record holds on the wire."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """The Salesforce transaction of a change: `ts` is its commit in milliseconds since 1970, `seq` its place in `tx`.

    `number` may pass 2^53, so it is text; it only serves diagnosis.
    """

    ts: int
    number: str | None = None
    tx: str | None = None
    seq: int | None = None
    user: str | None = None
    origin: str | None = None


class ChangeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one record.

    `changed` names the fields of an UPDATE, `nulled` those set to null, `diff` those whose value is a text diff.
    A value is text, an integer, true, false or null: a JSON number with a point has been a float somewhere and may have
    lost digits, so it is refused, and compounds come dotted, so an object is refused too.
    `full` says that `values` is the whole row (a re-read, SYNC), its `commit.ts` then being the SystemModstamp. `gapTs`
    is set on a re-read that answers a gap: the commit, in milliseconds, of the change whose content never came; what
    differs took effect then. `snapshot` names the reading of a whole object that a row belongs to; a record of
    changeType `SNAPSHOT_END`, one a partition, ends it: what lives in the book and was not in it, is deleted since.
    """

    v: int
    entity: str
    recordId: str  # noqa: N815 - the wire's own name
    changeType: str  # noqa: N815
    commit: Commit
    org: str | None = None
    changed: tuple[str, ...] = ()
    nulled: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()
    values: dict[str, FieldValue] = {}
    full: bool = False
    eventId: str | None = None  # noqa: N815
    replayId: str | None = None  # noqa: N815
    schemaId: str | None = None  # noqa: N815
    src: str | None = None
    gapTs: int | None = None  # noqa: N815
    snapshot: str | None = None

    @property
    def committed_at(self) -> datetime:
        """Return the commit's instant, exact to the millisecond."""
        return EPOCH + timedelta(milliseconds=self.commit.ts)


_decoder = msgspec.json.Decoder(ChangeRecord)


def decode_change(value: bytes | None) -> ChangeRecord:
    """Return the change record that `value` holds.

    Raises:
        SchemaError: no body, no JSON, another shape, a float among the values, another version than 1, a commit time
            out of range.
    """
    if value is None:
        raise SchemaError(Reason.UNKNOWN_SHAPE, "the record has no value; a Salesforce change record was expected")
    try:
        change = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _refusal(error, value) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(Reason.MALFORMED_JSON, f"not JSON: {error}") from error
    if change.v != 1:
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"version {change.v} of the change record is not known", "$.v")
    try:
        is_in_range = MINYEAR < change.committed_at.year < MAXYEAR  # at the edges a change of zone would leave it
    except OverflowError:
        is_in_range = False
    if not is_in_range:
        raise SchemaError(Reason.INVALID_TIME, f"{change.commit.ts} ms is no date", "$.commit.ts")
    return change


def _refusal(error: msgspec.ValidationError, value: bytes) -> SchemaError:
    text, _, path = str(error).partition(" - at `")
    path = path.rstrip("`") or "$"
    if not path.startswith("$.values["):
        return SchemaError(Reason.UNKNOWN_SHAPE, text, path)
    # msgspec does not say which key; a second, untyped reading finds it.
    for name, found in msgspec.json.decode(value)["values"].items():
        if isinstance(found, float):
            return SchemaError(
                Reason.FLOAT_AMOUNT, f"{found!r} is a float; write decimals as strings", f"$.values.{name}"
            )
        if isinstance(found, dict | list):
            return SchemaError(
                Reason.UNKNOWN_SHAPE, "a field's value is nested; write compounds dotted", f"$.values.{name}"
            )
    return SchemaError(Reason.UNKNOWN_SHAPE, text, path)
