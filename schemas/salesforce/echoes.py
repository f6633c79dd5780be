"""Our own writes, coming back as change events: recognised, so that they are dropped and never answered.

Place     bridge and crm_feed -> [this]. Pure.
Rule      our client made the change, and it is an update that touches nothing but fields of ours and those that
          Salesforce sets by itself, or a record of an object of ours created, deleted or restored. Somebody else's
          change of the same field is no echo: nothing is dropped that we did not write.
Source    reference 2.2 and 5.1: `changeOrigin` ends with `client=<the name in Sforce-Call-Options>`.
"""

from fakturo.schemas.events.change_data import ChangeRecord
from fakturo.schemas.salesforce.written_fields import OBJECT_BY_NAME, written_names

SYSTEM_FIELDS = frozenset({"LastModifiedDate", "LastModifiedById", "SystemModstamp"})
"""What every update sets, whoever makes it."""


def is_echo(change: ChangeRecord, client_name: str) -> bool:
    """Return whether `change` tells of nothing but what we wrote under `client_name`."""
    written = OBJECT_BY_NAME.get(change.entity)
    if written is None or not client_name or _client_of(change) != client_name:
        return False
    if change.changeType == "UPDATE":
        touched = {*change.changed, *change.nulled, *change.diff}
        return bool(touched) and touched <= written_names(change.entity) | SYSTEM_FIELDS
    return written.is_ours and change.changeType in ("CREATE", "DELETE", "UNDELETE")


def _client_of(change: ChangeRecord) -> str:
    _, found, client = (change.commit.origin or "").rpartition("client=")
    return client.strip("/; ") if found else ""
