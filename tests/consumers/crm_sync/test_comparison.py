"""The org against the rows: what differs is found and sent again."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from fakturo.consumers.crm_sync.comparison import compare, soql_of
from fakturo.schemas.salesforce.written_fields import ACCOUNT, INVOICE, INVOICE_LINE
from tests.consumers.crm_sync.conftest import UNITED, Desk, invoice, line
from tests.consumers.crm_sync.fake_org import FakeOrg
from tests.consumers.crm_sync.test_pushing import dirty, push


class AnsweringOrg(FakeOrg):
    """Answers with its records as REST gives them: instants with their offset, parents as records of their own."""

    async def query(self, soql: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield one row a page."""
        for record in list(self.records[soql.split(" FROM ")[1].split(" ")[0]].values()):
            yield [{name: _as_rest(value) for name, value in record.items()}]


def _as_rest(value: Any) -> Any:
    if isinstance(value, str) and len(value) == 20 and value.endswith("Z"):
        return value.removesuffix("Z") + ".000+0000"
    return value


@pytest.fixture
async def org(desk: Desk) -> AnsweringOrg:
    """Return an org that holds all that it is to hold."""
    made = AnsweringOrg(accounts=(UNITED,))
    lines = (line("lin-1", 6_000), line("lin-2", 4_000))
    await desk.hand_in(desk.account(), desk.kpi("mrr", "now", "80"), desk.finalized(invoice(lines=lines)))
    await push(desk, made)
    return made


async def test_an_org_that_holds_what_it_is_to_hold_differs_in_nothing(desk: Desk, org: AnsweringOrg) -> None:
    found = await compare(desk.connection, org)
    assert found.differences == []
    assert [counts["compared"] for counts in found.counts.values()] == [1, 1, 2]
    assert await dirty(desk) == []


async def test_a_value_that_somebody_changed_is_named_and_sent_again(desk: Desk, org: AnsweringOrg) -> None:
    org.records[INVOICE]["in-1"] |= {"Total__c": Decimal("99.5"), "Due_Date__c": None}
    org.records[ACCOUNT][UNITED]["Fakturo_MRR__c"] = None
    found = await compare(desk.connection, org)
    assert [(one.entity, one.key, one.kind, dict(one.fields)) for one in found.differences] == [
        (ACCOUNT, "UA", "differs", {"Fakturo_MRR__c": (None, "80")}),
        (INVOICE, "in-1", "differs", {"Total__c": ("99.5", "100"), "Due_Date__c": (None, "2026-03-03")}),
    ]
    await push(desk, org)
    assert (await compare(desk.connection, org)).differences == []


async def test_after_a_restore_from_an_old_backup_everything_is_made_again(desk: Desk, org: AnsweringOrg) -> None:
    org.records[INVOICE].clear()
    org.records[INVOICE_LINE].clear()
    found = await compare(desk.connection, org)
    assert [(one.key, one.kind) for one in found.differences] == [
        ("in-1", "missing"),
        ("lin-1", "missing"),
        ("lin-2", "missing"),
    ]
    await push(desk, org)
    assert (await compare(desk.connection, org)).differences == []
    assert sorted(org.records[INVOICE_LINE]) == ["lin-1", "lin-2"]


async def test_a_line_that_came_back_with_the_backup_is_taken_out_again(desk: Desk, org: AnsweringOrg) -> None:
    kept = dict(org.records[INVOICE_LINE]["lin-2"])
    await desk.hand_in(desk.document("fakturo.invoice.paid.v1", invoice(lines=(line("lin-1", 10_000),)), ":paid"))
    await push(desk, org)
    org.records[INVOICE_LINE]["lin-2"] = kept
    found = await compare(desk.connection, org)
    assert [(one.key, one.kind) for one in found.differences] == [("lin-2", "extra")]
    await push(desk, org)
    assert list(org.records[INVOICE_LINE]) == ["lin-1"]


async def test_a_record_that_no_book_knows_is_shown_and_left_alone(desk: Desk, org: AnsweringOrg) -> None:
    org.records[INVOICE]["elsewhere"] = {"Id": "rec9", "Fakturo_Invoice_Id__c": "elsewhere"}
    found = await compare(desk.connection, org)
    assert [(one.key, one.kind) for one in found.differences] == [("elsewhere", "unknown")]
    assert await dirty(desk) == []


async def test_what_is_still_to_be_sent_is_no_difference(desk: Desk, org: AnsweringOrg) -> None:
    await desk.hand_in(desk.kpi("mrr", "now", "90"))
    assert (await compare(desk.connection, org)).differences == []


def test_a_parent_is_asked_for_by_its_external_id() -> None:
    assert "Fakturo_Invoice__r.Fakturo_Invoice_Id__c" in soql_of(INVOICE_LINE)
    assert soql_of(INVOICE_LINE).endswith(" FROM Fakturo_Invoice_Line__c WHERE Fakturo_Line_Id__c != null")
    assert soql_of(ACCOUNT).endswith(" FROM Account")
