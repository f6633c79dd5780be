"""What the org's answer to a row asks for: done, again later, its parent first, or an administrator.

Place     pushing -> [this] -> push_store. Pure.
Again     a lock is always tried again. What two writers or a record in the bin can cause is tried `TRIES_MAX` times:
          an upsert makes a record anew that is gone.
Refused   kept with a sentence; sent again when the row changes, or on `fakturo salesforce retry`.
Source    SOAP API Developer Guide, "StatusCode"; reference/salesforce.md, 5.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fakturo.consumers.crm_sync.sending import TakenRow
from fakturo.consumers.runtime.salesforce.upserts import UpsertResult
from fakturo.schemas.salesforce.written_fields import ACCOUNT, OBJECT_BY_NAME

TRIES_MAX = 5
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 1.0, 600.0

BUSY = frozenset(
    {
        *("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG", "QUERY_TIMEOUT"),
        *("UNPROCESSED", "PROCESSING_HALTED", "EXCEEDED_MAX_SEMAPHORE_LIMIT", "ALL_OR_NONE_OPERATION_ROLLED_BACK"),
    }
)
"""Codes that say nothing about the row."""

GONE = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"})
"""Codes that say that a record, or the one it refers to, is in the bin."""

PASSING = GONE | {"DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID", "UNKNOWN_EXCEPTION"}
"""Codes that a second try may mend."""

NO_PARENT = "foreign key external id"
"""How a message begins that says that the parent is not there (code INVALID_FIELD)."""

WRONG_OBJECT = frozenset({"NOT_FOUND", "INVALID_TYPE", "INVALID_FIELD", "INSUFFICIENT_ACCESS", "CANNOT_INSERT_UPDATE"})
"""Codes of a whole request that say that the object is not as we write it: no other row of it would do better."""

LACKING = frozenset({"INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE"})
"""Codes of a row that say so; if all rows have one, none would do better."""

_DEPLOY = "Deploy the package of `fakturo salesforce setup` and give its permission set to the integration user."
HINTS: Mapping[str, str] = MappingProxyType(
    {
        "INVALID_FIELD": _DEPLOY,
        "INVALID_TYPE": _DEPLOY,
        "NOT_FOUND": _DEPLOY,
        "INVALID_FIELD_FOR_INSERT_UPDATE": "Let the integration user edit the field (field-level security).",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "A trigger or flow of the org fails on it: mend that.",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org refuses it: let ours pass.",
        "REQUIRED_FIELD_MISSING": "The org asks for a field that we do not write: give it a default.",
        "INSUFFICIENT_ACCESS_OR_READONLY": "Give the permission set of `fakturo salesforce setup` to the user.",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "Let the integration user edit the account.",
        "STORAGE_LIMIT_EXCEEDED": "The org's data storage is full.",
        "STRING_TOO_LONG": "The field is shorter in the org than in our package.",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "Add the value to the picklist.",
    }
)
"""What to do about a code; what is not here speaks for itself."""


class Outcome(StrEnum):
    """What becomes of a row."""

    WRITTEN = "written"
    AGAIN = "again"
    PARENT_GONE = "parent_gone"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A row with what becomes of it; `failure` is a sentence, empty where it was written."""

    row: TakenRow
    outcome: Outcome
    record_id: str | None = None
    is_created: bool = False
    failure: str = ""
    code: str = ""


def judge(row: TakenRow, result: UpsertResult) -> Judged:
    """Return what becomes of `row`."""
    if result.is_written:
        record_id = result.record_id or row.record_id
        return Judged(row=row, outcome=Outcome.WRITTEN, record_id=record_id, is_created=result.is_created)
    failure = sentence(row, result.code, result.message)
    return Judged(row=row, outcome=_outcome(row, result), failure=failure, code=result.code)


def speaks_of_the_object(judged: Sequence[Judged]) -> str:
    """Return what is wrong if every row was refused for what its object lacks in the org; "" otherwise."""
    about_the_object = all(one.outcome is Outcome.REFUSED and one.code in LACKING for one in judged)
    return judged[0].failure if judged and about_the_object else ""


def sentence(row: TakenRow, code: str, message: str) -> str:
    """Return what is wrong with a row, for an administrator: what, where, why and what to do."""
    label = OBJECT_BY_NAME[row.entity].label
    hint = HINTS.get(code, "")
    if row.entity == ACCOUNT and code in GONE:
        hint = "The account was deleted in Salesforce: take it out of the bin, or let its contracts go."
    said = message.strip().rstrip(".") or "no message"
    return f"{label} {row.sent_key}: {said} ({code}). {hint}".strip()


def retry_seconds(attempts: int, jitter: float) -> float:
    """Return the pause before try number `attempts` + 1: it doubles; `jitter` from 0 to 1 takes up to half of it."""
    pause = min(PAUSE_SECONDS_MIN * 2.0 ** min(attempts, 20), PAUSE_SECONDS_MAX)
    return pause * (1 - jitter / 2)


def _outcome(row: TakenRow, result: UpsertResult) -> Outcome:
    if result.code in BUSY:
        return Outcome.AGAIN
    if row.attempts + 1 >= TRIES_MAX:
        return Outcome.REFUSED
    if row.parent_key is not None and (result.code in GONE or NO_PARENT in result.message.lower()):
        return Outcome.PARENT_GONE
    is_deleted_account = row.entity == ACCOUNT and result.code in GONE
    return Outcome.AGAIN if result.code in PASSING and not is_deleted_account else Outcome.REFUSED
