"""A record as the org is to hold it: its fields as texts, and the hash by which a change is seen.

Place     documents, account_fields -> [this] -> written_store -> pusher.
Fields    by the names of schemas/salesforce/written_fields, without the key. `Account__c` is filled when the row is
          sent, since a row does not change with the record id of its account.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from fakturo.schemas.codec import encode

_decoder = msgspec.json.Decoder(dict[str, str | None])


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredRow:
    """One record: `key` is its external id, of an Account the account; `fields` None where it is not to be there."""

    entity: str
    key: str
    account: str
    parent_key: str | None = None
    fields: Mapping[str, str | None] | None

    @property
    def stored_fields(self) -> str | None:
        """Return the fields as JSON with sorted names."""
        return None if self.fields is None else encode(self.fields).decode()

    @property
    def hash(self) -> bytes:
        """Return what two rows share that say the same."""
        return hash_of(self.account, self.parent_key, self.stored_fields)


def hash_of(account: str, parent_key: str | None, stored_fields: str | None) -> bytes:
    """Return the SHA-256 of all that is sent of a row but the record id of its account."""
    return hashlib.sha256(encode([account, parent_key, stored_fields])).digest()


def read_fields(stored_fields: str) -> dict[str, str | None]:
    """Return what `stored_fields` holds."""
    return _decoder.decode(stored_fields.encode())
