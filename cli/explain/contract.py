"""What the contract says of an item: its prices, its account's zone, and the item in the form that its agent rates.

Place     usage.subscription_item, invoicing.subscription_item -> [this] -> metered, licensed.
"""

from dataclasses import dataclass

import asyncpg
import msgspec

from fakturo.cli.explain.answer import PriceUsed
from fakturo.consumers.usage.rateable import DueItem
from fakturo.consumers.usage.statement_store import due_of
from fakturo.engine.contracts import terms_at
from fakturo.engine.periods import Period, local_date
from fakturo.engine.schedule import version_at
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, Subscription, SubscriptionItem

_CONTRACT = """
SELECT i.subscription_id, i.account_id, i.currency, i.content::text AS content, a.content::text AS account
  FROM invoicing.subscription_item i JOIN invoicing.account a USING (account_id) WHERE i.subscription_item = $1
"""
_DUE = """
SELECT i.subscription_item, i.subscription_id, i.account_id, i.currency, i.meter_id, i.content, i.recorded_at,
       i.removed, $2::timestamptz AS period_start_at, $3::timestamptz AS period_end_at, a.content AS account,
       m.definition
  FROM usage.subscription_item i
  JOIN usage.account a USING (account_id)
  JOIN usage.meter m USING (meter_id)
 WHERE i.subscription_item = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """An item as invoicing knows it."""

    subscription_id: str
    account_id: str
    currency: str
    item: SubscriptionItem
    versions: tuple[AccountVersion, ...]

    def zone(self, period: Period) -> str:
        """Return the zone in which the item's `period` is counted."""
        return version_at(self.versions, period.start_at).timezone

    def price(self, price_hash: str | None, period: Period) -> PriceUsed | None:
        """Return the price version with that hash as it held at the start of `period`; None where none has it."""
        on = local_date(period.start_at, self.zone(period))
        found = [one for one in self.item.prices if one.hash == price_hash]
        if not found:
            return None
        version = max(found, key=lambda one: (one.effective_from <= on, one.effective_from))
        later = [one.effective_from for one in self.item.prices if one.effective_from > version.effective_from]
        terms = terms_at(self.item.terms, on)
        return PriceUsed(
            hash=version.hash,
            model=str(version.price.get("model")),
            currency=self.currency,
            effective_from=version.effective_from,
            effective_until=min(later, default=None),
            own_unit_amount=terms.own_unit_amount,
            own_discount_percent=terms.discount_percent,
            document=version.price,
        )


async def contract_of(connection: asyncpg.Connection, item: str) -> Contract | None:
    """Return the contract of an item, or None where the book has none (a commitment's line)."""
    row = await connection.fetchrow(_CONTRACT, item)
    if row is None:
        return None
    return Contract(
        subscription_id=row["subscription_id"],
        account_id=row["account_id"],
        currency=row["currency"],
        item=msgspec.json.decode(row["content"], type=SubscriptionItem),
        versions=msgspec.json.decode(row["account"], type=AccountChanged).versions,
    )


async def due_item(connection: asyncpg.Connection, item: str, period: Period) -> DueItem | None:
    """Return a metered item with `period`, as the usage agent rates it."""
    rows = await connection.fetch(_DUE, item, period.start_at, period.end_at)
    return due_of(rows)[0] if rows else None


async def subscription_of(connection: asyncpg.Connection, subscription_id: str) -> Subscription | None:
    """Return a subscription without its items."""
    content = await connection.fetchval(
        "SELECT content::text FROM invoicing.subscription WHERE subscription_id = $1", subscription_id
    )
    return None if content is None else msgspec.json.decode(content, type=Subscription)
