"""What names a meter: the same in every database, however often and in whatever order meters were learnt.

Place     contracts -> [this] -> projection (the row of `usage.meter`), rateable (what a statement depends on). No I/O.
Whole     everything that the definition says counts (event type, aggregation, value, filters, dimensions), and the
          cadence of the item's periods where they are not calendar months. `usage.meter.meter_id` only stands for it
          in the tables that are read often: a sequence gives it, and a transaction that was rolled back burnt a number.
"""

from hashlib import sha256

from fakturo.engine.schedule import CALENDAR_MONTHS, cadence_of
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import SubscriptionItem


def hash_of(item: SubscriptionItem) -> str:
    """Return what names the item's meter: its definition and, beyond calendar months, the cadence of its periods."""
    cadence = cadence_of(item)
    return sha256(encode(item.meter if cadence == CALENDAR_MONTHS else [item.meter, *cadence])).hexdigest()
