"""A till: bills lines through the books of discounts and credit, as `billing` does, and hands in requests."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from fakturo.consumers.invoicing import credit_expiry, discounts, invoice_store, requests, wallets
from fakturo.consumers.invoicing.groups import Payer
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.invoicing import BilledItem, InvoiceHead, build_invoice, sorted_items
from fakturo.engine.periods import Period, date_period
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.contracts import AccountVersion, Coupon, Seller, Subscription
from fakturo.schemas.events.invoices import Invoice, LineTax, Party
from fakturo.schemas.events.requests import (
    COUPON_GRANT_REQUESTED,
    CREDIT_GRANT_REQUESTED,
    POINTS_REDEMPTION_REQUESTED,
    CouponGrant,
    CreditGrant,
    PointsRedemption,
)

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
TAX = LineTax(category="standard", rate_percent=Decimal(20))
SELLER = Seller(code="", name="Us", country="DK")
TYPES = {
    CouponGrant: COUPON_GRANT_REQUESTED,
    CreditGrant: CREDIT_GRANT_REQUESTED,
    PointsRedemption: POINTS_REDEMPTION_REQUESTED,
}


def subscription(account: str = "A", name: str = "S", **fields: Any) -> Subscription:
    """Return a subscription of `account` with terms that shape its invoices."""
    return Subscription(
        subscription_id=name, account=account, currency="EUR", started_on=date(2026, 1, 1), ended_on=None, items=(),
        recorded_at=BEGINNING, **fields,
    )  # fmt: skip


def month(number: int) -> Period:
    """Return a month counted from January 2026 (1)."""
    year, month0 = divmod(number - 1, 12)
    following = divmod(number, 12)
    return date_period(date(2026 + year, month0 + 1, 1), date(2026 + following[0], following[1] + 1, 1), "UTC")


def line(amount: int, *, of: str = "S", product: str = "P", number: int = 1, **fields: Any) -> BilledItem:
    """Return a line of subscription `of`: its item is `of`/`product`, its period a month's."""
    return BilledItem(
        subscription_item=f"{of}/{product}", product_code=product, description=product, explanation="",
        quantity=Decimal(1), amount_exact=Decimal(amount).scaleb(-2), amount_minor=amount, tax=TAX, price_hash="",
        **{"period": month(number), "item_period": month(number), **fields},
    )  # fmt: skip


