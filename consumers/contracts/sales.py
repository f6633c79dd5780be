"""What a cut publishes beside accounts and subscriptions: opportunities, and usage that is kept in Salesforce.

Place     publication -> [this] -> opportunities, usage_records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fakturo.consumers.contracts import opportunities, store, usage_records
from fakturo.consumers.contracts.histories import Histories
from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.opportunities import Known, map_opportunity
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import Fields, Profile
from fakturo.consumers.contracts.usage_records import UsageRecord, map_usage
from fakturo.consumers.contracts.values import Unclear
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.events.contracts import AccountChanged
from fakturo.schemas.events.sales import OpportunityChanged

Told = tuple[str, str, Problem, datetime]
"""Role, root id, the sentence, and when we knew."""


@dataclass(slots=True)
class SalesRecords:
    """The opportunities and the usage that are due, and the orders that name the opportunities."""

    opportunities: Mapping[str, RecordHistory]
    usage: Mapping[str, RecordHistory]
    orders: Mapping[str, Sequence[RecordHistory]]

    def accounts(self, profile: Profile) -> set[str]:
        """Return the record ids of the accounts that are named."""
        wanted: set[str] = set()
        if profile.opportunity is not None:
            wanted |= _named(self.opportunities, profile.opportunity.account)
        if profile.usage is not None:
            wanted |= _named(self.usage, profile.usage.account)
        return wanted


def _named(histories: Mapping[str, RecordHistory], fields: Fields) -> set[str]:
    return {str(value) for history in histories.values() if (value := history.value(fields)) is not None}


async def load(tx: Transaction, histories: Histories, due: Sequence[tuple[str, str]], cut_at: datetime) -> SalesRecords:
    """Return the records of what is due, as (role, record id)."""
    profile = histories.profile
    named = [key for role, key in due if role == "opportunity"]
    pending = [key for role, key in due if role == "usage"]
    done = await usage_records.sent(tx.driver, pending) if pending else set()
    pairs = await store.sources_of(tx.driver, "opportunity", named) if named else []
    wanted = [*named, *(key for key in pending if key not in done), *(source for source, _ in pairs)]
    found = await histories.load(tx.driver, sorted(set(wanted)), cut_at) if wanted else {}
    orders: dict[str, list[RecordHistory]] = {}
    for source, target in pairs:
        if source in found and found[source].entity == profile.subscription.entity:
            orders.setdefault(target, []).append(found[source])
    return SalesRecords(
        opportunities={key: found[key] for key in named if key in found},
        usage={key: found[key] for key in pending if key in found and key not in done},
        orders=orders,
    )


async def publish(
    tx: Transaction, records: SalesRecords, accounts: Mapping[str, AccountChanged], profile: Profile
) -> list[Told]:
    """Publish what is complete; return what is not."""
    problems = await _publish_opportunities(tx, records, accounts, profile)
    return problems + await _publish_usage(tx, records, accounts, profile)


async def _publish_opportunities(
    tx: Transaction, records: SalesRecords, accounts: Mapping[str, AccountChanged], profile: Profile
) -> list[Told]:
    fields, problems, mapped = profile.opportunity, [], list[OpportunityChanged]()
    if fields is None or not records.opportunities:
        return []
    for record_id, history in records.opportunities.items():
        account = accounts.get(str(history.value(fields.account)))
        if account is None:
            continue
        known = Known(history, records.orders.get(record_id, []))
        try:
            mapped.append(map_opportunity(known, account, fields, profile.subscription))
        except Unclear as unclear:
            problems.append(_told("opportunity", history, str(unclear)))
    published = await opportunities.load_published(tx.driver, list(records.opportunities))
    await opportunities.publish(tx, mapped, published)
    return problems


async def _publish_usage(
    tx: Transaction, records: SalesRecords, accounts: Mapping[str, AccountChanged], profile: Profile
) -> list[Told]:
    fields, problems, mapped = profile.usage, [], list[UsageRecord]()
    if fields is None or not records.usage:
        return []
    orgs = await usage_records.orgs_of(tx.driver, fields.entity, list(records.usage))
    for record_id, history in records.usage.items():
        if not history.seen_whole or history.deleted_at() is not None:
            continue
        account = accounts.get(str(history.value(fields.account)))
        try:
            mapped.append(map_usage(history, orgs.get(record_id), account, fields))
        except Unclear as unclear:
            problems.append(_told("usage", history, str(unclear)))
    for one in await usage_records.publish(tx, mapped):
        text = f"has the identifier {one.event.id}, which another record has already; it is not counted again"
        problems.append(_told("usage", records.usage[one.record_id], text))
    return problems


def _told(role: str, history: RecordHistory, text: str) -> Told:
    problem = Problem(history.entity, history.record_id, f"{history.entity} {history.record_id} {text}.")
    return role, history.record_id, problem, history.recorded_at
