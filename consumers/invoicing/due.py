"""What is due: periods whose turn it is and periods to look at again, in groups that are one document each.

Place     handler.advance -> [this] -> billing, finalizing.
Rule      a group has one payer, seller, currency, instant, and cost centre where the payer splits by it. Of each payer
          the oldest group goes first; one that waits for a statement holds back what comes after it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fakturo.consumers.invoicing import contracts_store, corrections_store, statement_store
from fakturo.consumers.invoicing.corrections_store import Billed, CorrectionRow
from fakturo.consumers.invoicing.groups import DueGroup, Entry, GroupKey, ItemRow
from fakturo.consumers.invoicing.statement_store import Statements
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.schedule import version_at
from fakturo.schemas.events.contracts import AccountChanged, Subscription

EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Later than anything that is ready."""

ITEMS_MAX = 1000
"""How many due items one transaction looks for; it bills their payers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What the bills of some groups need to know; `before` is where the billed period before an entry ended."""

    accounts: Mapping[str, AccountChanged]
    subscriptions: Mapping[str, Subscription]
    statements: Statements
    billed: Mapping[tuple[str, datetime], Billed]
    before: Mapping[tuple[str, datetime], datetime]


async def find_groups(closed_at: datetime, at: datetime, tx: Transaction) -> list[DueGroup]:
    """Return the oldest groups that are due: items by `closed_at`, corrections by `at`."""
    items = await contracts_store.find_due_items(tx.driver, closed_at, at, ITEMS_MAX)
    rows = await corrections_store.ready(tx.driver, at, ITEMS_MAX)
    payers = {row.payer_id for row in items if row.payer_id} | {row.payer_id for row in rows if row.payer_id}
    if not payers:
        return []
    rows = await corrections_store.ready_of(tx.driver, payers, at)
    known = {(row.item, row.period) for row in rows}
    entries = [
        Entry(row=row, period=row.period, payer_id=row.payer_id, due_at=row.due_at)
        for row in items
        if row.period is not None and row.payer_id is not None and row.due_at is not None
    ]
    corrected = await contracts_store.find_items(tx.driver, (item for item, _ in known))
    entries += _corrections(rows, corrected, {entry.key for entry in entries})
    accounts = await contracts_store.find_accounts(tx.driver, payers)
    return oldest_groups(entries, accounts)


async def coming_groups(payer_id: str, tx: Transaction) -> list[DueGroup]:
    """Return the next document of a payer for each seller, currency and cost centre, due or not."""
    items = await contracts_store.find_coming_items(tx.driver, payer_id)
    rows = await corrections_store.ready_of(tx.driver, [payer_id], EVER)
    entries = [
        Entry(row=row, period=row.period, payer_id=payer_id, due_at=row.due_at)
        for row in items
        if row.period is not None and row.due_at is not None
    ]
    corrected = await contracts_store.find_items(tx.driver, (row.item for row in rows))
    entries += _corrections(rows, corrected, {entry.key for entry in entries})
    return oldest_groups(entries, await contracts_store.find_accounts(tx.driver, [payer_id]))


def _corrections(
    rows: Iterable[CorrectionRow], items: Mapping[str, ItemRow], next_keys: set[tuple[str, datetime]]
) -> list[Entry]:
    """Return the entries of the corrections; a period whose turn it is needs none."""
    return [
        Entry(
            row=items[row.item],
            period=row.period,
            payer_id=row.payer_id,
            due_at=row.due_at,
            is_next=False,
            running=row.running,
            reissues=row.reissues,
        )
        for row in rows
        if row.payer_id is not None
        and row.due_at is not None
        and row.item in items
        and (row.item, row.period.start_at) not in next_keys
    ]


def oldest_groups(entries: Iterable[Entry], payers: Mapping[str, AccountChanged]) -> list[DueGroup]:
    """Return, for each payer, seller, currency and cost centre, the entries of the oldest instant."""
    groups: dict[GroupKey, dict[datetime, list[Entry]]] = {}
    for entry in entries:
        key = _key(entry, payers.get(entry.payer_id))
        groups.setdefault(key, {}).setdefault(entry.due_at, []).append(entry)
    return [
        DueGroup(key=key, due_at=(oldest := min(dates)), entries=tuple(dates[oldest]))
        for key, dates in sorted(groups.items())
    ]


def _key(entry: Entry, payer: AccountChanged | None) -> GroupKey:
    is_split = payer is not None and version_at(payer.versions, entry.due_at).split_by_cost_centre
    return GroupKey(
        payer_id=entry.payer_id,
        currency=entry.row.currency,
        seller_code=entry.row.seller_code,
        cost_centre=(entry.row.item.cost_centre or "") if is_split else "",
        reissues=entry.reissues or "",
    )


async def read_book(groups: Sequence[DueGroup], tx: Transaction) -> Book:
    """Return what the bills of `groups` need to know."""
    entries = [entry for group in groups for entry in group.entries]
    account_ids = {entry.row.account_id for entry in entries} | {group.key.payer_id for group in groups}
    return Book(
        accounts=await contracts_store.find_accounts(tx.driver, account_ids),
        subscriptions=await contracts_store.find_subscriptions(
            tx.driver, (entry.row.subscription_id for entry in entries)
        ),
        statements=await statement_store.find_statements(tx.driver, entries),
        billed=await corrections_store.find_billed(tx.driver, entries),
        before=await corrections_store.billed_before(
            tx.driver, (entry for entry in entries if entry.row.item.meter is None)
        ),
    )


def missing(group: DueGroup, book: Book) -> str | None:
    """Return what the group waits for, as a sentence; "" for a final statement (the view says which), None: nothing."""
    if group.key.payer_id not in book.accounts:
        return f"account {group.key.payer_id}, which pays for it, is not known"
    if any(entry.row.account_id not in book.accounts for entry in group.entries):
        return "its account is not known"
    waits = any(entry.row.item.meter is not None and entry.key not in book.statements for entry in group.regular)
    return "" if waits else None


async def mark_waiting(groups: Iterable[tuple[DueGroup, str]], at: datetime, tx: Transaction) -> None:
    """Note that time `at` found the groups waiting, and for what."""
    for group, sentence in groups:
        await contracts_store.mark_tried(tx.driver, (entry.row.key for entry in group.regular), at, sentence or None)
        await corrections_store.mark_tried(tx.driver, (entry for entry in group.entries if not entry.is_next), at)
