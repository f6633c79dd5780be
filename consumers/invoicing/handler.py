"""The `invoicing` agent: keeps what comes, and when time advances lets it take hold and bills what falls due.

Place     runner -> processor -> [this] -> changes, assignment, due, billing, finalizing, drafts -> outbox.
Steps     `advance` goes through time as it was: all that fell due by the time at which the oldest news came is billed,
          then that news takes hold, and so on up to the tick. What a document holds depends on nothing else.
Race      `handle` only adds rows, `advance` runs under the agent's one watermark lock; should two run at once,
          both lock items by their id, and the unique keys of invoice and line refuse a second document or line.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fakturo.consumers.invoicing import (
    corrections_store,
    credit_expiry,
    drafts_store,
    due,
    ended_terms,
    finalizing,
    news_store,
    receivables,
    requests,
    statement_store,
)
from fakturo.consumers.invoicing.assignment import Assignment
from fakturo.consumers.invoicing.billing import Bill, bill_of
from fakturo.consumers.invoicing.changes import UNREADABLE, Changes
from fakturo.consumers.invoicing.drafts import Drafts
from fakturo.consumers.invoicing.due import Book
from fakturo.consumers.invoicing.groups import DueGroup
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.periods import Period
from fakturo.schemas import topics
from fakturo.schemas.codec import decode_event
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import AccountChanged, Seller, Subscription
from fakturo.schemas.events.usage import UsageRated

NEWS_MAX = 500
"""How many pieces of news take hold in one transaction."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

ANSWERED = frozenset({topics.REQUESTS.name, topics.LEDGER.name})
"""What is done when it comes; all else takes hold at a tick."""

News = tuple[Record, str, object, datetime]
"""A record, its kind, its content and when it was recorded."""


def seller_of(settings: Settings) -> Seller:
    """Return the seller of the settings, who issues what no contract names a seller for; its code is ""."""
    return Seller(
        code="",
        name=settings.seller_name,
        country=settings.seller_country,
        timezone=settings.seller_timezone,
        invoice_series=settings.invoice_series,
        credit_note_series=settings.credit_note_series,
        vat_id=settings.seller_vat_id or None,
        address=settings.seller_address or None,
        tax_registrations=settings.seller_tax_registrations,
        tax_rounding=settings.seller_tax_rounding,
    )


