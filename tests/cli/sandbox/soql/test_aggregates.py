"""GROUP BY and aggregate functions over five opportunities, added up by hand.

Stage     Amounts            n   sum     average
Won       100.10, 200.20     2   300.30  150.15
Lost      50, (null), 50     3   100     50 (of the two that have one)
Source    SOQL and SOSL Reference, "GROUP BY", "HAVING", "Aggregate Functions".
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.soql.execution import Queries

WON, LOST = "Closed Won", "Closed Lost"


@pytest.fixture(scope="module")
def queries() -> Queries:
    org = SandboxOrg(start=datetime(2026, 11, 26, 12, tzinfo=UTC))
    with org.transaction() as tx:
        account = tx.insert("Account", {"Name": "Acme"})
        for place, (stage, amount) in enumerate(
            [(WON, "100.10"), (WON, "200.20"), (LOST, "50"), (LOST, None), (LOST, "50")]
        ):
            values = {"Name": f"O{place}", "StageName": stage, "CloseDate": f"202{place}-0{place + 1}-15"}
            tx.insert("Opportunity", values | {"Amount": amount, "AccountId": account})
    return Queries(org)


def groups(queries: Queries, text: str) -> list[dict[str, Any]]:
    answer = queries.answer(text)
    records = answer.records(0, len(answer), "67.0")
    assert all(record.pop("attributes") == {"type": "AggregateResult"} for record in records)
    return records


def test_each_group_is_a_record_with_its_keys_and_aggregates(queries: Queries) -> None:
    found = groups(
        queries,
        "SELECT StageName, COUNT(Id), COUNT(Amount) filled, COUNT_DISTINCT(Amount), SUM(Amount) total, AVG(Amount), "
        "MIN(Amount), MAX(CloseDate) FROM Opportunity GROUP BY StageName ORDER BY SUM(Amount) DESC",
    )

    assert found == [
        {
            "StageName": WON,
            "expr0": 2,
            "filled": 2,
            "expr1": 2,
            "total": Decimal("300.3"),
            "expr2": Decimal("150.15"),
            "expr3": Decimal("100.1"),
            "expr4": "2021-02-15",
        },
        {
            "StageName": LOST,
            "expr0": 3,
            "filled": 2,
            "expr1": 1,
            "total": Decimal(100),
            "expr2": Decimal(50),
            "expr3": Decimal(50),
            "expr4": "2024-05-15",
        },
    ]


def test_without_group_by_there_is_one_group_even_of_nothing(queries: Queries) -> None:
    text = "SELECT COUNT(Id) n, SUM(Amount) s, MAX(Name) m FROM Opportunity WHERE Name LIKE '{}'"

    assert groups(queries, text.format("%")) == [{"n": 5, "s": Decimal("400.3"), "m": "O4"}]
    assert groups(queries, text.format("x")) == [{"n": 0, "s": None, "m": None}]


def test_an_average_has_the_digits_of_a_double(queries: Queries) -> None:
    # 400.30 / 4 of all, and of the three least 200.10 / 3 = 66.7 exactly; of 100.10, 50, 200.20 -> 350.30 / 3
    (found,) = groups(queries, "SELECT AVG(Amount) a FROM Opportunity WHERE Name IN ('O0', 'O1', 'O2')")

    assert found["a"] == Decimal("116.766666666667")


def test_having_and_limit_look_at_groups(queries: Queries) -> None:
    text = "SELECT StageName s FROM Opportunity GROUP BY StageName "

    assert groups(queries, text + "HAVING COUNT(Id) > 2") == [{"s": LOST}]
    assert groups(queries, text + "HAVING SUM(Amount) > 1000") == []
    assert groups(queries, text + "ORDER BY StageName LIMIT 1") == [{"s": WON}]  # in the order of the picklist
    assert groups(queries, text + "ORDER BY COUNT(Id) DESC OFFSET 1") == [{"s": WON}]


def test_groups_by_a_parent_and_by_a_function_of_a_date(queries: Queries) -> None:
    assert groups(queries, "SELECT Account.Name, COUNT(Id) n FROM Opportunity GROUP BY Account.Name") == [
        {"Name": "Acme", "n": 5}
    ]
    assert groups(
        queries,
        "SELECT CALENDAR_YEAR(CloseDate) y, COUNT(Id) n FROM Opportunity "
        "GROUP BY CALENDAR_YEAR(CloseDate) HAVING CALENDAR_YEAR(CloseDate) < 2022 ORDER BY CALENDAR_YEAR(CloseDate)",
    ) == [{"y": 2020, "n": 1}, {"y": 2021, "n": 1}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT Name, COUNT(Id) FROM Opportunity", "Field must be grouped or aggregated: Name"),
        ("SELECT Name FROM Opportunity GROUP BY StageName", "Field must be grouped or aggregated: Name"),
        ("SELECT SUM(Name) FROM Opportunity", "does not support aggregate operator SUM"),
        ("SELECT SUM(Amount) a, MAX(Amount) a FROM Opportunity", "duplicate alias: a"),
        ("SELECT Id FROM Opportunity WHERE COUNT(Id) > 1", "COUNT isn't allowed here"),
        ("SELECT SUM() FROM Opportunity", "SUM takes a field"),
        ("SELECT SOUNDEX(Name) FROM Opportunity", "Unknown function 'SOUNDEX'"),
        ("SELECT CALENDAR_YEAR(CloseDate) FROM Opportunity", "must be grouped or aggregated"),
    ],
)
def test_what_can_not_be_grouped_is_malformed(queries: Queries, text: str, words: str) -> None:
    with pytest.raises(OrgError) as caught:
        queries.answer(text)

    assert caught.value.code == "MALFORMED_QUERY"
    assert words in caught.value.message
