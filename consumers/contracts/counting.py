"""The contracts agent's own metrics, counted once the transaction has committed.

Place     handler -> [this] -> runtime/metrics. The label `entity` is a closed set: objects with a topic of their own
          and those of the profile; all else is `other`.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from prometheus_client import Counter as Family

from fakturo.consumers.contracts.drift import Drift
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.reducer import MARKS
from fakturo.consumers.contracts.store import Change, ObjectGap
from fakturo.consumers.runtime import metrics
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.topics import SF_OTHER, change_data_topic


def count_drift(found: Collection[Drift], profile: Profile, tx: Transaction) -> None:
    """Count the values that a reconciliation had to correct."""
    _later(Counter(_label(one.change.entity, profile) for one in found), metrics.CRM_DRIFT, tx)


def count_gaps(gaps: Sequence[ObjectGap], profile: Profile, tx: Transaction) -> None:
    """Count the gaps that name no record."""
    _later(Counter(_label(gap.entity, profile) for gap in gaps), metrics.CRM_OBJECT_GAPS, tx)


def count_unmapped(changes: Sequence[Change], profile: Profile, tx: Transaction) -> None:
    """Count the values that are only kept: of objects and of fields that the profile does not read."""
    numbers: Counter[str] = Counter()
    for change in changes:
        read = profile.fields_of(change.entity)
        unread = sum(1 for name in change.facts if name not in MARKS and name not in read)
        numbers[_label(change.entity, profile)] += unread
    _later(numbers, metrics.CRM_UNMAPPED, tx)


def _label(entity: str, profile: Profile) -> str:
    known = change_data_topic(entity) is not SF_OTHER or entity in profile.entities()
    return entity if known else "other"


def _later(numbers: Counter[str], family: Family, tx: Transaction) -> None:
    def count() -> None:
        for entity, number in numbers.items():
            family.labels(entity).inc(number)

    if numbers:
        tx.committed.append(count)
