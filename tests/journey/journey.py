"""What a test of a whole journey says: customers, orders, usage, payments and requests; time; documents and checks.

Place     tests/journey/test_*.py -> [this] -> pipeline.py.
Dates     everything is said at noon UTC of the day on which time stands; ticks are at midnight UTC.
"""

import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg
import msgspec

from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.runtime.settings import Settings
from fakturo.engine.catalog import parse_catalog
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events import invoices as documents
from fakturo.schemas.events import requests
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.salesforce_ids import long_id
from tests.journey.pipeline import Pipeline

PREFIXES = {"Account": "001", "Order": "801", "OrderItem": "802", "Product2": "01t"}
REQUESTS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "approve": (requests.INVOICE_APPROVAL_GIVEN, requests.InvoiceRequest),
    "void": (requests.INVOICE_VOID_REQUESTED, requests.InvoiceRequest),
    "write_off": (requests.INVOICE_WRITE_OFF_REQUESTED, requests.InvoiceRequest),
    "credit_note": (requests.CREDIT_NOTE_REQUESTED, requests.CreditNoteRequest),
    "credit": (requests.CREDIT_GRANT_REQUESTED, requests.CreditGrant),
    "coupon": (requests.COUPON_GRANT_REQUESTED, requests.CouponGrant),
    "points": (requests.POINTS_REDEMPTION_REQUESTED, requests.PointsRedemption),
}


def settings_of(database_url: str = "postgresql://unused", **given: Any) -> Settings:
    """Return settings of a replay without grace, of a seller in Denmark."""
    values: dict[str, Any] = {"kafka": "unused:9092", "DATABASE_URL": database_url, "seller_country": "DK"}
    return Settings(**{**values, "interim_seconds": 0, "grace_seconds": 0, **given})


