"""Who pays for an account: its parent's account id, and the accounts whose payers lead back to themselves.

Place     publication -> [this] -> accounts (`AccountVersion.bill_to`).
Circle    payers are followed by what the records say now; a walk that comes back to its start is a circle.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import asyncpg

from fakturo.consumers.contracts import publication_store as due_store
from fakturo.consumers.contracts.accounts import Parents, payer_record
from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.profile import Profile

LEVELS_MAX = 50
"""Salesforce itself warns of deeper hierarchies; beyond them nobody is followed."""

Load = Callable[[Sequence[str]], Awaitable[dict[str, RecordHistory]]]


async def find_parents(
    accounts: Mapping[str, RecordHistory], profile: Profile, load: Load, driver: asyncpg.Connection
) -> Parents:
    """Return the parents of `accounts` that are published, and which accounts are in a circle of payers."""
    named = {parent for history in accounts.values() for parent in _parents_named(history, profile)}
    if not named:
        return Parents()
    published = await due_store.load_published(driver, "account", sorted(named))
    known = dict(accounts)
    for _ in range(LEVELS_MAX):
        payers = {payer_record(history, profile.account) for history in known.values()}
        missing = sorted(payer for payer in payers if payer is not None and payer not in known)
        found = await load(missing) if missing else {}
        if not found:
            break
        known |= found
    circular = frozenset(record_id for record_id in accounts if _leads_back(record_id, known, profile))
    return Parents(ids={record_id: row.account for record_id, row in published.items()}, circular=circular)


def _parents_named(history: RecordHistory, profile: Profile) -> set[str]:
    fields = profile.account.parent
    return {str(fact.value) for fact in history.facts if fact.field in fields and fact.value}


def _leads_back(record_id: str, known: Mapping[str, RecordHistory], profile: Profile) -> bool:
    payer = payer_record(known[record_id], profile.account)
    for _ in range(LEVELS_MAX):
        if payer is None or payer not in known:
            return False
        if payer == record_id:
            return True
        payer = payer_record(known[payer], profile.account)
    return False
