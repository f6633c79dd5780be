"""One order with one item, as Salesforce's change records say it: tests change it and look at what it means."""

from datetime import date
from types import SimpleNamespace
from typing import Any

from fakturo.consumers.contracts.accounts import AccountDefaults, canonical_id, map_account
from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.mapping import SubscriptionRecords, map_subscription
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.contracts.reducer import facts_of
from fakturo.engine.catalog import parse_catalog
from fakturo.schemas.codec import encode
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.events.contracts import Subscription, SubscriptionItem

PROFILE = load_profile()
ACCOUNT, ORDER, ITEM = "001NY0000000002YAA", "801NY0000000002YAA", "802NY0000000006YAA"
BASIC, PRO, CALLS = "01tNY0000000001YAA", "01tNY0000000002YAA", "01tNY0000000003YAA"
NEW_YEAR = date(2026, 1, 1)


def _licensed(name: str, amount: str, **fields: Any) -> dict[str, Any]:
    price = {"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": amount, "licensed": True}
    return {"name": name, "prices": [price, price | {"currency": "DKK"}], **fields}


OFFERS = Offers.of(
    parse_catalog(
        {
            "currency": "EUR",
            "meters": {"calls": {"event_type": "api.call", "aggregation": "count"}},
            "products": {
                "BASIC": _licensed("Basic", "10"),
                "PRO": _licensed("Pro", "30", billing="advance", anchor="service_start", trial_days=14),
                "CALLS": {
                    "name": "Calls",
                    "meter": "calls",
                    "allowance": {"months": 12},
                    "alerts": [{"quantity": "100"}, {"amount": "500"}],
                    "prices": [{"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": "1"}],
                },
            },
            "sellers": {"DK": {"name": "Fakturo ApS", "country": "DK", "currency": "DKK"}},
            "coupons": {
                "TEN": {"description": "Ten per cent", "percent": "10"},
                "FIVE": {"description": "Five euros", "amount": "5"},
            },
            "loyalty": {"MILES": {"points_per_unit": "1", "point_amount": "0.01"}},
        }
    )
)


def histories_of(changes: list[dict[str, Any]]) -> dict[str, RecordHistory]:
    """Return the history of each record that `changes` speak of, by its id; they arrived in their order."""
    facts: dict[tuple[str, str], list[Fact]] = {}
    for arrival, value in enumerate(changes):
        read = decode_change(encode(value))
        at = read.committed_at
        facts.setdefault((read.entity, read.recordId), []).extend(
            Fact(field=name, value=content, effective_at=at, recorded_at=at, arrival=arrival)
            for name, content in facts_of(read).items()
        )
    return {key[1]: RecordHistory.of(*key, found) for key, found in facts.items()}


def quantities(item: SubscriptionItem) -> list[tuple[date, int]]:
    """Return from which day the item has how many."""
    return [(terms.effective_from, int(terms.quantity)) for terms in item.terms]


class Org:
    """The change records of one order with one item; `set` commits a change."""

    def __init__(self, crm: SimpleNamespace, order: dict[str, Any] | None = None, **item: Any) -> None:
        self._change, at = crm.change, "2025-12-15T12:00:00Z"
        values = {"AccountId": ACCOUNT, "StatusCode": "Activated", "EffectiveDate": "2026-01-01", **(order or {})}
        item = {"OrderId": ORDER, "Product2Id": BASIC, "Quantity": "5", **item}
        self.changes = [
            crm.change("Account", ACCOUNT, at, AccountNumber="A", Name="A", Fakturo_Timezone__c="Europe/Copenhagen"),
            crm.change("Order", ORDER, at, **values),
            *(
                crm.change("Product2", key, at, ProductCode=code)
                for key, code in {BASIC: "BASIC", PRO: "PRO", CALLS: "CALLS"}.items()
            ),
            crm.change("OrderItem", ITEM, at, **item),
        ]

    def set(self, entity: str, at: str, **values: Any) -> "Org":
        record_id = ORDER if entity == "Order" else ITEM
        self.changes.append(self._change(entity, record_id, f"{at}T12:00:00Z", "UPDATE", **values))
        return self

    def map(self, offers: Offers = OFFERS) -> tuple[Subscription | None, list[str]]:
        found = histories_of(self.changes)
        defaults = AccountDefaults(timezone="UTC", currency="EUR")
        account, _ = map_account(found[ACCOUNT], canonical_id(found[ACCOUNT], PROFILE) or "?", PROFILE, defaults)
        records = SubscriptionRecords(
            order_id=ORDER,
            order=found[ORDER],
            items=[found[ITEM]],
            products={key: found[key] for key in (BASIC, PRO, CALLS)},
        )
        subscription, problems = map_subscription(records, account, offers, PROFILE)
        return subscription, [problem.message for problem in problems]

    def items(self) -> list[SubscriptionItem]:
        subscription, problems = self.map()
        assert problems == []
        assert subscription is not None
        return list(subscription.items)
