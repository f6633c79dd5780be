"""Echoes of our own writes: dropped only where we wrote, and nothing but what is ours."""

from typing import Any

import pytest

from fakturo.schemas.events.change_data import ChangeRecord, Commit
from fakturo.schemas.salesforce.echoes import is_echo

OURS = "com/salesforce/api/rest/67.0;client=fakturo"
THEIRS = "com/salesforce/api/rest/67.0;client=dataloader"


def change(entity: str = "Account", kind: str = "UPDATE", origin: str | None = OURS, **fields: Any) -> ChangeRecord:
    return ChangeRecord(
        v=1,
        entity=entity,
        recordId="0015f00002AbCdEAAV",
        changeType=kind,
        commit=Commit(ts=1793534400000, origin=origin),
        **fields,
    )


KPI = ("Fakturo_MRR__c", "LastModifiedDate")


@pytest.mark.parametrize(
    "echo",
    [
        change(changed=KPI),
        change(changed=KPI, origin=OURS + "/"),
        change(changed=("LastModifiedDate",), nulled=("Fakturo_MRR__c",)),
        change("Fakturo_Invoice__c", "CREATE"),
        change("Fakturo_Invoice__c", "DELETE"),
    ],
)
def test_what_we_wrote_alone_is_an_echo(echo: ChangeRecord) -> None:
    assert is_echo(echo, "fakturo")


@pytest.mark.parametrize(
    "no_echo",
    [
        change(changed=KPI, origin=THEIRS),
        change(changed=KPI, origin=None),
        change(changed=KPI, origin="com/salesforce/api/rest/67.0;client=not-fakturo"),
        change(changed=(*KPI, "Name")),
        change(changed=KPI, diff=("Description",)),
        change(changed=()),
        change("Order", changed=KPI),
        change("Account", "CREATE"),
        change("Account", "DELETE"),
        change("Fakturo_Invoice__c", "GAP_CREATE"),
    ],
)
def test_what_somebody_else_changed_or_what_is_not_ours_is_none(no_echo: ChangeRecord) -> None:
    assert not is_echo(no_echo, "fakturo")


def test_without_a_client_name_there_are_no_echoes() -> None:
    assert not is_echo(change(changed=KPI, origin="x;client="), "")
