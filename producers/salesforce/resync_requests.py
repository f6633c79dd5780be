"""A request to read something again, as the bridge puts it on `sf.resync` beside what it publishes.

Place     stream (in the transaction of the gap event), `fakturo salesforce resync` -> [this] -> publishing. The request
          itself, which crm_feed makes too, is in schemas/salesforce/resync_requests.py.
"""

import msgspec

from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.schemas.salesforce.resync_requests import PARTITION, ResyncRequest, decode_request
from fakturo.schemas.topics import SF_RESYNC

__all__ = ["PARTITION", "ResyncRequest", "decode_request", "request_record"]

_encoder = msgspec.json.Encoder()


def request_record(request: ResyncRequest) -> Outgoing:
    """Return the record on `sf.resync` that carries `request`."""
    return Outgoing(
        topic=SF_RESYNC.name,
        partition=PARTITION,
        key=request.entity.encode(),
        value=_encoder.encode(request),
        timestamp_ms=request.requested_at_ms,
    )
