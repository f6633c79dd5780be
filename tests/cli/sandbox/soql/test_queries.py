"""Queries answered over a small org whose rows can be counted by hand.

Source    SOQL and SOSL Reference; REST API Developer Guide, "Query".
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.soql.execution import Queries

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Company:
    """An org with three accounts, two contacts and an order with three items, and its queries."""

    def __init__(self) -> None:
        self.org = SandboxOrg(start=NOON)
        self.org.clock.freeze(NOON)
        self.org.add_field("Account", Field(name="Ext__c", type="string", length=40, external_id=True, unique=True))
        self.org.add_field("Account", Field(name="Tags__c", type="multipicklist", picklist=("A", "B", "C")))
        self.queries = Queries(self.org)
        with self.org.transaction() as tx:
            self.acme = tx.insert(
                "Account",
                {"Name": "Acme", "Ext__c": "x-1", "BillingCity": "Bern", "AnnualRevenue": "1000.50", "Tags__c": "A;B"},
            )
            self.beta = tx.insert("Account", {"Name": "beta", "Ext__c": "x-2", "AnnualRevenue": 20, "Tags__c": "C"})
            self.none = tx.insert("Account", {"Name": "O'Neil", "ParentId": self.acme})
            self.jane = tx.insert("Contact", {"FirstName": "Jane", "LastName": "Doe", "AccountId": self.acme})
            tx.insert("Contact", {"LastName": "Ash", "AccountId": self.acme})

    def rows(self, text: str, *, deleted: bool = False) -> list[dict[str, Any]]:
        """The records of an answer, without their attributes."""
        answer = self.queries.answer(text, deleted=deleted)
        return [{k: v for k, v in one.items() if k != "attributes"} for one in answer.records(0, len(answer), "67.0")]

    def names(self, where: str, *, deleted: bool = False) -> list[str]:
        """The names of the accounts that fit, in the order of their ids."""
        return [row["Name"] for row in self.rows(f"SELECT Name FROM Account WHERE {where}", deleted=deleted)]

    def refusal(self, text: str) -> OrgError:
        """What is said of a query that can't be answered."""
        with pytest.raises(OrgError) as caught:
            self.queries.answer(text)
        return caught.value


@pytest.fixture(scope="module")
def read_only() -> Company:
    return Company()


@pytest.fixture
def company() -> Company:
    return Company()


