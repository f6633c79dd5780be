"""The `crm_sync` agent: events become rows as the org is to hold them.

Place     runner -> processor -> [this] -> reading, store (what was told), documents, account_fields (rows) ->
          written_store. The pusher sends the rows.
Order     what was told is kept by subject, each the newest by its place; rows are worked out anew from all of it. So
          the ledger may be ahead of the invoice, an invoice ahead of its account, and a repetition changes nothing.
Time      only the next invoice of an account depends on it: it is worked out in `advance`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from fakturo.consumers.crm_sync import next_invoices, store, written_store
from fakturo.consumers.crm_sync.account_fields import account_row
from fakturo.consumers.crm_sync.documents import head_of, invoice_row, line_rows
from fakturo.consumers.crm_sync.reading import (
    AccountFact,
    Document,
    Fact,
    KpiFact,
    ReceivableLine,
    SubscriptionFact,
    read,
)
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.errors import SchemaError

Wanted = TypeVar("Wanted")


class CrmSyncAgent:
    """Keeps the rows; see the module's docstring for what happens when."""

    name = "crm_sync"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Keep what `batch` tells and work out anew the rows that it touches."""
        facts: list[Fact] = []
        for record in batch:
            try:
                facts += read(record)
            except SchemaError as error:
                tx.reject(record, error.reason, str(error))
        if not facts:
            return
        await store.lock_accounts(tx.driver, (fact.account for fact in facts))
        await written_store.release(tx.driver, await store.save_accounts(tx.driver, _only(AccountFact, facts)))
        await store.save_subscriptions(tx.driver, _only(SubscriptionFact, facts))
        await store.save_kpis(tx.driver, _only(KpiFact, facts))
        await show_accounts({fact.account for fact in facts if isinstance(fact, AccountFact | KpiFact)}, tx)
        await _fold_documents(_only(Document, facts), _only(ReceivableLine, facts), tx)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Work out, of some subscriptions, when their next invoice falls due after `to`; True while more remain."""
        return await next_invoices.work_out(to, tx, show_accounts)

    async def flush(self, tx: Transaction) -> None:
        """Nothing is published."""


async def show_accounts(accounts: Iterable[str], tx: Transaction) -> None:
    """Work out the Account rows of those of `accounts` that are known."""
    names = sorted(accounts)
    if names:
        shown = await store.shown_of(tx.driver, names)
        rows = [account_row(account, currency, kpis, next_on) for account, currency, next_on, kpis in shown]
        await written_store.save(tx.driver, rows)


async def _fold_documents(
    documents: Sequence[Document], receivables: Sequence[ReceivableLine], tx: Transaction
) -> None:
    await store.save_receivables(tx.driver, receivables)
    kept = await store.save_documents(tx.driver, documents, head_of)
    touched = {document.invoice.invoice_id for document in kept} | {line.invoice_id for line in receivables}
    if not touched:
        return
    heads = await store.heads_of(tx.driver, touched)
    movements = await store.movements_of(tx.driver, heads)
    rows = [invoice_row(name, account, head, movements.get(name, ())) for name, (account, head) in heads.items()]
    lines = [row for document in kept for row in line_rows(document)]
    changed = [document.invoice.invoice_id for document in kept]
    gone = await written_store.gone_lines(tx.driver, changed, [line.key for line in lines])
    await written_store.save(tx.driver, [*rows, *lines, *gone])


def _only(kind: type[Wanted], facts: Iterable[object]) -> list[Wanted]:
    return [fact for fact in facts if isinstance(fact, kind)]
