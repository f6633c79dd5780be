"""What of a message has to be read again from the org: a gap, an overflow, a value that did not come whole.

Place     handler.py -> [this] -> `sf.resync`, which the bridge's resync worker answers. Pure.
Needs     to know the org: without it nobody is asked (the gap itself is published all the same, and contracts marks the
          records), and `fakturo salesforce resync` or the reconciliation mends it.
"""

from collections.abc import Sequence

from fakturo.consumers.crm_feed.shapes.canonical import is_unknown_many
from fakturo.schemas.events.change_data import ChangeRecord
from fakturo.schemas.salesforce.resync_requests import ResyncRequest


def request_for(changes: Sequence[ChangeRecord], requested_at_ms: int) -> ResyncRequest | None:
    """Return the request to read again what `changes`, all of one message, leave open; None where that is nothing."""
    if not changes or changes[0].org is None:
        return None
    change = changes[0]
    reason = _reason(change)
    if reason is None:
        return None
    is_whole = reason == "overflow" or any(is_unknown_many(one.recordId) for one in changes)
    return ResyncRequest(
        org=changes[0].org,
        entity=change.entity,
        record_ids=None if is_whole else tuple(one.recordId for one in changes),
        gap_ms=change.commit.ts,
        reason=reason,
        requested_at_ms=requested_at_ms,
        request_id=f"crm_feed/{change.eventId}",
    )


def _reason(change: ChangeRecord) -> str | None:
    if change.changeType == "GAP_OVERFLOW":
        return "overflow"
    if change.changeType.startswith("GAP_"):
        return "gap"
    return "text_diff" if change.diff else None
