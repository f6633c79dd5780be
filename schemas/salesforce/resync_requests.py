"""What is asked to be read again from the org: records after a gap, an object after an overflow or a lost position.

Place     bridge (in the transaction of the gap event), crm_feed, `fakturo salesforce resync` -> [this], `sf.resync` ->
          the resync and snapshot workers of the bridge, which answer with SYNC rows on `sf.cdc.*`.
"""

import msgspec

PARTITION = 0
"""One partition: requests are few, and answered in the order in which they were made."""


class ResyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to read again.

    `record_ids` None means the whole object, read by a snapshot with deletion detection. `gap_ms` is the commit of the
    change whose content never came (what differs took effect then); None where no single change is known. The same
    cause gives the same `request_id`, so an answer is told apart from one to another cause.
    """

    org: str
    entity: str
    record_ids: tuple[str, ...] | None
    reason: str
    requested_at_ms: int
    request_id: str
    gap_ms: int | None = None


_decoder = msgspec.json.Decoder(ResyncRequest)


def decode_request(value: bytes) -> ResyncRequest:
    """Return the request that a record of `sf.resync` carries.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the value is none.
    """
    return _decoder.decode(value)
