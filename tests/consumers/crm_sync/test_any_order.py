"""Whatever order topics are read in, wherever batches end and however often a record comes: the same rows."""

import asyncio
import itertools
from datetime import date
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakturo.consumers.crm_sync.handler import CrmSyncAgent
from fakturo.consumers.runtime.records import Record
from fakturo.schemas.events import invoices
from tests.consumers.crm_sync.conftest import UNITED, Desk, invoice, item, line

FEBRUARY, MARCH, APRIL = date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)
TABLES = ("account", "subscription", "kpi", "receivable", "invoice", "written", "hold")


def history(desk: Desk) -> list[Record]:
    """Return a year in small: two accounts, a draft that changes, payments, a void, a credit note, KPIs."""
    draft = invoice(number=None, status="draft", lines=(line("lin-1", 7_000), line("lin-2", 3_000)))
    later = invoice(number=None, status="draft", lines=(line("lin-1", 7_000), line("lin-3", 3_000)))
    final = invoice(lines=(line("lin-1", 7_000), line("lin-3", 3_000)))
    second = invoice("in-2", 5_000, account="DL")
    return [
        desk.document(invoices.INVOICE_DRAFTED, draft, ":1"),
        desk.document(invoices.INVOICE_DRAFTED, later, ":2"),
        desk.finalized(final),
        desk.journal("finalized", "in-1", FEBRUARY, ("in-1", 10_000)),
        desk.journal("received", "p-1", MARCH, ("in-1", -10_000)),
        desk.document(invoices.INVOICE_PAID, invoice(lines=final.lines, status="paid"), ":paid"),
        desk.finalized(second),
        desk.journal("finalized", "in-2", FEBRUARY, ("in-2", 5_000), account="DL"),
        desk.document(invoices.CREDIT_NOTE_ISSUED, invoice("cn-1", -2_000, account="DL", corrects="in-2")),
        desk.journal("issued", "cn-1", MARCH, ("in-2", -2_000), account="DL"),
        desk.document(invoices.INVOICE_VOIDED, invoice("in-3", 1, account="DL", status="void"), ":voided"),
        desk.finalized(invoice("in-3", 1, account="DL")),
        desk.account(),
        desk.account(hours=1, currency="EUR"),
        desk.account("DL", salesforce_id=UNITED[:14] + "F", bill_to="UA"),
        desk.subscription(item()),
        desk.subscription(item(service_start_on=MARCH), account="DL", subscription_id="sub-2"),
        desk.subscription(item(billing_months=12), hours=1),
        desk.kpi("mrr", "now", "10"),
        desk.kpi("mrr", "now", "20", currency="EUR"),
        desk.kpi("mrr", "now", "30", currency="EUR"),
        desk.kpi("lifetime_value", "lifetime", "7", account="DL"),
    ]


@pytest.fixture(scope="module")
def straight() -> list[Any]:
    """Return a place for the rows of the history in its own order, one record a batch: worked out once."""
    return []


@given(data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_repetition_gives_the_same_rows(
    database_url: str, straight: list[Any], data: st.DataObject
) -> None:
    count = len(history(Desk(None, None)))  # type: ignore[arg-type]
    if not straight:
        straight += asyncio.run(_run(database_url, list(range(count)), list(range(1, count))))
    order = data.draw(st.permutations(range(count)))
    again = data.draw(st.lists(st.integers(0, count - 1), max_size=8))
    cuts = data.draw(st.sets(st.integers(1, count + len(again) - 1), max_size=6))
    assert asyncio.run(_run(database_url, [*order, *again], sorted(cuts))) == straight
    assert len(straight) == 11  # two accounts, four documents, five lines


async def _run(url: str, order: list[int], cuts: list[int]) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("; ".join(f"DELETE FROM crm_sync.{table}" for table in TABLES))
        desk = Desk(connection, CrmSyncAgent(settings=None))  # type: ignore[arg-type]
        told = history(desk)
        for start, end in itertools.pairwise([0, *cuts, len(order)]):
            await desk.hand_in(*(told[index] for index in order[start:end]))
        await desk.tick(APRIL)
        return await desk.rows()
    finally:
        await connection.close()
