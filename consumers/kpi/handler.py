"""The `kpi` agent: facts as they come, days as they close, interim values in between.

Place     runner -> processor -> [this] -> facts, closing, interim -> outbox (billing.kpis).
Time      a UTC day is closed when time reaches its end; what a closed day reported is never changed (a later fact is
          reported on the first day that is still open).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from fakturo.consumers.kpi import closing, interim, store
from fakturo.consumers.kpi.facts import AccountName, Source, read
from fakturo.consumers.kpi.standing import Standing
from fakturo.consumers.kpi.standing import take as take_standings
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

Claim = Callable[[Iterable[Source]], Awaitable[Mapping[str, bytes]]]


class KpiAgent:
    """Keeps KPIs; see the module's docstring for what happens when."""

    name = "kpi"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Keep the facts of `batch` until their day closes."""
        invoices: list[Source] = []
        journals: list[Source] = []
        names: list[AccountName] = []
        standings: list[tuple[Standing, date | None]] = []
        for record in batch:
            try:
                told = read(record)
            except SchemaError as error:
                tx.reject(record, error.reason, str(error))
                continue
            if isinstance(told, Source):
                (journals if told.due_on is None else invoices).append(told)
                continue
            tx.count(record.topic, "applied")
            if isinstance(told, AccountName):
                names.append(told)
            elif told is not None:
                at = record.watermark_at
                standings.append((told, None if at is None else at.astimezone(UTC).date()))
        fresh = await _distinct(invoices, lambda rows: store.claim_invoices(tx.driver, rows), tx)
        fresh += await _distinct(journals, lambda rows: store.claim_journals(tx.driver, rows), tx)
        await store.insert_facts(tx.driver, [fact for source in fresh for fact in source.facts])
        await store.upsert_names(tx.driver, names)
        await take_standings(tx.driver, standings)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Close, in order, the days that ended by `to` and on which something changes; True while more remain."""
        return await closing.close_days(to.astimezone(UTC).date() - timedelta(days=1), tx)

    async def flush(self, tx: Transaction) -> None:
        """Publish interim values of the accounts that facts came for since the last time."""
        await interim.show(tx)


async def _distinct(sources: Sequence[Source], claim: Claim, tx: Transaction) -> list[Source]:
    """Return the sources that are new; count repeats, reject those that say something else."""
    if not sources:
        return []
    first: dict[str, Source] = {}
    for source in sources:
        first.setdefault(source.id, source)
    known = await claim(first.values())
    fresh: list[Source] = []
    for source in sources:
        topic = source.record.topic
        if source is first[source.id] and source.id not in known:
            fresh.append(source)
            tx.count(topic, "applied")
        elif known.get(source.id, first[source.id].digest) == source.digest:
            tx.count(topic, "duplicate")
        else:
            tx.reject(source.record, Reason.IDENTITY_CONFLICT, f"{source.id!r} came before with another payload")
    return fresh
