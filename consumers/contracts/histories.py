"""Histories of records as the mapping reads them: values under our names, and derived fields filled in.

Place     store -> [this] -> publication. Records that a reference leads to are loaded with those that refer to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fakturo.consumers.contracts import store
from fakturo.consumers.contracts.derived import targets_of, with_derived, with_values
from fakturo.consumers.contracts.field_paths import HOPS_MAX
from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.reducer import MARKS


@dataclass(frozen=True, slots=True)
class Histories:
    """Loads histories by one profile."""

    profile: Profile

    async def load(self, driver: asyncpg.Connection, ids: Sequence[str], cut_at: datetime) -> dict[str, RecordHistory]:
        """Return the histories of the records in `ids`, by record id, as known before the tick after `cut_at`."""
        found = await self._read(driver, ids, cut_at)
        known = dict(found)
        for _ in range(HOPS_MAX):
            missing = self._targets(found, known) - known.keys()
            more = await self._read(driver, sorted(missing), cut_at) if missing else {}
            if not more:
                break
            known |= more
        return {record_id: completed(history, self.profile, known) for record_id, history in found.items()}

    async def _read(self, driver: asyncpg.Connection, ids: Sequence[str], cut_at: datetime) -> dict[str, RecordHistory]:
        read = await store.load_histories(driver, ids, (*self.profile.mapped_fields, *MARKS), cut_at)
        return {key: with_values(history, self.profile.value_maps(history.entity)) for key, history in read.items()}

    def _targets(self, found: Mapping[str, RecordHistory], known: Mapping[str, RecordHistory]) -> set[str]:
        derived = self.profile.derived
        return {key for one in found.values() for key in targets_of(one, derived(one.entity), known)}


def completed(history: RecordHistory, profile: Profile, known: Mapping[str, RecordHistory]) -> RecordHistory:
    """Return `history` with its derived fields; `known` are the records that references may lead to."""
    derived = profile.derived(history.entity)
    return with_derived(history, derived, known) if derived else history
