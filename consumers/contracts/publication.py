"""Publication: what became due is derived from committed records and sent where its content changed.

Place     handler marks -> [this], called by `advance` and `flush` -> mapping -> outbox (`billing.contracts`).

Race      Two workers may hold records of one order from two topics at once; neither sees what the other has not
          committed. So `handle` derives nothing. It stores the record and appends a mark to `contracts.changed`, in
          one commit. Whoever publishes takes the publication lock, deletes the marks that it sees, and reads the
          records in *later* statements (READ COMMITTED: a later statement sees at least as much), so it reads every
          record whose mark it took. A mark that is not committed yet stays for the next publication, which then sees
          both records: whichever commits last causes the derivation that sees all. Marks have no unique key: an
          `ON CONFLICT DO NOTHING` against a mark that is being deleted would lose the newer change. What a record
          makes due beyond itself (an account's orders, a product's) is looked up here, not in `handle`, as there the
          other side might not be committed yet.

Cuts      In replay (`interim_seconds` = 0) a worker may have read ahead of the tick that is being processed. Then each
          stretch between two ticks is published by itself, in order, from the facts of that stretch and before, so
          that what is published does not depend on who was how fast. In live operation all that is known counts.

Ids       An event's id holds which version of its record it is, and a hash of what it says. The hash alone would come
          twice where a record goes back to what it was within one `recorded_at`, or a catalog does.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from fakturo.consumers.contracts import publication_store as due_store
from fakturo.consumers.contracts import sales, store
from fakturo.consumers.contracts.accounts import AccountDefaults, canonical_id, map_account
from fakturo.consumers.contracts.histories import Histories
from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.mapping import SubscriptionRecords, map_subscription
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.parents import find_parents
from fakturo.consumers.contracts.price_books import PriceBooks
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import ItemFields, Profile
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events import contracts as events
from fakturo.schemas.events.contracts import AccountChanged, Subscription, SubscriptionItem
from fakturo.schemas.topics import CONTRACTS

ROOTS_MAX = 500
"""How many accounts and subscriptions one transaction publishes."""

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

Root = tuple[str, str]
Content = AccountChanged | Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What is to be published of a record as its `version`th version; they are ordered account before subscription."""

    role: str
    record_id: str
    version: int
    event_type: str
    content: Content
    content_hash: bytes
    time: datetime

    @property
    def place(self) -> tuple[str, str, str]:
        """Return what orders it within a batch."""
        return self.content.account, self.role, self.record_id


@dataclass(slots=True)
class Batch:
    """What one step derives, before anything is written."""

    roots: Sequence[Root]
    offers: Offers
    outputs: list[Output] = field(default_factory=list)
    problems: list[tuple[str, str, Problem, datetime]] = field(default_factory=list)

    def add(
        self, root: Root, before: due_store.Published | None, event_type: str, content: Content, time: datetime
    ) -> None:
        """Note that `content` is to be published, unless it is what stands on the topic (`before`)."""
        content_hash = _content_hash(content)
        if before is not None and before.content_hash == content_hash:
            return
        role, record_id = root
        self.outputs.append(
            Output(
                role=role,
                record_id=record_id,
                version=due_store.version_after(before),
                event_type=event_type,
                content=content,
                content_hash=content_hash,
                time=time,
            )
        )

    def lacks(self, role: str, root_id: str, problems: Sequence[Problem], recorded_at: datetime) -> None:
        """Note what keeps the root from being billed."""
        self.problems.extend((role, root_id, problem, recorded_at) for problem in problems)