@dataclass
class Journey:
    """One history under one price list; amounts are minor units."""

    connection: asyncpg.Connection
    catalog: dict[str, Any]
    began_on: date = date(2026, 1, 1)
    settings: Settings = field(default_factory=settings_of)
    batch_max: int = 1000

    def __post_init__(self) -> None:
        offers = Offers.of(parse_catalog(self.catalog))
        self.today = self.began_on
        now = _noon(self.began_on)
        self.pipeline = Pipeline(self.connection, self.settings, offers, now, self.batch_max)
        self._numbers = itertools.count(1)
        self._ids: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}

    # --- what is said -------------------------------------------------------------------------------------------------

    def account(self, name: str, country: str = "DK", zone: str = "UTC", **values: Any) -> None:
        """Create an account; `values` are Salesforce fields."""
        fields = {"AccountNumber": name, "Name": name, "BillingCountryCode": country, "Fakturo_Timezone__c": zone}
        self._commit("Account", name, "CREATE", {**fields, **values})

    def order(self, name: str, account: str, start: str, **values: Any) -> None:
        """Create an activated order that starts on a local day."""
        fields = {"AccountId": self.id_of("Account", account), "StatusCode": "Activated", "EffectiveDate": start}
        self._commit("Order", name, "CREATE", {**fields, **values})

    def item(self, name: str, order: str, product: str, quantity: str = "1", **values: Any) -> None:
        """Create an order item; its product's record is created with the first item of it."""
        fields = {
            "OrderId": self.id_of("Order", order),
            "Product2Id": self.product(product),
            "Quantity": quantity,
        }
        self._commit("OrderItem", name, "CREATE", {**fields, **values})

    def product(self, code: str) -> str:
        """Return the record id of a product."""
        if ("Product2", code) not in self._ids:
            self._commit("Product2", code, "CREATE", {"ProductCode": code})
        return self.id_of("Product2", code)

    def change(self, entity: str, name: str, **values: Any) -> None:
        """Commit a change of an `Account`, `Order` or `OrderItem`."""
        self._commit(entity, name, "UPDATE", values)

    def use(
        self,
        account: str,
        day: str,
        quantity: int | str = 1,
        *,
        event_type: str = "api.call",
        event_id: str | None = None,
        **data: Any,
    ) -> None:
        """Send one usage event at noon UTC of a day, with `data.quantity`."""
        self.send(account, self.usage(account, day, quantity, event_type=event_type, event_id=event_id, **data))

    def send(self, account: str, event: dict[str, Any]) -> None:
        """Send a usage event as it is."""
        self.pipeline.feed("billing.usage", json.dumps(event).encode(), account.encode())

    def usage(
        self,
        account: str,
        day: str,
        quantity: int | str = 1,
        *,
        event_type: str = "api.call",
        event_id: str | None = None,
        clock: str = "12:00:00",
        **data: Any,
    ) -> dict[str, Any]:
        """Return a usage event without sending it: as the replacement of another one, say."""
        return {
            "specversion": "1.0", "id": event_id or f"u{next(self._numbers)}",
            "source": "meter", "type": event_type, "subject": account,
            "time": f"{day}T{clock}Z", "data": {"quantity": str(quantity), **data},
        }  # fmt: skip

    def correction(self, account: str, event_id: str, replacement: dict[str, Any] | None) -> dict[str, Any]:
        """Return what replaces the usage event `event_id`, or voids it; of several the one that is made last stands."""
        number = next(self._numbers)
        said_at = _noon(self.today) + timedelta(milliseconds=number)
        return {
            "specversion": "1.0", "id": f"c{number}", "source": "meter",
            "type": "fakturo.usage.corrected.v1", "subject": account, "time": said_at.isoformat(),
            "data": {"corrects": {"source": "meter", "id": event_id}, "replacement": replacement},
        }  # fmt: skip

    def correct(self, account: str, corrects: str, day: str = "", quantity: int | str = 1) -> None:
        """Replace the usage event called `corrects` by one at noon UTC of `day`; without a day void it."""
        number = next(self._numbers)
        replacement = {
            "specversion": "1.0", "id": f"u{number}", "source": "meter", "type": "api.call", "subject": account,
            "time": f"{day}T12:00:00Z", "data": {"quantity": str(quantity)},
        }  # fmt: skip
        event = {
            "specversion": "1.0", "id": f"c{number}", "source": "meter", "type": "fakturo.usage.corrected.v1",
            "subject": account, "time": _noon(self.today).isoformat(),
            "data": {"corrects": {"source": "meter", "id": corrects}, "replacement": replacement if day else None},
        }  # fmt: skip
        self.pipeline.feed("billing.usage", json.dumps(event).encode(), account.encode())

    def ask(self, what: str, account: str, **given: Any) -> None:
        """Ask invoicing for something; see REQUESTS."""
        number = next(self._numbers)
        event_type, shape = REQUESTS[what]
        names = {"credit": "grant_id", "coupon": "grant_id", "points": "redemption_id"}
        fields = {names.get(what, "request_id"): f"{what}-{number}", "account": account, **given}
        event = event_of(
            agent="test", event_type=event_type, id=f"r{number}", subject=account, time=_noon(self.today),
            data=shape(**fields),
        )  # fmt: skip
        self.pipeline.feed("billing.requests", encode(event), account.encode())

    def pay(
        self,
        account: str,
        amount: str,
        invoice: Invoice | None = None,
        *,
        currency: str = "EUR",
        kind: str = "received",
        payment_id: str | None = None,
    ) -> str:
        """Report a payment, or that one was `refunded` or `charged_back`; return its id."""
        number = next(self._numbers)
        payment_id = payment_id or f"p{number}"
        data = {
            "payment_id": payment_id, "account": account, "currency": currency, "amount": amount,
            "method": "transfer", "received_at": _noon(self.today).isoformat(),
            **({"invoice_id": invoice.invoice_id} if invoice else {}),
        }  # fmt: skip
        event = {
            "specversion": "1.0", "id": f"b{number}", "source": "bank", "type": f"fakturo.payment.{kind}.v1",
            "time": data["received_at"], "data": data,
        }  # fmt: skip
        self.pipeline.feed("billing.payments", json.dumps(event).encode(), account.encode())
        return payment_id

    async def until(self, day: str, step_days: int = 1) -> None:
        """Let time reach midnight UTC of a day, by ticks of `step_days` days (0: one jump)."""
        end = date.fromisoformat(day)
        while self.today < end:
            self.today = min(self.today + timedelta(days=step_days), end) if step_days else end
            await self.pipeline.tick(datetime.combine(self.today, time(), UTC))
            self.pipeline.now = _noon(self.today)

    async def settle(self) -> None:
        """Let everybody handle what was said, without a tick."""
        await self.pipeline.deliver()

    # --- what came of it ----------------------------------------------------------------------------------------------

    @property
    def documents(self) -> list[Invoice]:
        """Return the invoices and credit notes as they were issued, in order."""
        return [event.data for event in self.pipeline.told(documents.INVOICE_FINALIZED, documents.CREDIT_NOTE_ISSUED)]

    def lines(self, document: Invoice) -> list[tuple[str, str, int]]:
        """Return (name of the item, kind, amount) of the lines, sorted."""
        return sorted((self.name_of(line.subscription_item), line.kind, line.amount_minor) for line in document.lines)

    def issued(self) -> list[tuple[str, list[tuple[str, str, int]]]]:
        """Return (issue date, lines) of each document, in order."""
        return [(document.issue_date.isoformat(), self.lines(document)) for document in self.documents]

    def billed(self, item: str) -> dict[str, int]:
        """Return what was billed of an item over all documents, by the month in which a line's period starts.

        Lines of documents that were voided do not count.
        """
        voided = {event.data.invoice_id for event in self.pipeline.told(documents.INVOICE_VOIDED)}
        sums: dict[str, int] = defaultdict(int)
        for document in self.documents:
            for line in document.lines:
                if self.name_of(line.subscription_item) == item and document.invoice_id not in voided:
                    sums[f"{line.period.start:%Y-%m}"] += line.amount_minor
        return dict(sums)

    async def status(self, document: Invoice) -> str:
        """Return the status of an invoice in the book."""
        return str(
            await self.connection.fetchval(
                "SELECT status FROM invoicing.invoice WHERE invoice_id = $1", document.invoice_id
            )
        )

    async def balance(self, account_code: str, currency: str = "EUR") -> int:
        """Return the balance of a ledger account, debit above 0."""
        return int(
            await self.connection.fetchval(
                "SELECT coalesce(sum(amount_minor), 0) FROM ledger.balance WHERE account_code = $1 AND currency = $2",
                account_code,
                currency,
            )
        )

    # --- Salesforce ---------------------------------------------------------------------------------------------------

    def id_of(self, entity: str, name: str) -> str:
        """Return the record id of what the test calls `name`."""
        found = self._ids.get((entity, name))
        if found is None:
            found = self._ids[entity, name] = long_id(f"{PREFIXES[entity]}{len(self._ids) + 1:012d}")
            self._names[found] = name
        return found

    def name_of(self, item_id: str) -> str:
        """Return what the test calls an item; what came of an upgrade has the item's name and `/2`, `/3`."""
        record_id, slash, number = item_id.partition("/")
        return self._names.get(record_id, record_id) + slash + number

    def _commit(self, entity: str, name: str, kind: str, values: dict[str, Any]) -> None:
        record_id, number = self.id_of(entity, name), next(self._numbers)
        committed_ms = int(_noon(self.today).timestamp() * 1000) + number
        change = {
            "v": 1, "org": "00DNY00000000012AA", "entity": entity, "recordId": record_id, "changeType": kind,
            "changed": list(values) if kind == "UPDATE" else [],
            "nulled": [key for key, value in values.items() if value is None] if kind == "UPDATE" else [],
            "diff": [], "values": {key: value for key, value in values.items() if value is not None}, "full": False,
            "commit": {"ts": committed_ms, "number": str(number), "tx": f"t{number}", "seq": 1},
            "eventId": f"e{number}",
        }  # fmt: skip
        self.pipeline.feed(f"sf.cdc.{entity}", json.dumps(change).encode(), record_id.encode())


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)