@dataclass
class Till:
    """Bills on one connection; `events` is what was published."""

    connection: asyncpg.Connection
    events: list[Event[Any]] = field(default_factory=list)
    revisions: dict[tuple[str, int], int] = field(default_factory=dict)
    offsets: Any = field(default_factory=itertools.count)
    numbers: Any = field(default_factory=itertools.count)

    async def bill(self, number: int, *lines: BilledItem, by: tuple[Subscription, ...] = (), **given: Any) -> Invoice:
        """Return the invoice of a month, issued on the first day after it, in a transaction of its own."""
        async with self.connection.transaction():
            return await self.bill_within(number, *lines, by=by, **given)

    async def bill_within(
        self,
        number: int,
        *lines: BilledItem,
        by: tuple[Subscription, ...] = (),
        account: str = "A",
        currency: str = "EUR",
        hold: bool = True,
        revision: int | None = None,
        locale: str | None = None,
    ) -> Invoice:
        """Return the invoice of a month, in the transaction that is open."""
        await self._know(by, lines, account)
        key = (account, number)
        if revision is None:
            revision = self.revisions[key] = self.revisions.get(key, 0) + 1
        head = InvoiceHead(
            account=account, customer=Party(name=account), seller=Party(name="Us"), currency=currency,
            period=month(number), zone="UTC", terms_days=30, revision=revision,
            number=f"INV-{account}-{next(self.numbers)}" if hold else None, recorded_at=month(number).end_at,
        )  # fmt: skip
        payer = Payer(
            account_id=account, version=_version(account, locale), seller=SELLER,
            currency=currency, due_at=month(number).end_at, subscriptions=by,
        )  # fmt: skip
        tx = self.transaction()
        found = await discounts.reserve(tx, payer, head, lines, hold=hold)
        invoice = build_invoice(head, (*lines, *found.extra_items), discounts=found.applied, loyalty=found.loyalty)
        invoice = await wallets.pay(tx, invoice, hold=hold)
        if hold:
            items = sorted_items((*lines, *found.extra_items))
            issued = invoice_store.Issued(invoice=invoice, items=items, discounts=found.applied)
            await invoice_store.save_documents(self.connection, [issued])
        self._keep(tx)
        return invoice

    async def void(self, invoice: Invoice) -> Invoice:
        """Give back what an invoice used; return it as it was taken back."""
        tx = self.transaction()
        async with self.connection.transaction():
            back = await discounts.release(tx, invoice)
            await wallets.release(tx, invoice)
        self._keep(tx)
        return back

    async def ask(self, *asked: CouponGrant | CreditGrant | PointsRedemption) -> Transaction:
        """Hand in requests, as `billing.requests` brings them, in one batch."""
        tx = self.transaction()
        async with self.connection.transaction():
            await requests.apply([self._record(one) for one in asked], SELLER, tx)
        self._keep(tx)
        return tx

    async def tick(self, to: datetime) -> list[Any]:
        """Let expire what holds no more at `to`; return what was told."""
        before = len(self.events)
        more = True
        while more:
            tx = self.transaction()
            async with self.connection.transaction():
                more = await credit_expiry.expire(to, tx)
            self._keep(tx)
        return [event.data for event in self.events[before:]]

    def transaction(self) -> Transaction:
        """Return what the hooks get."""
        return Transaction("invoicing", None, self.connection, partition_count=4)  # type: ignore[arg-type]

    def _keep(self, tx: Transaction) -> None:
        self.events += [decode_event(row.value) for row in tx.outbox if row.topic == "billing.invoices"]

    def _record(self, asked: Any) -> Record:
        event = event_of(
            agent="cli", event_type=TYPES[type(asked)], id=str(next(self.offsets)), subject=asked.account,
            time=BEGINNING, data=asked,
        )  # fmt: skip
        return Record("billing.requests", 0, next(self.offsets), None, encode(event), (), BEGINNING, None)

    async def _know(self, by: tuple[Subscription, ...], lines: tuple[BilledItem, ...], account: str) -> None:
        """Keep the items of the lines as the contracts' rows, as far as the hooks look at them."""
        names = {one.subscription_id: one.account for one in by}
        for item in lines:
            owner = item.subscription_item.partition("/")[0]
            await self.connection.execute(
                "INSERT INTO invoicing.subscription_item (subscription_item, subscription_id, account_id, currency, "
                "content, metered, recorded_at, known_watermark_at) VALUES ($1, $2, $3, 'EUR', '{}', false, $4, $4) "
                "ON CONFLICT DO NOTHING",
                item.subscription_item,
                owner,
                names.get(owner, account),
                BEGINNING,
            )


def coupon(code: str, **fields: Any) -> Coupon:
    """Return a coupon of 10 %, for ever, or as given."""
    if "amount_minor" not in fields:
        fields.setdefault("percent", Decimal(10))
    else:
        fields.setdefault("currency", "EUR")
    return Coupon(code=code, description=code, **{"duration": "forever", **fields})


def grant_coupon(code: str, account: str = "A", **fields: Any) -> CouponGrant:
    """Return the request that gives `account` a coupon."""
    return CouponGrant(grant_id=f"{code}-{account}", account=account, coupon=coupon(code, **fields))


def grant_credit(grant_id: str, amount: str, account: str = "A", **fields: Any) -> CreditGrant:
    """Return the request that gives `account` credit."""
    return CreditGrant(grant_id=grant_id, account=account, amount=amount, **{"currency": "EUR", **fields})


def redeem(redemption_id: str, points: int, account: str = "A") -> PointsRedemption:
    """Return the request that redeems points."""
    return PointsRedemption(redemption_id=redemption_id, account=account, points=points)


def _version(account: str, locale: str | None) -> AccountVersion:
    return AccountVersion(
        effective_at=BEGINNING, recorded_at=BEGINNING, name=account, timezone="UTC", terms_days=30, currency="EUR",
        locale=locale,
    )  # fmt: skip