class InvoicingAgent:
    """Contracts and final statements in, invoices out."""

    name = "invoicing"

    def __init__(self, settings: Settings) -> None:
        self._grace = timedelta(seconds=settings.grace_seconds)
        self._seller = seller_of(settings)
        self._changes = Changes(settings.billing_until)
        self._assignment = Assignment(at_once=settings.corrections == "at_once", grace=self._grace)
        review = timedelta(seconds=settings.review_seconds)
        self._drafts = Drafts(review=review, grace=self._grace, seller=self._seller)

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Keep the contracts and statements of `batch`, and do what is asked for."""
        asked = [record for record in batch if record.topic == topics.REQUESTS.name]
        await requests.apply(asked, self._seller, tx)
        await receivables.apply([record for record in batch if record.topic == topics.LEDGER.name], tx)
        news: list[News] = []
        running: list[News] = []
        finals: list[News] = []
        for record in batch:
            event = None if record.topic in ANSWERED else _read(record, tx)
            if event is None:
                continue
            recorded_at = event.recordedat or record.recorded_at
            match event.data:
                case AccountChanged() as account:
                    news.append((record, news_store.ACCOUNT, account, recorded_at))
                case Subscription() as subscription:
                    news.append((record, news_store.SUBSCRIPTION, subscription, recorded_at))
                case UsageRated(final=True, revision=1) as statement:
                    finals.append((record, news_store.STATEMENT, statement, recorded_at))
                case UsageRated() as statement:
                    kind = news_store.STATEMENT if statement.final else news_store.RUNNING
                    (news if statement.final else running).append((record, kind, statement, recorded_at))
                case _:
                    pass  # nothing that is billed
        if finals:
            news += await _stated_late(finals, tx)
        if running:
            news += await _watched(running, tx)
        if news:
            await news_store.save(tx.driver, news, BEGINNING)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Do one bounded step towards the tick `to`; return whether there was any."""
        news_at = await news_store.oldest_known_at(tx.driver, to)
        at = to if news_at is None else news_at
        if await self._assignment.assign(at, tx) or await self._drafts.renew(at, tx):
            return True
        if await self._drafts.finalize(at, tx) or await self._bill(at, tx) or await self._true_up(at, tx):
            return True
        if news_at is None:
            return await credit_expiry.expire(to, tx) or await requests.release(self._seller, tx)
        await self._changes.apply(await news_store.take(tx.driver, news_at, NEWS_MAX), tx)
        return True

    async def flush(self, tx: Transaction) -> None:
        """Publish nothing: an invoice goes out when it is finalised."""

    async def _bill(self, at: datetime, tx: Transaction) -> bool:
        """Bill the oldest groups that are due at `at`; return whether there was any."""
        groups = await due.find_groups(at - self._grace, at, tx)
        if not groups:
            return False
        book = await due.read_book(groups, tx)
        waiting: list[tuple[DueGroup, str]] = []
        done: list[DueGroup] = []
        bills: list[Bill] = []
        for group in groups:
            sentence, bill = self._bill_of(group, book)
            if sentence is not None:
                waiting.append((group, sentence))
                continue
            done.append(group)
            if bill is not None:
                bills.append(bill)
        await due.mark_waiting(waiting, at, tx)
        await self._finish(done, bills, at, tx)
        return True

    def _bill_of(self, group: DueGroup, book: Book) -> tuple[str | None, Bill | None]:
        """Return what the group waits for, or its bill (None where there is nothing to bill)."""
        sentence = due.missing(group, book)
        if sentence is not None:
            return sentence, None
        try:
            return None, bill_of(group, book, self._seller)
        except UNREADABLE as error:
            return f"cannot be rated: {error}", None

    async def _finish(self, groups: Sequence[DueGroup], bills: Sequence[Bill], at: datetime, tx: Transaction) -> None:
        """Draft or finalise the bills; the groups' periods are billed now, by nothing else, and their items move on."""
        if not groups:
            return
        regular = [entry for group in groups for entry in group.regular]
        await drafts_store.take_over(tx.driver, regular)
        await self._issue(bills, at, tx)
        whole = [entry for group in groups for entry in group.entries if entry.is_next or not entry.running]
        await corrections_store.save_billed_periods(tx.driver, whole)
        await corrections_store.drop(tx.driver, (entry.key for group in groups for entry in group.entries))
        await self._changes.move(
            [entry.row for entry in regular], {entry.row.key: entry.period.end_at for entry in regular}, tx
        )

    async def _issue(self, bills: Sequence[Bill], at: datetime, tx: Transaction) -> None:
        reviewed = [bill for bill in bills if self._drafts.is_reviewed(bill)]
        at_once = [bill for bill in bills if not self._drafts.is_reviewed(bill)]
        if reviewed:
            await self._drafts.draft(reviewed, at, tx)
        if at_once:
            await finalizing.finalize(at_once, at, tx)

    async def _true_up(self, at: datetime, tx: Transaction) -> bool:
        """True up terms that ended and that no invoice is to come for; return whether there was any."""
        found = await ended_terms.find(at - self._grace, self._seller, tx)
        if found is None:
            return False
        await self._issue(found, at, tx)
        return True


async def _stated_late(finals: Sequence[News], tx: Transaction) -> list[News]:
    """Keep first final statements; return those of periods that were passed over when they were not known."""
    found = [(one, one[2]) for one in finals if isinstance(one[2], UsageRated)]
    await statement_store.save_statements(tx.driver, [(statement, one[3]) for one, statement in found])
    periods = [(one.subscription_item, Period(start_at=one.period.start, end_at=one.period.end)) for _, one in found]
    late = await corrections_store.passed_over(tx.driver, periods)
    return [one for one, statement in found if (statement.subscription_item, statement.period.start) in late]


async def _watched(running: Sequence[News], tx: Transaction) -> list[News]:
    """Return the running statements of items whose subscription is billed at a threshold."""
    found = [(one, one[2]) for one in running if isinstance(one[2], UsageRated)]
    items = await statement_store.watched_items(tx.driver, (statement.subscription_item for _, statement in found))
    return [one for one, statement in found if statement.subscription_item in items]


def _read(record: Record, tx: Transaction) -> Event[object] | None:
    try:
        return decode_event(record.value, record.headers)
    except SchemaError as error:
        tx.reject(record, error.reason, str(error))
        return None
