"""Accounts and subscriptions as they were published last: what everything else is recomputed from.

Place     contracts.published -> [this] -> the other verify_* modules.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
import msgspec

from fakturo.schemas.events.contracts import AccountChanged, Subscription, SubscriptionItem
from fakturo.schemas.events.sales import OpportunityChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """What is published: accounts by id, subscriptions, and opportunities."""

    accounts: dict[str, AccountChanged]
    subscriptions: tuple[Subscription, ...]
    opportunities: tuple[OpportunityChanged, ...] = ()

    def items(self) -> Iterator[tuple[Subscription, SubscriptionItem]]:
        """Yield every item with its subscription."""
        for subscription in self.subscriptions:
            for item in subscription.items:
                yield subscription, item


async def read_contracts(connection: asyncpg.Connection) -> Contracts:
    """Return the accounts, subscriptions and opportunities as they were published last."""
    accounts: dict[str, AccountChanged] = {}
    subscriptions: list[Subscription] = []
    opportunities: list[OpportunityChanged] = []
    query = "SELECT role, content::text AS content FROM contracts.published ORDER BY role, record_id"
    for row in await connection.fetch(query):
        if row["role"] == "account":
            account = msgspec.json.decode(row["content"], type=AccountChanged)
            accounts[account.account] = account
        elif row["role"] == "subscription":
            subscriptions.append(msgspec.json.decode(row["content"], type=Subscription))
        elif row["role"] == "opportunity":
            opportunities.append(msgspec.json.decode(row["content"], type=OpportunityChanged))
    return Contracts(accounts=accounts, subscriptions=tuple(subscriptions), opportunities=tuple(opportunities))
