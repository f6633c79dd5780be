"""Seeded work of a company in its org: records made, changed, deleted and brought back, one commit after the other.

Place     test_salesforce.py -> [this] -> SandboxOrg; org_history.py listens. The same seed gives the same work.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.transactions import Transaction

FIRST_ON = date(2026, 1, 1)
STANDARD_BOOK = "Pricebook2"
BIG_TRANSACTION = 60
STAGES = ("Prospecting", "Qualification", "Negotiation/Review", "Closed Won", "Closed Lost")


@dataclass
class Company:
    """The people who work in the org. `changed` counts the record changes that they have committed."""

    org: SandboxOrg
    dice: random.Random
    changed: int = 0
    ids: dict[str, list[str]] = field(default_factory=dict)
    deleted: dict[str, list[str]] = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        self.org.listeners.append(lambda committed: self._count(len(committed.changes)))
        self._works: list[tuple[int, Callable[[Transaction], None]]] = [
            (30, self._change_items),
            (12, self._reprice),
            (10, self._change_accounts),
            (8, self._change_orders),
            (8, self._new_order),
            (6, self._change_opportunities),
            (6, self._change_contacts),
            (4, self._new_account),
            (4, self._clear_fields),
            (3, self._delete_items),
            (3, self._undelete_items),
            (2, self._same_change_of_many),
            (2, self._move_addresses),
            (2, self._change_twice),
        ]

    def found(self, accounts: int, products: int) -> None:
        """Make the records that are there before anybody listens."""
        with self.org.transaction(client="setup") as tx:
            book = next(iter(self.org.tables[STANDARD_BOOK]))
            model = tx.insert(
                "ProductSellingModel",
                {"Name": "Monthly", "SellingModelType": "Evergreen", "PricingTermUnit": "Months", "PricingTerm": 1},
            )
            for number in range(products):
                product = tx.insert("Product2", {"Name": f"Product {number}", "ProductCode": f"p{number}"})
                entry = {"Pricebook2Id": book, "Product2Id": product, "UnitPrice": Decimal(10 + number)}
                self._keep("Product2", product)
                self._keep("PricebookEntry", tx.insert("PricebookEntry", {**entry, "ProductSellingModelId": model}))
        for _ in range(accounts):
            with self.org.transaction(client="setup") as tx:
                self._new_account(tx)
            with self.org.transaction(client="setup") as tx:
                self._new_order(tx)

    def work(self) -> None:
        """Commit one transaction."""
        weights = [weight for weight, _ in self._works]
        (_, act) = self.dice.choices(self._works, weights)[0]
        with self.org.transaction(client="sales") as tx:
            act(tx)

    def change_one(self, entity: str) -> str:
        """Commit one change of one record of `entity`; return its id."""
        record_id = self._some(entity)
        with self.org.transaction(client="sales") as tx:
            tx.update(entity, record_id, {"Description": self._text("one")})
        return record_id

    def change_all(self, entity: str) -> None:
        """Change every record of `entity` in one transaction, each in its own way."""
        with self.org.transaction(client="migration") as tx:
            for record_id in self.ids[entity]:
                tx.update(entity, record_id, {"Description": self._text("all")})

    def _count(self, number: int) -> None:
        self.changed += number

    def _keep(self, entity: str, record_id: str) -> str:
        self.ids.setdefault(entity, []).append(record_id)
        return record_id

    def _some(self, entity: str) -> str:
        return self.dice.choice(self.ids[entity])

    def _few(self, entity: str, most: int) -> list[str]:
        known = self.ids[entity]
        return self.dice.sample(known, min(len(known), self.dice.randint(1, most)))

    def _text(self, what: str) -> str:
        self._number += 1
        return f"{what} {self._number}"

    def _day(self) -> date:
        return FIRST_ON + timedelta(days=self.dice.randrange(365))

    def _new_account(self, tx: Transaction) -> None:
        self._number += 1
        values = {
            "Name": f"Company {self._number}",
            "AccountNumber": f"C{self._number}",
            "BillingCountryCode": self.dice.choice(["DK", "DE", "US"]),
            "BillingStreet": self._text("Street"),
            "BillingCity": "Copenhagen",
            "AnnualRevenue": Decimal(self.dice.randrange(10**9)) / 100,
        }
        account = self._keep("Account", tx.insert("Account", values))
        self._keep("Contact", tx.insert("Contact", {"LastName": self._text("Person"), "AccountId": account}))
        deal = {"Name": self._text("Deal"), "AccountId": account, "StageName": STAGES[0], "CloseDate": self._day()}
        self._keep("Opportunity", tx.insert("Opportunity", deal))

    def _new_order(self, tx: Transaction) -> None:
        values = {"AccountId": self._some("Account"), "EffectiveDate": self._day(), "Status": "Draft"}
        order = self._keep("Order", tx.insert("Order", values))
        for _ in range(self.dice.randint(1, 4)):
            self._new_item(tx, order)
        tx.update("Order", order, {"Status": "Activated"})

    def _new_item(self, tx: Transaction, order: str) -> None:
        entry = self._some("PricebookEntry")
        row = self.org.tables["PricebookEntry"][entry]
        values: dict[str, Any] = {
            "OrderId": order,
            "Product2Id": row["Product2Id"],
            "PricebookEntryId": entry,
            "Quantity": self.dice.randint(1, 50),
            "UnitPrice": row["UnitPrice"],
        }
        self._keep("OrderItem", tx.insert("OrderItem", values))

    def _change_items(self, tx: Transaction) -> None:
        for item in self._few("OrderItem", 4):
            tx.update("OrderItem", item, {"Quantity": self.dice.randint(1, 500)})

    def _reprice(self, tx: Transaction) -> None:
        item = self._some("OrderItem")
        tx.update("OrderItem", item, {"UnitPrice": Decimal(self.dice.randrange(10**6)) / 100, "EndDate": self._day()})

    def _change_accounts(self, tx: Transaction) -> None:
        for account in self._few("Account", 3):
            tx.update("Account", account, {"Name": self._text("Company"), "Phone": self._text("Phone")})

    def _move_addresses(self, tx: Transaction) -> None:
        account = self._some("Account")
        tx.update("Account", account, {"BillingStreet": self._text("Street"), "ShippingCity": self._text("City")})

    def _change_orders(self, tx: Transaction) -> None:
        tx.update("Order", self._some("Order"), {"EndDate": self._day() + timedelta(days=400)})

    def _change_opportunities(self, tx: Transaction) -> None:
        deal = self._some("Opportunity")
        tx.update("Opportunity", deal, {"StageName": self.dice.choice(STAGES), "Amount": self.dice.randrange(10**6)})

    def _change_contacts(self, tx: Transaction) -> None:
        for contact in self._few("Contact", 3):
            tx.update("Contact", contact, {"FirstName": self._text("Given"), "Email": None})

    def _clear_fields(self, tx: Transaction) -> None:
        tx.update("Account", self._some("Account"), {"Phone": None, "BillingStreet": None})

    def _delete_items(self, tx: Transaction) -> None:
        item = self._some("OrderItem")
        if len(self.ids["OrderItem"]) > 10:
            tx.delete("OrderItem", item)
            self.ids["OrderItem"].remove(item)
            self.deleted.setdefault("OrderItem", []).append(item)

    def _undelete_items(self, tx: Transaction) -> None:
        gone = self.deleted.get("OrderItem")
        if gone:
            item = gone.pop(self.dice.randrange(len(gone)))
            tx.undelete("OrderItem", item)
            self.ids["OrderItem"].append(item)

    def _same_change_of_many(self, tx: Transaction) -> None:
        """Change many records in the same way: one event tells of all."""
        text = self._text("campaign")
        for record_id in self._few("Account", BIG_TRANSACTION):
            tx.update("Account", record_id, {"Industry": text})

    def _change_twice(self, tx: Transaction) -> None:
        """Change a record twice in one transaction: one event, with the last values."""
        item = self._some("OrderItem")
        tx.update("OrderItem", item, {"Quantity": 1, "Description": self._text("first")})
        tx.update("OrderItem", item, {"Description": self._text("second")})