def test_a_record_has_its_type_and_place_and_the_fields_as_describe_spells_them(read_only: Company) -> None:
    answer = read_only.queries.answer(f"select id, name, annualrevenue from account where id = '{read_only.acme[:15]}'")

    assert answer.records(0, 10, "67.0") == [
        {
            "attributes": {"type": "Account", "url": f"/services/data/v67.0/sobjects/Account/{read_only.acme}"},
            "Id": read_only.acme,
            "Name": "Acme",
            "AnnualRevenue": Decimal(1001),
        }
    ]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Name = 'ACME'", ["Acme"]),
        ("Name != 'acme'", ["beta", "O'Neil"]),
        ("Name = 'O\\'Neil'", ["O'Neil"]),
        ("Name LIKE '%e%'", ["Acme", "beta", "O'Neil"]),
        ("Name LIKE '_eta'", ["beta"]),
        ("NOT Name LIKE 'b%'", ["Acme", "O'Neil"]),
        ("Name IN ('acme', 'BETA')", ["Acme", "beta"]),
        ("Name NOT IN ('acme')", ["beta", "O'Neil"]),
        ("BillingCity = null", ["beta", "O'Neil"]),
        ("BillingCity = ''", ["beta", "O'Neil"]),
        ("BillingCity != null", ["Acme"]),
        ("BillingCity != 'Bonn'", ["Acme", "beta", "O'Neil"]),
        ("AnnualRevenue > 20", ["Acme"]),
        ("AnnualRevenue >= 20.00", ["Acme", "beta"]),
        ("AnnualRevenue < 1e6", ["Acme", "beta"]),
        ("AnnualRevenue <= 20", ["beta"]),
        ("AnnualRevenue = 1001.0", ["Acme"]),
        ("AnnualRevenue = null", ["O'Neil"]),
        ("(Name = 'beta' OR Name = 'acme') AND AnnualRevenue > 100", ["Acme"]),
        ("Name = 'beta' OR Name = 'acme' OR Name = 'x'", ["Acme", "beta"]),
        ("NOT (Name = 'beta' OR Name = 'acme')", ["O'Neil"]),
        ("Tags__c INCLUDES ('A;B', 'C')", ["Acme", "beta"]),
        ("Tags__c INCLUDES ('A;C')", []),
        ("Tags__c EXCLUDES ('A', 'C')", ["O'Neil"]),
        ("Parent.Name = 'Acme'", ["O'Neil"]),
        ("Parent.Owner.IsActive = true", ["O'Neil"]),
        ("Parent.Name = null", ["Acme", "beta"]),
        ("Account.Name = 'Acme'", ["Acme"]),
        ("Ext__c = 'X-1'", ["Acme"]),
        ("Ext__c IN ('x-2', 'x-1', 'x-9')", ["Acme", "beta"]),
        ("CreatedDate = TODAY", ["Acme", "beta", "O'Neil"]),
        ("CreatedDate > TODAY", []),
        ("CreatedDate >= TODAY", ["Acme", "beta", "O'Neil"]),
        ("CreatedDate < LAST_N_DAYS:1", []),
        ("CreatedDate = 2026-11-26T13:00:00+01:00", ["Acme", "beta", "O'Neil"]),
        ("SystemModstamp > 2026-11-26T12:00:00Z", []),
        ("SystemModstamp >= 2026-11-26T12:00:00Z AND SystemModstamp < 2026-11-27T00:00:00.5Z AND Name = 'b'", []),
        ("CALENDAR_YEAR(CreatedDate) = 2026 AND HOUR_IN_DAY(CreatedDate) = 12", ["Acme", "beta", "O'Neil"]),
        ("DAY_ONLY(CreatedDate) = 2026-11-26", ["Acme", "beta", "O'Neil"]),
        ("IsDeleted = false", ["Acme", "beta", "O'Neil"]),
        ("Id IN (SELECT AccountId FROM Contact WHERE LastName = 'Ash')", ["Acme"]),
        ("Id NOT IN (SELECT AccountId FROM Contact)", ["beta", "O'Neil"]),
    ],
)  # fmt: skip
def test_where_finds_what_salesforce_finds(read_only: Company, where: str, names: list[str]) -> None:
    assert read_only.names(where) == names


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("Name", ["Acme", "beta", "O'Neil"]),
        ("Name DESC", ["O'Neil", "beta", "Acme"]),
        ("AnnualRevenue", ["O'Neil", "beta", "Acme"]),
        ("AnnualRevenue DESC", ["O'Neil", "Acme", "beta"]),
        ("AnnualRevenue DESC NULLS LAST", ["Acme", "beta", "O'Neil"]),
        ("BillingCity NULLS LAST, Name DESC", ["Acme", "O'Neil", "beta"]),
        ("Parent.Name NULLS FIRST, Name DESC LIMIT 1 OFFSET 1", ["Acme"]),
    ],
)
def test_order_by_sorts_by_every_key_and_puts_nulls_where_it_is_told(
    read_only: Company, order: str, names: list[str]
) -> None:
    assert [row["Name"] for row in read_only.rows(f"SELECT Name FROM Account ORDER BY {order}")] == names


def test_parents_are_records_of_their_own_or_null(read_only: Company) -> None:
    rows = read_only.rows("SELECT Name, Parent.Name, Parent.Owner.Id FROM Account ORDER BY Name DESC LIMIT 2")

    assert rows[0]["Parent"]["attributes"]["type"] == "Account"
    assert rows[0]["Parent"]["Name"] == "Acme"
    assert rows[0]["Parent"]["Owner"]["Id"] == read_only.org.user_id
    assert rows[1]["Parent"] is None


def test_children_are_an_answer_within_the_record(read_only: Company) -> None:
    rows = read_only.rows(
        "SELECT Name, (SELECT Name FROM Contacts WHERE LastName LIKE '%' ORDER BY LastName LIMIT 1) FROM Account "
        "WHERE Ext__c != null ORDER BY Name"
    )

    assert rows[0]["Contacts"]["totalSize"] == 1
    assert rows[0]["Contacts"]["done"] is True
    assert [child["Name"] for child in rows[0]["Contacts"]["records"]] == ["Ash"]
    assert rows[1]["Contacts"] is None


def test_fields_stands_for_the_fields_of_describe(read_only: Company) -> None:
    (every,) = read_only.rows("SELECT FIELDS(ALL) FROM Account LIMIT 1")
    (custom,) = read_only.rows("SELECT Id, FIELDS(CUSTOM) FROM Account LIMIT 1")
    (standard,) = read_only.rows("SELECT FIELDS(STANDARD) FROM Account LIMIT 1")

    assert set(every) == set(read_only.org.objects["Account"].fields)
    assert set(custom) == {"Id", "Ext__c", "Tags__c"}
    assert set(standard) == set(every) - {"Ext__c", "Tags__c"}
    assert every["BillingAddress"]["city"] == "Bern"


