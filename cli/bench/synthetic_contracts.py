"""Many synthetic accounts as they stand on `billing.contracts`: one item each, metered by `api.request`.

Place     usage.py -> [this]: records for `billing.contracts`, beside those of the flights (contracts.py).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from fakturo.cli.bench.usage_events import synthetic_account
from fakturo.consumers.runtime.transaction import CONTENT_TYPE, OutboxRow
from fakturo.engine.catalog.versions import content_hash
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import (
    ACCOUNT_CHANGED,
    SUBSCRIPTION_STARTED,
    AccountChanged,
    AccountVersion,
    ItemTax,
    ItemTerms,
    MeterDefinition,
    PriceVersion,
    Subscription,
    SubscriptionItem,
)
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import CONTRACTS

AGREED_AT = datetime(2012, 12, 1, tzinfo=UTC)
PRICE: dict[str, Any] = {
    "model": "graduated",
    "tiers": [
        {"up_to": "100", "unit_amount": "0.05"},
        {"up_to": "10000", "unit_amount": "0.02"},
        {"up_to": None, "unit_amount": "0.01"},
    ],
}
METER = MeterDefinition(code="requests", event_type="api.request", aggregation="sum", value="data.units")


def synthetic_rows(accounts: int, partitions: int, *, start_on: date, prefix: str = "B") -> Iterator[OutboxRow]:
    """Yield `accounts` accounts, each with a subscription that starts on `start_on`; no sequence is stamped."""
    for number in range(accounts):
        account = synthetic_account(number, prefix)
        yield _row(account, "account", ACCOUNT_CHANGED, _account(account, number), partitions)
        yield _row(account, "subscription", SUBSCRIPTION_STARTED, _subscription(account, start_on), partitions)


def _row(account: str, role: str, event_type: str, data: Any, partitions: int) -> OutboxRow:
    event = event_of(
        agent="contracts",
        event_type=event_type,
        id=f"{role}/{account}",
        subject=account,
        time=AGREED_AT,
        data=data,
        recorded_at=AGREED_AT,
    )
    key, partition = f"{account}/{role}/{account}".encode(), partition_for(account, partitions)
    return OutboxRow(CONTRACTS.name, partition, key, encode(event), (CONTENT_TYPE,))


def _account(account: str, number: int) -> AccountChanged:
    version = AccountVersion(
        effective_at=AGREED_AT,
        recorded_at=AGREED_AT,
        name=f"Bench {number}",
        timezone="UTC",
        terms_days=30,
        currency="USD",
        country="US",
    )
    return AccountChanged(
        account=account, salesforce_id=f"001BENCH{account[0]}{number:09}", versions=(version,), recorded_at=AGREED_AT
    )


def _subscription(account: str, start_on: date) -> Subscription:
    item = SubscriptionItem(
        subscription_item=f"{account}/requests",
        product_code="REQUEST",
        product_name="API request",
        billing="arrears",
        service_start_on=start_on,
        service_end_on=None,
        terms=(ItemTerms(effective_from=start_on, quantity=Decimal(1), recorded_at=AGREED_AT),),
        prices=(PriceVersion(effective_from=start_on, price=PRICE, hash=content_hash(PRICE)),),
        tax=ItemTax(category="standard", rate_percent=Decimal(0)),
        meter=METER,
        unit="request",
    )
    return Subscription(
        subscription_id=f"{account}/subscription",
        account=account,
        currency="USD",
        started_on=start_on,
        ended_on=None,
        items=(item,),
        recorded_at=AGREED_AT,
    )
