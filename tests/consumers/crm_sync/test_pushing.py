"""Rounds of sending against an org in memory: what is sent, what is tried again, what waits for a person."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fakturo.consumers.crm_sync import push_store
from fakturo.consumers.crm_sync.outcomes import Judged, Outcome
from fakturo.consumers.crm_sync.pushing import PushRound, Sizes
from fakturo.consumers.runtime.salesforce.errors import OrgRefused, OrgUnavailable
from fakturo.schemas.events import invoices
from fakturo.schemas.salesforce.written_fields import ACCOUNT, INVOICE, INVOICE_LINE
from tests.consumers.crm_sync.conftest import UNITED, Desk, invoice, line
from tests.consumers.crm_sync.fake_org import FakeOrg


@pytest.fixture
def org() -> FakeOrg:
    """Return an org with one account."""
    return FakeOrg(accounts=(UNITED,))


async def push(desk: Desk, org: FakeOrg, sizes: Sizes = Sizes(), *, at_once: bool = True) -> int:  # noqa: B008
    """Run a round; with `at_once` what is to be tried later is tried now."""

    async def pace() -> None:
        """No pause."""

    if at_once:
        await desk.connection.execute("UPDATE crm_sync.written SET retry_at = NULL")
    return await PushRound(desk.connection, org, pace, sizes).run()


async def dirty(desk: Desk) -> list[str]:
    """Return the keys of the rows that are to be sent."""
    return [
        row["key"] for row in await desk.connection.fetch("SELECT key FROM crm_sync.written WHERE dirty ORDER BY 1")
    ]


async def failure(desk: Desk, key: str) -> str:
    """Return the sentence of a row."""
    return str(await desk.connection.fetchval("SELECT failure FROM crm_sync.written WHERE key = $1", key))


async def test_the_account_its_invoice_and_its_line_arrive_parents_first(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()), desk.kpi("mrr", "now", "80"))
    assert await push(desk, org) == 3

    assert org.calls == [("update", ACCOUNT, 1), ("upsert", INVOICE, 1), ("upsert", INVOICE_LINE, 1)]
    assert org.records[ACCOUNT][UNITED]["Fakturo_MRR__c"] == Decimal(80)
    head = org.records[INVOICE]["in-1"]
    assert (head["Account__c"], head["Total__c"], head["Status__c"]) == (UNITED, Decimal(100), "Open")
    assert org.records[INVOICE_LINE]["in-1-1"]["Fakturo_Invoice__r"] == {"Fakturo_Invoice_Id__c": "in-1"}
    assert await dirty(desk) == []


async def test_only_what_has_changed_is_sent_again(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    await push(desk, org)
    org.calls.clear()
    await desk.hand_in(desk.journal("finalized", "in-1", date(2026, 2, 1), ("in-1", 10_000)))
    await push(desk, org)
    assert org.calls == []  # the ledger says what was known: the whole amount is open
    await desk.hand_in(desk.journal("received", "p-1", date(2026, 3, 1), ("in-1", -10_000)))
    await push(desk, org)
    assert org.calls == [("upsert", INVOICE, 1)]
    assert org.records[INVOICE]["in-1"]["Paid_On__c"] == "2026-03-01"


async def test_rows_go_in_chunks_and_above_a_bound_in_one_bulk_job(desk: Desk, org: FakeOrg) -> None:
    lines = tuple(line(f"lin-{number:02d}", 1) for number in range(12))
    await desk.hand_in(desk.account(), desk.finalized(invoice(lines=lines)))
    sizes = Sizes(chunk_rows=4, bulk_above=5, bulk_rows=7)
    await push(desk, org, sizes)
    # 12 wait: a job of 7; 5 wait: chunks of 4 and 1.
    assert org.calls[2:] == [("bulk", INVOICE_LINE, 7), ("upsert", INVOICE_LINE, 4), ("upsert", INVOICE_LINE, 1)]


async def test_lines_of_one_invoice_are_sent_side_by_side(desk: Desk, org: FakeOrg) -> None:
    names = ["in-1", "in-2", "in-3"]
    told = [invoice(name, lines=tuple(line(f"{9 - number}-{name}", 1) for number in range(3))) for name in names]
    await desk.hand_in(desk.account(), *(desk.finalized(one) for one in told))
    await push(desk, org)
    parents = [record["Fakturo_Invoice__r"]["Fakturo_Invoice_Id__c"] for record in org.records[INVOICE_LINE].values()]
    assert parents == sorted(parents)


async def test_a_lock_is_tried_again_until_it_is_free(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    org.refusals["in-1"] = [("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")] * 7
    for _ in range(8):
        await push(desk, org)
    assert "in-1" in org.records[INVOICE]
    assert await dirty(desk) == []


async def test_what_is_to_be_tried_later_is_left_alone_until_then(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    org.refusals["in-1"] = [("UNABLE_TO_LOCK_ROW", "locked")]
    await push(desk, org)
    assert await push(desk, org, at_once=False) == 0


async def test_two_writers_that_insert_one_key_are_tried_again(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    org.refusals["in-1"] = [("DUPLICATE_VALUE", "duplicate value found")]
    await push(desk, org)
    await push(desk, org)
    assert await dirty(desk) == []


async def test_what_the_org_refuses_waits_with_a_sentence_and_the_rest_goes_on(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()), desk.finalized(invoice("in-2")))
    org.refusals["in-1"] = [("REQUIRED_FIELD_MISSING", "Required fields are missing: [Region__c]")]
    await push(desk, org)
    assert list(org.records[INVOICE]) == ["in-2"]
    assert await failure(desk, "in-1") == (
        "Fakturo Invoice in-1: Required fields are missing: [Region__c] (REQUIRED_FIELD_MISSING). "
        "The org asks for a field that we do not write: give it a default."
    )
    assert await push(desk, org) == 0

    await push_store.retry(desk.connection)
    await push(desk, org)
    assert sorted(org.records[INVOICE]) == ["in-1", "in-2"]
    assert await dirty(desk) == []


async def test_a_refused_row_is_sent_again_when_it_changes(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    org.refusals["in-1"] = [("STRING_TOO_LONG", "Reason")]
    await push(desk, org)
    await desk.hand_in(desk.document(invoices.INVOICE_VOIDED, invoice(status="void"), ":voided"))
    await push(desk, org)
    assert org.records[INVOICE]["in-1"]["Status__c"] == "Void"
    assert await dirty(desk) == []


async def test_a_record_that_cannot_pass_with_others_is_found_by_halving(desk: Desk, org: FakeOrg) -> None:
    class Picky(FakeOrg):
        async def upsert(self, entity: str, external_id: str, records: Any) -> Any:
            if any(record[external_id] == "in-3" for record in records):
                raise OrgRefused("JSON_PARSER_ERROR", "Cannot deserialize")
            return await super().upsert(entity, external_id, records)

    picky = Picky(accounts=(UNITED,))
    await desk.hand_in(desk.account(), *(desk.finalized(invoice(f"in-{number}")) for number in range(6)))
    await push(desk, picky)
    assert sorted(picky.records[INVOICE]) == ["in-0", "in-1", "in-2", "in-4", "in-5"]
    assert "JSON_PARSER_ERROR" in await failure(desk, "in-3")


async def test_an_object_that_the_org_does_not_know_is_put_on_hold_and_the_others_go_on(
    desk: Desk, org: FakeOrg
) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()), desk.kpi("mrr", "now", "80"))
    org.whole[ACCOUNT] = OrgRefused("INVALID_FIELD", "No such column 'Fakturo_MRR__c' on sobject of type Account")
    await push(desk, org)
    assert sorted(org.records[INVOICE]) == ["in-1"]
    assert "fakturo salesforce setup" in (await push_store.holds(desk.connection))[ACCOUNT]
    assert await push(desk, org) == 0  # on hold

    org.whole.clear()
    await push_store.retry(desk.connection)
    await push(desk, org)
    assert org.records[ACCOUNT][UNITED]["Fakturo_MRR__c"] == Decimal(80)
    assert await push_store.holds(desk.connection) == {}


async def test_a_field_that_every_row_is_refused_for_puts_the_object_on_hold(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()), desk.finalized(invoice("in-2")))
    for name in ("in-1", "in-2"):
        org.refusals[name] = [("INVALID_FIELD", "No such column 'Notes__c' on sobject of type Fakturo_Invoice__c")]
    await push(desk, org)
    assert "No such column 'Notes__c'" in (await push_store.holds(desk.connection))[INVOICE]
    assert await desk.connection.fetchval("SELECT count(*) FROM crm_sync.written WHERE refused") == 0


async def test_an_outage_in_the_middle_leaves_the_rest_to_be_sent(desk: Desk, org: FakeOrg) -> None:
    lines = tuple(line(f"lin-{number}", 1) for number in range(5))
    await desk.hand_in(desk.account(), desk.finalized(invoice(lines=lines)))
    sizes = Sizes(chunk_rows=2)
    calls = iter(range(100))

    async def dying_pace() -> None:
        if next(calls) == 3:
            raise OrgUnavailable("HTTP 503")

    with pytest.raises(OrgUnavailable):
        await PushRound(desk.connection, org, dying_pace, sizes).run()
    assert len(org.records[INVOICE_LINE]) == 2
    await push(desk, org, sizes)
    assert len(org.records[INVOICE_LINE]) == 5
    assert await dirty(desk) == []


async def test_an_answer_that_is_lost_makes_the_row_be_sent_again(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    await push(desk, org)
    await desk.hand_in(desk.document(invoices.INVOICE_VOIDED, invoice(status="void"), ":voided"))
    org.dies_after = True
    with pytest.raises(ConnectionError):
        await push(desk, org)
    assert await dirty(desk) == ["in-1"]
    await push(desk, org)
    assert await dirty(desk) == []


async def test_a_row_that_changes_while_it_is_sent_stays_dirty(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice(lines=())))
    taken = await push_store.take(desk.connection, INVOICE, 10)
    await desk.hand_in(desk.document(invoices.INVOICE_VOIDED, invoice(lines=(), status="void"), ":voided"))
    judged = [Judged(row=taken[0], outcome=Outcome.WRITTEN, record_id="rec1")]
    await push_store.save_outcomes(desk.connection, judged, [1.0])
    assert "in-1" in await dirty(desk)


async def test_a_row_that_changes_to_and_fro_while_it_is_sent_is_sent_once_more(desk: Desk, org: FakeOrg) -> None:
    """The org may hold what was in between: that the row says again what it once held proves nothing."""
    await desk.hand_in(desk.account(), desk.kpi("mrr", "now", "1"))
    await push(desk, org)
    await desk.hand_in(desk.kpi("mrr", "now", "2"))
    org.dies_after = True
    with pytest.raises(ConnectionError):
        await push(desk, org)
    assert org.records[ACCOUNT][UNITED]["Fakturo_MRR__c"] == Decimal(2)
    await desk.hand_in(desk.kpi("mrr", "now", "1"))
    await push(desk, org)
    assert org.records[ACCOUNT][UNITED]["Fakturo_MRR__c"] == Decimal(1)


async def test_a_line_that_a_draft_lost_leaves_the_org(desk: Desk, org: FakeOrg) -> None:
    lines = (line("lin-1", 1), line("lin-2", 1))
    draft = invoice(number=None, status="draft", lines=lines)
    await desk.hand_in(desk.account(), desk.document(invoices.INVOICE_DRAFTED, draft, ":1"))
    await push(desk, org)
    await desk.hand_in(desk.finalized(invoice(lines=lines[:1])))
    await push(desk, org)
    assert list(org.records[INVOICE_LINE]) == ["lin-1"]
    assert await dirty(desk) == []


async def test_a_draft_that_was_dropped_leaves_the_org_with_its_lines(desk: Desk, org: FakeOrg) -> None:
    draft = invoice(number=None, status="draft")
    dropped = invoice(number=None, status="draft", total_minor=0, lines=())
    await desk.hand_in(desk.account(), desk.document(invoices.INVOICE_DRAFTED, draft, ":1"))
    await push(desk, org)
    await desk.hand_in(desk.document(invoices.INVOICE_DRAFTED, dropped, ":2"))
    await push(desk, org)
    assert (org.records[INVOICE], org.records[INVOICE_LINE]) == ({}, {})
    assert await dirty(desk) == []


async def test_an_invoice_that_was_deleted_in_the_org_is_made_again_with_its_lines(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    await push(desk, org)
    org.remove(org.records[INVOICE]["in-1"]["Id"])
    assert org.records[INVOICE_LINE] == {}
    await desk.hand_in(desk.document(invoices.INVOICE_VOIDED, invoice(status="void"), ":voided"))
    await push(desk, org)
    assert list(org.records[INVOICE]) == ["in-1"]
    assert list(org.records[INVOICE_LINE]) == ["in-1-1"]


async def test_a_line_whose_invoice_is_gone_makes_the_invoice_again_first(desk: Desk, org: FakeOrg) -> None:
    lines = (line("lin-1", 1), line("lin-2", 1))
    await desk.hand_in(desk.account(), desk.finalized(invoice(lines=lines)))
    await push(desk, org)
    org.remove(org.records[INVOICE]["in-1"]["Id"])
    await desk.connection.execute("UPDATE crm_sync.written SET dirty = true, pushed_hash = NULL WHERE key = 'lin-1'")
    await push(desk, org)
    await push(desk, org)
    assert list(org.records[INVOICE]) == ["in-1"]
    assert sorted(org.records[INVOICE_LINE]) == ["lin-1", "lin-2"]
    assert await dirty(desk) == []


async def test_a_credit_note_waits_for_the_invoice_that_it_corrects(desk: Desk, org: FakeOrg) -> None:
    note = invoice("cn-1", -1, corrects="in-1", lines=())
    await desk.hand_in(desk.account(), desk.document(invoices.CREDIT_NOTE_ISSUED, note))
    assert await push(desk, org) == 1  # the account
    await desk.hand_in(desk.finalized(invoice()))
    await push(desk, org)
    assert org.records[INVOICE]["cn-1"]["Corrects__r"] == {"Fakturo_Invoice_Id__c": "in-1"}


async def test_an_account_that_was_deleted_in_the_org_is_a_matter_for_a_person(desk: Desk) -> None:
    empty = FakeOrg()
    await desk.hand_in(desk.account())
    await push(desk, empty)
    assert await failure(desk, "UA") == (
        f"Account {UNITED}: entity is deleted (ENTITY_IS_DELETED). The account was deleted in Salesforce: "
        "take it out of the bin, or let its contracts go."
    )
    found = await push_store.stand(desk.connection)
    assert [(one.entity, one.waiting, one.refused) for one in found] == [(ACCOUNT, 0, 1)]


async def test_rows_of_accounts_that_are_unknown_or_not_the_orgs_are_not_sent(desk: Desk, org: FakeOrg) -> None:
    await desk.hand_in(desk.finalized(invoice()), desk.finalized(invoice("in-2", account="elsewhere")))
    await desk.hand_in(desk.account("elsewhere", salesforce_id="customer-17"))
    assert await push(desk, org) == 0
    stand = {one.entity: one for one in await push_store.stand(desk.connection)}
    assert (stand[INVOICE].account_unknown, stand[INVOICE].foreign_account) == (1, 1)
    assert stand[ACCOUNT].foreign_account == 1