@dataclass(slots=True, kw_only=True)
class Publication:
    """Publishes accounts and subscriptions by one profile and the price list that holds."""

    profile: Profile
    books: PriceBooks
    defaults: AccountDefaults
    by_cuts: bool
    catalog_seen: bool = False

    async def step(self, tx: Transaction, before: datetime) -> bool:
        """Publish up to `ROOTS_MAX` of what is due (by cuts: of what came before the tick `before`).

        Returns whether more may remain.
        """
        driver = tx.driver
        await due_store.lock_publication(driver)
        await self._check_catalog(tx)
        cut_at = await due_store.due_cut(driver)
        if cut_at is None:
            cut_at = await due_store.next_cut(driver, before if self.by_cuts else END_OF_TIME)
            if cut_at is None:
                return False
            cut_at = cut_at if self.by_cuts else END_OF_TIME
            await due_store.expand_changes(driver, cut_at)
            await due_store.begin_cut(driver, cut_at)
        due = await due_store.take_due(driver, ROOTS_MAX)
        await self._publish(tx, due, cut_at)
        return True

    async def _check_catalog(self, tx: Transaction) -> None:
        """Make everything due again if the catalog file or the profile is not the one last published with."""
        if self.catalog_seen:
            return
        # In live operation the last cut is the end of time, and no later one would take up a mark of that time.
        cut_at = await tx.driver.fetchval("SELECT cut_at FROM contracts.publication") if self.by_cuts else None
        last_cut = cut_at or store.BEGINNING
        await self.books.keep_file(tx.driver, last_cut)
        both = hashlib.sha256(self.books.file_offers.fingerprint + self.profile.fingerprint).digest()
        if await due_store.catalog_changed(tx.driver, both):
            for entity in self.profile.entities():
                for name, roles in self.profile.reference_fields(entity).items():
                    await due_store.add_references(tx.driver, entity, name, roles)
            await due_store.mark_all(tx.driver, self.profile.roots, last_cut)
        else:
            self.catalog_seen = True  # only now is it certain that the marks of this catalog were committed

    async def _publish(self, tx: Transaction, due: Sequence[Root], cut_at: datetime) -> None:
        batch = Batch(due, await self.books.offers_at(tx.driver, cut_at))
        order_ids = [record_id for role, record_id in due if role == "subscription"]
        account_ids = [record_id for role, record_id in due if role == "account"]
        records = await self._load_orders(tx, order_ids, cut_at)
        orders = [found.order for found in records if found.order is not None]
        told = await sales.load(tx, Histories(self.profile), due, cut_at)
        wanted = {str(order.value(self.profile.subscription.account)) for order in orders} | told.accounts(self.profile)
        accounts = await self._accounts(tx, batch, account_ids, sorted(wanted - set(account_ids)), cut_at)
        await self._subscriptions(tx, batch, records, accounts)
        await self._write(tx, batch)
        batch.problems += await sales.publish(tx, told, accounts, self.profile)
        await due_store.save_problems(tx.driver, batch.roots, batch.problems)

    async def _load_orders(
        self, tx: Transaction, order_ids: Sequence[str], cut_at: datetime
    ) -> list[SubscriptionRecords]:
        item_fields = self.profile.item
        item_ids = [item_id for item_id, _ in await store.sources_of(tx.driver, "subscription", order_ids)]
        item_ids += order_ids if item_fields.is_own_subscription else []
        found = await self._histories(tx, [*order_ids, *item_ids], cut_at)
        items: dict[str, list[RecordHistory]] = {order_id: [] for order_id in order_ids}
        products: set[str] = set()
        for item_id in dict.fromkeys(item_ids):
            item = found.get(item_id)
            order_id = subscription_of(item, item_fields) if item else None
            if item is not None and order_id in items:
                items[order_id].append(item)
                products |= products_named(item, item_fields.product)
        known = await self._histories(tx, sorted(products), cut_at)
        return [
            SubscriptionRecords(
                order_id=order_id,
                order=found.get(order_id),
                items=items[order_id],
                products=_products_of(items[order_id], known, item_fields.product),
            )
            for order_id in order_ids
        ]

    async def _histories(self, tx: Transaction, ids: Sequence[str], cut_at: datetime) -> dict[str, RecordHistory]:
        return await Histories(self.profile).load(tx.driver, ids, cut_at)

    async def _accounts(
        self, tx: Transaction, batch: Batch, due: Sequence[str], others: Sequence[str], cut_at: datetime
    ) -> dict[str, AccountChanged]:
        """Return every account that stands on the topic, by record id; note those of `due` that changed."""
        found = await self._histories(tx, [*due, *others], cut_at)
        published = await due_store.load_published(tx.driver, "account", [*due, *others])
        names = {record_id: canonical_id(history, self.profile) for record_id, history in found.items()}
        holders = await due_store.holders_of(tx.driver, sorted({name for name in names.values() if name}))
        parents = await find_parents(found, self.profile, lambda ids: self._histories(tx, ids, cut_at), tx.driver)
        accounts: dict[str, AccountChanged] = {}
        arrived: list[str] = []
        defaults = replace(self.defaults, currency=batch.offers.currency)
        for record_id in sorted(found):
            before = published.get(record_id)
            if before is None and record_id not in due:
                continue
            account = before.account if before else names[record_id]
            if account is None:
                batch.lacks("account", record_id, [_not_whole(record_id)], found[record_id].recorded_at)
                continue
            mapped, problems = map_account(found[record_id], account, self.profile, defaults, parents)
            problems += _name_problems(record_id, names[record_id] or account, account, holders)
            taken = before is None and holders.get(account, record_id) != record_id
            if record_id in due:
                batch.lacks("account", record_id, problems, found[record_id].recorded_at)
            if mapped is None or taken:
                continue
            holders[account] = record_id
            accounts[record_id] = mapped
            root = ("account", record_id)
            batch.add(root, before, events.ACCOUNT_CHANGED, mapped, mapped.versions[-1].effective_at)
            if before is None:
                arrived.append(record_id)
        await due_store.wake_children(tx.driver, arrived)
        return accounts

    async def _subscriptions(
        self,
        tx: Transaction,
        batch: Batch,
        all_records: Sequence[SubscriptionRecords],
        accounts: Mapping[str, AccountChanged],
    ) -> None:
        published = await due_store.load_published(
            tx.driver, "subscription", [records.order_id for records in all_records]
        )
        for records in all_records:
            order, before = records.order, published.get(records.order_id)
            account = accounts.get(str(order.value(self.profile.subscription.account))) if order else None
            mapped, problems = map_subscription(records, account, batch.offers, self.profile)
            if mapped and before and mapped.account != before.account:
                problems.append(_moved(self.profile, records.order_id, before.account, mapped.account))
                mapped = None
            known = [*([order] if order else []), *records.items]
            recorded_at = max((history.recorded_at for history in known), default=_NEVER)
            batch.lacks("subscription", records.order_id, problems if known else [], recorded_at)
            if mapped is None or not (before or mapped.items):
                continue
            event_type = _event_type(mapped, first=before is None)
            time = max(found.effective_at for found in known)
            batch.add(("subscription", records.order_id), before, event_type, mapped, time)

    async def _write(self, tx: Transaction, batch: Batch) -> None:
        """Emit in the order (account, account before subscription, id), and keep what was published."""
        rows: list[due_store.PublishedRow] = []
        prices: list[tuple[SubscriptionItem, datetime]] = []
        for one in sorted(batch.outputs, key=lambda output: output.place):
            content, account, body = one.content, one.content.account, encode(one.content)
            event = event_of(
                agent=tx.agent,
                event_type=one.event_type,
                id=f"{one.role}/{one.record_id}/{one.version}/{hashlib.sha256(body).hexdigest()[:16]}",
                subject=account,
                time=one.time,
                data=content,
                recorded_at=content.recorded_at,
            )
            key_id = account if one.role == "account" else one.record_id
            tx.emit(CONTRACTS, event, account=account, key=f"{account}/{one.role}/{key_id}")
            rows.append(
                (
                    one.role,
                    one.record_id,
                    account,
                    one.content_hash,
                    one.event_type,
                    body.decode(),
                    content.recorded_at,
                    one.version,
                )
            )
            if isinstance(content, Subscription):
                prices.extend((item, content.recorded_at) for item in content.items)
        await due_store.save_published(tx.driver, rows)
        await due_store.save_price_versions(tx.driver, prices)


