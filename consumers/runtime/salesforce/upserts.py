"""What became of each record of a write: collections (JSON) and Bulk 2.0 results (CSV) as one shape.

Place     the org's answers -> [this] -> Org.upsert, update, bulk_upsert -> crm_sync. Pure.
Source    REST API Developer Guide, "SaveResult"; Bulk API 2.0, "Get Job Successful / Failed Record Results".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakturo.consumers.runtime.salesforce.errors import LOCK_CODES

_BULK_ERROR = re.compile(r"([A-Z][A-Z0-9_]*):(.*?)(?:--)?", re.DOTALL)
UNPROCESSED = "UNPROCESSED"


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """One record's end: `code` and `message` are Salesforce's own, empty where it was written."""

    is_written: bool
    record_id: str | None = None
    is_created: bool = False
    code: str = ""
    message: str = ""

    @property
    def is_lock(self) -> bool:
        """Return whether another transaction held the row: try again."""
        return self.code in LOCK_CODES


def results_of(answer: Sequence[Mapping[str, Any]], count: int) -> list[UpsertResult]:
    """Return the results of a collection of `count` records.

    Raises:
        ValueError: the org answered for another number of records.
    """
    if len(answer) != count:
        raise ValueError(f"{len(answer)} results for {count} records")
    return [_result_of(item) for item in answer]


def _result_of(item: Mapping[str, Any]) -> UpsertResult:
    if item.get("success"):
        return UpsertResult(True, record_id=item.get("id"), is_created=bool(item.get("created")))
    errors = item.get("errors") or [{}]
    code = errors[0].get("statusCode") or errors[0].get("errorCode") or "UNKNOWN_EXCEPTION"
    return UpsertResult(False, record_id=item.get("id"), code=str(code), message=str(errors[0].get("message", "")))


def bulk_results_of(
    keys: Sequence[str],
    key_column: str,
    successful: Iterable[Mapping[str, str]],
    failed: Iterable[Mapping[str, str]],
    ended_by: str,
) -> list[UpsertResult]:
    """Return the results of the records with `keys`, in their order, from the rows of a job's result files.

    What is in neither file was not processed: the job failed, was aborted or ran out of time; `ended_by` says it.
    """
    found: dict[str, UpsertResult] = {}
    for row in successful:
        is_created = row.get("sf__Created") == "true"
        found[row.get(key_column, "")] = UpsertResult(True, record_id=row.get("sf__Id") or None, is_created=is_created)
    for row in failed:
        error = _BULK_ERROR.fullmatch(row.get("sf__Error", ""))
        code, message = (error[1], error[2]) if error else ("UNKNOWN_EXCEPTION", row.get("sf__Error", ""))
        found[row.get(key_column, "")] = UpsertResult(
            False, record_id=row.get("sf__Id") or None, code=code, message=message
        )
    missing = UpsertResult(False, code=UNPROCESSED, message=ended_by)
    return [found.get(key, missing) for key in keys]
