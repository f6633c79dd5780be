"""Two workers of the agent at once: what each folds meets in one row, and nothing is lost."""

import asyncio
from datetime import date

import asyncpg

from fakturo.consumers.crm_sync.handler import CrmSyncAgent
from fakturo.schemas.salesforce.written_fields import INVOICE
from tests.consumers.crm_sync.conftest import Desk, invoice


async def test_an_invoice_and_its_payment_in_two_open_transactions_meet(desk: Desk, database_url: str) -> None:
    second = await asyncpg.connect(database_url)
    other = Desk(second, CrmSyncAgent(settings=None), desk.offsets)  # type: ignore[arg-type]
    paid = desk.journal("received", "p-1", date(2026, 3, 1), ("in-1", -10_000))
    opened = desk.journal("finalized", "in-1", date(2026, 2, 1), ("in-1", 10_000))
    try:
        async with desk._transaction() as tx:
            await desk.agent.handle([desk.finalized(invoice()), opened], tx)
            waiting = asyncio.create_task(other.hand_in(paid))
            await asyncio.sleep(0.3)
            assert not waiting.done()  # it waits for the account's row
        await waiting
    finally:
        await second.close()
    told = await desk.fields(INVOICE, "in-1")
    assert (told["Status__c"], told["Open_Amount__c"]) == ("Paid", "0")


async def test_many_workers_with_the_same_accounts_in_any_order_do_not_block_each_other(
    desk: Desk, database_url: str
) -> None:
    async def work(turned: bool) -> None:
        connection = await asyncpg.connect(database_url)
        one = Desk(connection, CrmSyncAgent(settings=None), desk.offsets)  # type: ignore[arg-type]
        names = [f"in-{number}" for number in range(20)]
        for name in reversed(names) if turned else names:
            told = invoice(name, account=f"A{name}")
            await one.hand_in(one.finalized(told), one.kpi("mrr", "now", "1", account=f"A{name}"))
        await connection.close()

    await asyncio.gather(work(False), work(True), work(False))
    assert await desk.connection.fetchval("SELECT count(*) FROM crm_sync.invoice") == 20