def _products_of(
    items: Sequence[RecordHistory], known: Mapping[str, RecordHistory], fields: Sequence[str]
) -> dict[str, RecordHistory]:
    ids = {product_id for item in items for product_id in products_named(item, fields)}
    return {product_id: known[product_id] for product_id in sorted(ids) if product_id in known}


def subscription_of(item: RecordHistory, fields: ItemFields) -> str | None:
    """Return the record id of the item's subscription: the one that it names, or itself where it may be one."""
    named = item.value(fields.subscription)
    return str(named) if named else item.record_id if fields.is_own_subscription else None


def products_named(item: RecordHistory, fields: Sequence[str]) -> set[str]:
    """Return the record ids of all products that the item ever had."""
    return {str(fact.value) for fact in item.facts if fact.field in fields and fact.value}


def _name_problems(record_id: str, wanted: str, account: str, holders: Mapping[str, str]) -> list[Problem]:
    """Say where an account id cannot be followed: it was published under another one, or another record holds it."""
    if wanted != account:
        text = f"Account {account} asks to be called {wanted}, but it was published as {account} and keeps that id."
        return [Problem("Account", record_id, text)]
    holder = holders.get(account, record_id)
    if holder != record_id:
        text = f"Account {record_id} has the number {account}, which {holder} has already; give it another one."
        return [Problem("Account", record_id, text)]
    return []


def _not_whole(record_id: str) -> Problem:
    text = (
        f"Account {record_id}: only changes of it have arrived, not the record itself; read it again from Salesforce."
    )
    return Problem("Account", record_id, text)


def _moved(profile: Profile, order_id: str, before: str, after: str) -> Problem:
    entity = profile.subscription.entity
    text = f"{entity} {order_id} was moved from account {before} to {after}; it stays with {before}"
    return Problem(entity, order_id, f"{text}. End it, make a new one.")


def _event_type(subscription: Subscription, *, first: bool) -> str:
    if first:
        return events.SUBSCRIPTION_STARTED
    return events.SUBSCRIPTION_CHANGED if subscription.ended_on is None else events.SUBSCRIPTION_ENDED


def _content_hash(content: Content) -> bytes:
    """Return the hash of what `content` says, without when we knew: the same content is not published again."""
    if isinstance(content, AccountChanged):
        versions = tuple(msgspec.structs.replace(version, recorded_at=_NEVER) for version in content.versions)
        bare: Content = msgspec.structs.replace(content, versions=versions, recorded_at=_NEVER)
    else:
        items = tuple(
            msgspec.structs.replace(
                item, terms=tuple(msgspec.structs.replace(terms, recorded_at=None) for terms in item.terms)
            )
            for item in content.items
        )
        bare = msgspec.structs.replace(content, items=items, recorded_at=_NEVER)
    return hashlib.sha256(encode(bare)).digest()