def test_count_counts_and_shows_no_records(read_only: Company) -> None:
    answer = read_only.queries.answer("SELECT COUNT() FROM Account WHERE Name LIKE '%e%'")

    assert (answer.total, answer.records(0, 10, "67.0")) == (3, [])


def test_deleted_rows_are_seen_only_by_who_asks_for_them(company: Company) -> None:
    with company.org.transaction() as tx:
        tx.delete("Account", company.beta)

    assert company.names("Name = 'beta'") == []
    assert company.names("Name = 'beta'", deleted=True) == ["beta"]
    assert company.names("Ext__c = 'x-2'", deleted=True) == ["beta"]
    assert company.names("IsDeleted = true", deleted=True) == ["beta"]
    assert company.names(f"Id = '{company.beta}'") == []


def test_a_range_of_stamps_finds_the_rows_written_in_it_after_updates_and_a_clock_set_back(company: Company) -> None:
    assert len(company.names("SystemModstamp >= 2026-11-26T00:00:00Z")) == 3  # the order of stamps is built here
    company.org.clock.freeze(datetime(2026, 11, 26, 13, tzinfo=UTC))
    with company.org.transaction() as tx:
        tx.update("Account", company.acme, {"BillingCity": "Basel"})
    company.org.clock.freeze(datetime(2026, 11, 26, 11, tzinfo=UTC))
    with company.org.transaction() as tx:
        tx.update("Account", company.beta, {"BillingCity": "Basel"})
        tx.delete("Account", company.none)

    assert company.names("SystemModstamp > 2026-11-26T12:00:00Z") == ["Acme"]
    assert company.names("SystemModstamp < 2026-11-26T12:00:00Z") == ["beta"]
    assert company.names("SystemModstamp < 2026-11-26T12:00:00Z", deleted=True) == ["beta", "O'Neil"]
    assert company.names("SystemModstamp = 2026-11-26T12:00:00Z", deleted=True) == []


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("SELECT Foo FROM Account", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'"),
        ("SELECT Id FROM Account WHERE Foo = 1", "INVALID_FIELD", "ERROR at Row:1:Column:30\nNo such column 'Foo'"),
        ("SELECT Id FROM Account ORDER BY Foo", "INVALID_FIELD", "No such column 'Foo'"),
        ("SELECT Foo.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Foo' in field path"),
        ("SELECT Id, (SELECT Id FROM Foos) FROM Account", "INVALID_TYPE", "Didn't understand relationship 'Foos'"),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "sObject type 'Foo' is not supported"),
        ("SELECT Id FROM Account WHERE Name = 3", "INVALID_FIELD", "must be of type string and should be enclosed"),
        ("SELECT Id FROM Account WHERE AnnualRevenue = '3'", "INVALID_FIELD", "should not be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE CreatedDate > 2026-11-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Account WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("SELECT Id FROM Account WHERE IsDeleted > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Account WHERE Id LIKE '001%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Account WHERE BillingAddress = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Account ORDER BY BillingAddress", "MALFORMED_QUERY", "can not be sorted"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT of at most 200"),
        ("SELECT Id, Id FROM Account", "MALFORMED_QUERY", "duplicate field selected: Id"),
        ("SELECT Id a FROM Account", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
        ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed"),
        ("SELECT Id FROM Account WHERE Id IN (SELECT Id, Name FROM Account)", "MALFORMED_QUERY", "selects one field"),
        ("SELECT Id FROM Account HAVING COUNT(Id) > 1", "MALFORMED_QUERY", "HAVING"),
    ],
)
def test_what_the_org_has_not_is_refused_in_the_words_of_salesforce(
    read_only: Company, text: str, code: str, words: str
) -> None:
    refusal = read_only.refusal(text)

    assert refusal.code == code
    assert words in refusal.message


def test_an_answer_is_not_touched_by_writes_after_it(company: Company) -> None:
    answer = company.queries.answer("SELECT Name FROM Account ORDER BY Name")
    with company.org.transaction() as tx:
        tx.update("Account", company.acme, {"Name": "Zeta"})
        tx.delete("Account", company.beta)

    assert [row["Name"] for row in answer.records(0, 10, "67.0")] == ["Acme", "beta", "O'Neil"]
