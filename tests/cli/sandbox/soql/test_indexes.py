"""An index finds what a look at every row finds, whatever was written before.

`(c OR c)` is the same condition, but none that an index answers: the same query, by an index and by every row.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.soql.execution import Queries

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
WRITES = st.lists(
    st.tuples(
        st.sampled_from(["insert", "update", "update", "delete", "undelete", "erase", "flash"]),
        st.integers(0, 9),  # which record
        st.integers(-2, 3),  # seconds that the clock moves, back as well
    ),
    min_size=3,
    max_size=25,
)


def conditions(org: SandboxOrg, at: int) -> tuple[str, ...]:
    """The conditions that an index answers."""
    ids = list(org.tables["Account"]) or ["001000000000000AAA"]
    moment = f"{NOON + timedelta(seconds=at):%Y-%m-%dT%H:%M:%SZ}"
    return (
        f"Id = '{ids[at % len(ids)]}'",
        "Id IN (" + ", ".join(f"'{one}'" for one in ids[::2]) + ")",
        f"Ext__c = 'E-{at}'",
        f"Ext__c IN ('e-{at}', 'e-{at + 1}', 'none')",
        f"SystemModstamp >= {moment}",
        f"SystemModstamp = {moment}",
        f"SystemModstamp > {moment} AND SystemModstamp <= {moment[:-3]}59Z",
        f"SystemModstamp < {moment}",
    )


def write(org: SandboxOrg, kind: str, which: int) -> None:
    """Write a record as told, if there is one that this can be done to."""
    table = org.tables["Account"]
    with org.transaction() as transaction:
        if kind in ("insert", "flash"):
            if not org.by_external("Account", "Ext__c", f"e-{which}"):
                made = transaction.insert("Account", {"Name": f"A{which}", "Ext__c": f"e-{which}"})
                if kind == "flash":  # came and went in one transaction: no event tells of it
                    transaction.delete("Account", made)
            return
        live = [one for one, row in table.items() if not row["IsDeleted"]]
        bin_ = [one for one, row in table.items() if row["IsDeleted"]]
        if kind in ("update", "delete") and live:
            record = live[which % len(live)]
            if kind == "update":
                transaction.update("Account", record, {"Phone": str(which)})
            else:
                transaction.delete("Account", record)
        elif kind == "erase" and bin_:
            transaction.hard_delete("Account", bin_[which % len(bin_)])
        elif kind == "undelete" and bin_:
            record = bin_[which % len(bin_)]
            if not org.by_external("Account", "Ext__c", table[record]["Ext__c"]):
                transaction.undelete("Account", record)


@settings(max_examples=100, deadline=None)
@example([("delete", 0, 0), ("erase", 0, 0), ("flash", 0, 0)], 0, 0, True)
@given(WRITES, st.integers(0, 3), st.integers(-2, 6), st.booleans())
def test_an_index_finds_what_every_row_would(
    writes: list[tuple[str, int, int]], asked_after: int, at: int, deleted: bool
) -> None:
    org = SandboxOrg(start=NOON)
    org.clock.freeze(NOON)
    org.add_field("Account", Field(name="Ext__c", type="string", length=20, external_id=True, unique=True))
    queries = Queries(org)
    for which in range(3):
        write(org, "insert", which)
    for place, (kind, which, seconds) in enumerate(writes):
        if place == asked_after:  # the order of stamps is built now, and must be kept from here on
            queries.answer("SELECT Id FROM Account WHERE SystemModstamp > 2026-01-01T00:00:00Z")
        org.clock.advance(seconds)
        write(org, kind, which)

    text = "SELECT Id FROM Account WHERE {} ORDER BY Id"
    for wanted in conditions(org, at):
        by_index = queries.answer(text.format(wanted), deleted=deleted)
        by_every_row = queries.answer(text.format(f"({wanted}) OR ({wanted})"), deleted=deleted)

        assert [row["Id"] for row in by_index.rows] == [row["Id"] for row in by_every_row.rows], wanted
