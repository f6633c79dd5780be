"""When a row that was read is sure not to be older than an event of the same second that is already published.

Place     snapshot, resync, reconciliation -> [this] -> Org.
Problem   stamps and commits are told to the second. A row read at 12:00:00.3 and an event of 12:00:00.7 have the same
          version; published in that order by arrival, the older value would win.
Rule      a row counts only once its stamp lies SETTLE_MS before the org's clock as it was before the reading: no later
          commit can have that stamp any more. Fresher rows are read again.
Hot       a record that changes all the time never settles. After some tries it goes out a millisecond older than its
          stamp: newer than every event of the seconds before, which it has seen, and older than an event of the same
          second, of which it cannot know. So no value is wrong, whichever comes first, and whether it comes or not.
"""

from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce.row_values import EPOCH, MILLISECOND

SETTLE_MS = 2_000
HOT_MS = 1
"""Stamps and commits are told to the second, so nothing else lies between a stamp and a millisecond before it."""


async def settled_ms(org: Org) -> int:
    """Return the newest stamp, in milliseconds since 1970, that a row read from now on may have and be settled."""
    return (await org.ask_time() - EPOCH) // MILLISECOND - SETTLE_MS


def hot_version_ms(stamp_ms: int) -> int:
    """Return the version of a row that would not settle."""
    return stamp_ms - HOT_MS
