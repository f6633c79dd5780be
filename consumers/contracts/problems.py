"""A sentence for an administrator: what of the CRM cannot be billed yet, and what to do about it.

Place     mapping and items -> [this] -> `contracts.incomplete`, shown by `fakturo status`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps the record `record_id` of `entity` from being billed."""

    entity: str
    record_id: str
    message: str
