"""The `invoicing` agent: keeps contracts and final statements, and bills what falls due when time advances.

Place     runner -> processor -> [this] -> billing (engine) -> store -> outbox (billing.invoices).
Race      `advance` runs under the agent's one watermark lock, so two processes never bill one period; should they, the
          unique keys of invoice and line refuse the second. `handle` may run beside it: both lock items by their id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from fakturo.consumers.invoicing import (
    contracts_store,
    credit_expiry,
    discounts,
    invoice_store,
    requests,
    statement_store,
    wallets,
)
from fakturo.consumers.invoicing.billing import Bill, DueGroup, bill_of, oldest_groups
from fakturo.consumers.invoicing.contracts_store import ItemRow
from fakturo.consumers.runtime.metrics import INVOICES
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.invoicing import build_invoice
from fakturo.engine.schedule import next_item_period
from fakturo.schemas import topics
from fakturo.schemas.codec import decode_event
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import AccountChanged, Seller, Subscription
from fakturo.schemas.events.invoices import INVOICE_FINALIZED, Invoice
from fakturo.schemas.events.usage import UsageRated

ITEMS_MAX = 1000
"""How many due items one transaction looks for; it bills their accounts."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class InvoicingAgent:
    """Contracts and final statements in, invoices out."""

    name = "invoicing"

    def __init__(self, settings: Settings) -> None:
        self._series = settings.invoice_series
        self._grace = timedelta(seconds=settings.grace_seconds)
        self._billing_until: date | None = settings.billing_until
        self._seller = Seller(
            code="",
            name=settings.seller_name,
            country=settings.seller_country,
            timezone=settings.seller_timezone,
            invoice_series=settings.invoice_series,
            vat_id=settings.seller_vat_id or None,
            address=settings.seller_address or None,
            tax_registrations=settings.seller_tax_registrations,
            tax_rounding=settings.seller_tax_rounding,
        )

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Keep the accounts, items and final statements of `batch`."""
        await requests.apply([record for record in batch if record.topic == topics.REQUESTS.name], tx)
        touched: set[str] = set()
        statements: list[tuple[UsageRated, datetime]] = []
        for record in batch:
            if record.topic == topics.REQUESTS.name:
                continue
            event = _read(record, tx)
            if event is None:
                continue
            match event.data:
                case AccountChanged() as account:
                    await contracts_store.save_account(tx.driver, account)
                    touched.add(account.account)
                case Subscription() as subscription:
                    await self._save_subscription(subscription, record, tx)
                    touched.add(subscription.account)
                case UsageRated(final=True) as statement:
                    statements.append((statement, event.recordedat or record.recorded_at))
                case _:
                    pass  # a running statement bills nothing
        if statements:
            await statement_store.save_statements(tx.driver, statements)
        if touched:
            await self._point(touched, tx)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Bill the oldest due period of the accounts of up to `ITEMS_MAX` items; return whether there was any."""
        items = await contracts_store.find_due_items(tx.driver, to - self._grace, to, ITEMS_MAX)
        if not items:
            return await credit_expiry.expire(to, tx)
        statements = await statement_store.find_statements(tx.driver, items)
        ready: list[DueGroup] = []
        waiting: list[str] = []
        for group in oldest_groups(items):
            if group.missing(statements):
                waiting += [row.key for row in items if row.account_id == group.account_id]
            else:
                ready.append(group)
        await contracts_store.mark_tried(tx.driver, waiting, to)
        if ready:
            await self._bill(ready, statements, to, tx)
        return True

    async def flush(self, tx: Transaction) -> None:
        """Publish nothing: an invoice goes out when it is finalised."""

    async def _save_subscription(self, subscription: Subscription, record: Record, tx: Transaction) -> None:
        await contracts_store.save_items(
            tx.driver,
            subscription.subscription_id,
            subscription.account,
            subscription.currency,
            subscription.items,
            subscription.recorded_at,
            record.watermark_at or BEGINNING,
        )

    async def _point(self, account_ids: Iterable[str], tx: Transaction) -> None:
        """Set the period that is billed next of every item of the accounts, as the contracts now stand."""
        items = await contracts_store.lock_items_of(tx.driver, account_ids)
        await self._move(items, {row.key: row.billed_until_at for row in items}, tx)

    async def _move(self, items: Sequence[ItemRow], billed_until: dict[str, datetime | None], tx: Transaction) -> None:
        accounts = await contracts_store.find_accounts(tx.driver, (row.account_id for row in items))
        moves = []
        for row in items:
            account, until_at = accounts.get(row.account_id), billed_until[row.key]
            if account is not None:
                following = next_item_period(row.item, account.versions, until_at, self._billing_until)
                moves.append((row.key, until_at, following))
        if moves:
            await contracts_store.move_pointers(tx.driver, moves)

    async def _bill(
        self, groups: Sequence[DueGroup], statements: statement_store.Statements, to: datetime, tx: Transaction
    ) -> None:
        accounts = await contracts_store.find_accounts(tx.driver, (group.account_id for group in groups))
        bills = [bill_of(group, accounts[group.account_id], statements, self._seller) for group in groups]
        invoices = await self._finalize([bill for bill in bills if bill is not None], to, tx)
        self._publish(invoices, tx)
        rows = [row for group in groups for row in group.items]
        ends = {row.key: group.period.end_at for group in groups for row in group.items}
        await self._move(rows, dict(ends), tx)

    async def _finalize(self, bills: Sequence[Bill], to: datetime, tx: Transaction) -> list[Invoice]:
        """Make the invoices, each with the next number; in the order of `bills`, which is that of the payers."""
        revisions = await invoice_store.last_revisions(
            tx.driver, ((bill.head.account, bill.head.period.start_at) for bill in bills)
        )
        first = await invoice_store.take_numbers(tx.driver, self._series, len(bills))
        invoices: list[Invoice] = []
        for bill in bills:
            key = (bill.head.account, bill.head.period.start_at)
            revisions[key] = revisions.get(key, 0) + 1
            number = f"{self._series}-{first + len(invoices):08d}"
            head = replace(bill.head, revision=revisions[key], number=number)
            found = await discounts.reserve(tx, bill.payer, head, bill.items, at=to)
            invoice = build_invoice(
                head,
                (*bill.items, *found.extra_items),
                discounts=found.applied,
                tax_rounding=bill.payer.seller.tax_rounding,
                loyalty=found.loyalty,
            )
            invoices.append(await wallets.pay(tx, invoice, at=to))
        await invoice_store.save_invoices(tx.driver, invoices)
        return invoices

    def _publish(self, invoices: Iterable[Invoice], tx: Transaction) -> None:
        for invoice in invoices:
            event = event_of(
                agent=self.name,
                event_type=INVOICE_FINALIZED,
                id=f"{invoice.invoice_id}:finalized",
                subject=invoice.account,
                time=invoice.period.end,
                data=invoice,
                recorded_at=invoice.recorded_at,
            )
            tx.emit(topics.INVOICES, event, account=invoice.account)
            tx.committed.append(INVOICES.labels("invoice", invoice.currency).inc)


def _read(record: Record, tx: Transaction) -> Event[object] | None:
    try:
        return decode_event(record.value, record.headers)
    except SchemaError as error:
        tx.reject(record, error.reason, str(error))
        return None
