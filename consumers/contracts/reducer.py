"""Change records to facts: which field of which record has which value from which commit on.

Place     handler -> [this] -> store (`contracts.record`, `contracts.field_version`). Pure.
Rule      a field takes a value iff the commit is not older than the field's version; of equal commits the later arrival
          wins (Kafka keeps the order of one record). So repeats, snapshots and streams may arrive in any order.
Marks     deletion, gaps and "seen as a whole row" are fields too, with versions: `$deleted`, `$gap`, `$whole`. A record
          that a whole reading of its object did not find is `$swept`: deleted, but nobody told when (snapshots.py).
Source    reference: Salesforce Change Data Capture, change event body and gap events.
"""

import re
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, date, datetime
from decimal import Decimal
from typing import Any

from fakturo.consumers.contracts.profile import Profile
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import ChangeRecord

DELETED = "$deleted"
GAP = "$gap"
WHOLE = "$whole"
SWEPT = "$swept"
MARKS = frozenset({DELETED, GAP, WHOLE, SWEPT})
WHOLE_ROW = frozenset({"CREATE", "UNDELETE", "SYNC", "SNAPSHOT"})
_DECIMAL = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,12})?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,23})(\.[0-9]{1,12})?", re.ASCII)
_NOT_A_NUMBER = frozenset({"nan", "inf", "infinity", "+inf", "-inf", "-infinity", "+infinity"})

Facts = dict[str, Any]


@dataclass(slots=True)
class RecordState:
    """What a record is now: its values, and for each the commit (milliseconds) that gave it."""

    values: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    def apply(self, facts: Facts, committed_ms: int) -> Facts:
        """Take every fact that is not older than what is known of its field; return what the fields had that changed.

        A row that lives adds to `facts` that it is not swept any more, where it was.
        """
        if facts.get(DELETED) is False and self.values.get(SWEPT):
            facts[SWEPT] = False
        had: Facts = {}
        for name, value in facts.items():
            if committed_ms >= self.versions.get(name, committed_ms):
                if differs(value, self.values.get(name)):
                    had[name] = self.values.get(name)
                self.values[name] = value
                self.versions[name] = committed_ms
        return had


def differs(one: Any, other: Any) -> bool:
    """Return whether two values say different things: null and "" do not, nor do "1" and "1.00"; "007" is no number."""
    if one == other or {one, other} == {None, ""}:
        return False
    texts = (str(one), str(other))
    if isinstance(one, bool) or isinstance(other, bool) or not all(map(_PLAIN_NUMBER.fullmatch, texts)):
        return True
    return Decimal(texts[0]) != Decimal(texts[1])


def facts_of(change: ChangeRecord) -> Facts:
    """Return what `change` says of its record, field by field; marks included.

    Raises:
        SchemaError: a change type that we do not know, which no guess should turn into money.
    """
    kind = change.changeType
    if kind in WHOLE_ROW or (kind == "UPDATE" and change.full):
        return _whole_row(change)
    if kind == "UPDATE":
        return _changed_fields(change)
    if kind == "DELETE":
        return {DELETED: True}
    if kind.startswith("GAP_"):
        return {GAP: kind}
    raise SchemaError(Reason.UNKNOWN_TYPE, f"changeType {kind!r} is not known", "$.changeType")


def _whole_row(change: ChangeRecord) -> Facts:
    facts = {name: value for name, value in change.values.items() if name not in change.diff}
    facts.update(dict.fromkeys(change.nulled))
    facts[WHOLE] = True
    if change.changeType != "UPDATE":
        facts[DELETED] = change.changeType != "UNDELETE" and facts.get("IsDeleted") in (True, "true")
    if change.full or change.changeType in ("SYNC", "SNAPSHOT"):
        facts[GAP] = None
    return facts


def _changed_fields(change: ChangeRecord) -> Facts:
    """Return the named fields only: an unchanged field may stand in `values` as null. Text diffs are left out."""
    if not change.changed and not change.nulled:
        return {name: value for name, value in change.values.items() if name not in change.diff}
    named = frozenset(change.changed)
    facts = {
        name: value
        for name, value in change.values.items()
        if (name in named or name.partition(".")[0] in named) and name not in change.diff
    }
    facts.update(dict.fromkeys(change.nulled))
    return facts


def check_values(facts: Facts, entity: str, profile: Profile) -> None:
    """Refuse a number or a date that is none, before it claims an identity.

    Raises:
        SchemaError: a JSON float (it has lost digits somewhere), NaN, text that is no decimal, no date, no record id.
    """
    for name in profile.number_fields(entity):
        if facts.get(name) is not None:
            _check_number(facts[name], name)
    for name in profile.date_fields(entity):
        if facts.get(name) is not None:
            _check_date(facts[name], name)
    for name in profile.reference_fields(entity):
        if facts.get(name) is not None and not isinstance(facts[name], str):
            raise SchemaError(Reason.UNKNOWN_SHAPE, "a record id is text", f"$.values.{name}")


def _check_number(value: Any, name: str) -> None:
    path = f"$.values.{name}"
    if isinstance(value, float):
        raise SchemaError(Reason.FLOAT_AMOUNT, f"{value!r} is a float; write it as a decimal string", path)
    if isinstance(value, str) and value.strip().lower() in _NOT_A_NUMBER:
        raise SchemaError(Reason.NOT_A_NUMBER, f"{value!r} is no number", path)
    if isinstance(value, bool) or not _DECIMAL.fullmatch(str(value)):
        raise SchemaError(Reason.INVALID_AMOUNT, f"{value!r} is no decimal of at most 12 decimals", path)


def _check_date(value: Any, name: str) -> None:
    if not _is_date(value):
        text = f"{value!r} is no date (YYYY-MM-DD) and no instant (YYYY-MM-DDThh:mm:ssZ)"
        raise SchemaError(Reason.INVALID_TIME, text, f"$.values.{name}")


def _is_date(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        found = date.fromisoformat(value) if len(value) == len("2013-01-01") else _day_of_instant(value)
    except ValueError:
        return False
    # In the calendar's first and last year a change of zone would leave it; its very last day means "no end".
    return found is not None and (MINYEAR < found.year < MAXYEAR or found == date.max)


def _day_of_instant(value: str) -> date | None:
    at = datetime.fromisoformat(value) if "T" in value else None
    return at.date() if at is not None and at.tzinfo is not None else None
