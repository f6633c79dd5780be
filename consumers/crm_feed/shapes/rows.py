"""A whole row: what a snapshot, a poll or a re-read wrote, a SYNC record whose version is the row's own stamp.

Place     confluent_v2, osodevops -> [this] -> canonical. Pure.
Version   SystemModstamp, which every change of a row moves; LastModifiedDate where the row lacks it. A row with
          neither can't be set against a change, and is refused.
"""

from collections.abc import Mapping
from typing import Any

from fakturo.consumers.crm_feed.shapes.message import missing
from fakturo.consumers.crm_feed.shapes.times import milliseconds_of
from fakturo.schemas.events.change_data import Commit

STAMPS = ("SystemModstamp", "LastModifiedDate")


def row_version(row: Mapping[str, Any]) -> Commit:
    """Return the commit that stands for the version of `row`.

    Raises:
        SchemaError: it has no stamp, or one that is no instant.
    """
    for name in STAMPS:
        if row.get(name) is not None:
            return Commit(ts=milliseconds_of(row[name], f"$.{name}"))
    raise missing("SystemModstamp, without which a row's age is not known", "$.SystemModstamp")
