"""SOQL's grammar: what a text means as a tree, and where it says that a text is wrong.

Source    SOQL and SOSL Reference, "SOQL SELECT Syntax" and its clauses.
"""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.cli.sandbox.soql.errors import SoqlError
from fakturo.cli.sandbox.soql.lexer import Kind, Token, like_pattern
from fakturo.cli.sandbox.soql.parser import parse
from fakturo.cli.sandbox.soql.tree import Comparison, FieldsOf, Junction, Literal, Negation, Path, Select


def literal_of(text: str) -> Literal:
    where = parse(f"SELECT Id FROM A WHERE x = {text}").where
    assert isinstance(where, Comparison) and isinstance(where.value, Literal)
    return where.value


def fault_of(text: str) -> SoqlError:
    with pytest.raises(SoqlError) as caught:
        parse(text)
    return caught.value


def test_a_query_with_every_clause_becomes_a_tree() -> None:
    query = parse(
        "SELECT o.Id, Account.Name, FIELDS(CUSTOM), (SELECT Id FROM OrderItems LIMIT 3) FROM Order o USING SCOPE mine "
        "WHERE Name LIKE 'a%' AND (NOT Total > 3) GROUP BY Name HAVING COUNT(Id) > 1 "
        "ORDER BY Name DESC NULLS LAST, Id LIMIT 5 OFFSET 2 FOR VIEW FOR UPDATE"
    )

    assert query.source == "Order"
    assert query.alias == "o"
    assert [str(item.expression) for item in query.items[:2]] == ["o.Id", "Account.Name"]
    assert isinstance(query.items[2].expression, FieldsOf)
    assert isinstance(query.items[3].expression, Select)
    assert query.items[3].expression.limit == 3
    assert isinstance(query.where, Junction) and isinstance(query.where.parts[1], Negation)
    assert [(key.descending, key.nulls_last) for key in query.order_by] == [(True, True), (False, False)]
    assert (query.limit, query.offset) == (5, 2)
    assert query.having is not None


def test_keywords_are_read_in_any_capitals() -> None:
    assert parse("select Id from A where x in ('1') order by Id desc limit 1") == parse(
        "SELECT Id FROM A WHERE x IN ('1') ORDER BY Id DESC LIMIT 1"
    )


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("null", "null", None),
        ("TRUE", "boolean", True),
        ("false", "boolean", False),
        ("-12.50", "number", Decimal("-12.50")),
        ("1e3", "number", Decimal(1000)),
        ("'it\\'s \\\\ \\u00e9\\n'", "string", "it's \\ é\n"),
        ("2026-11-01", "date", date(2026, 11, 1)),
        ("2026-11-01T12:00:00Z", "datetime", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00:00.250+01:00", "datetime", datetime(2026, 11, 1, 11, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-01T12:00:00-0530", "datetime", datetime(2026, 11, 1, 17, 30, tzinfo=UTC)),
        ("last_n_days:30", "period", "LAST_N_DAYS:30"),
        ("THIS_FISCAL_QUARTER", "period", "THIS_FISCAL_QUARTER"),
    ],
)
def test_a_literal_is_read_with_its_kind(text: str, kind: str, value: object) -> None:
    found = literal_of(text)

    assert (found.kind, found.value) == (kind, value)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("SELECT Id FRM Account", 11),
        ("SELECT FROM Account", 13),
        ("SELECT Id", 10),
        ("SELECT Id FROM Account WHERE", 29),
        ("SELECT Id FROM Account WHERE Name = 'x", 37),
        ("SELECT Id FROM Account WHERE Name == 'x'", 36),
        ("SELECT Id FROM Account WHERE Name = Acme", 37),
        ("SELECT Id FROM Account WHERE a = 1 AND b = 2 OR c = 3", 46),
        ("SELECT Id FROM Account LIMIT -1", 30),
        ("SELECT Id FROM Account LIMIT 1 nonsense", 32),
        ("SELECT Id; FROM Account", 10),
        ("SELECT Id FROM Account WHERE a = 2026-13-01", 34),
        ("SELECT TYPEOF What WHEN Account THEN Name END FROM Event", 8),
        ("SELECT Id FROM Account WHERE Name = 'a\\q'", 37),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, column: int) -> None:
    fault = fault_of(text)

    assert fault.code == "MALFORMED_QUERY"
    assert f"ERROR at Row:1:Column:{column}\n" in fault.message(text)


def test_the_message_shows_the_line_and_a_caret_under_the_fault() -> None:
    text = "SELECT Id\nFROM Account\nWHERE Name ~ 1"

    message = fault_of(text).message(text)

    assert message == "\nWHERE Name ~ 1\n           ^\nERROR at Row:3:Column:12\nunexpected token: '~'"


def test_a_query_longer_than_100_000_characters_is_refused() -> None:
    assert fault_of("SELECT Id FROM Account WHERE Name = '" + "x" * 100_000 + "'").code == "MALFORMED_QUERY"


def test_parentheses_without_end_are_refused_before_the_stack_is_full() -> None:
    assert fault_of("SELECT Id FROM Account WHERE " + "(" * 5000).code == "MALFORMED_QUERY"
    assert fault_of("SELECT Id FROM Account WHERE " + "NOT " * 5000 + "a = 1").code == "MALFORMED_QUERY"


@given(st.text(max_size=40))
def test_any_text_survives_as_a_string_literal(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")

    assert literal_of(f"'{escaped}'").value == text


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_malformed(text: str) -> None:
    try:
        parse("SELECT " + text)
    except SoqlError as fault:
        assert fault.code == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    ("pattern", "fitting", "missing"),
    [
        ("ac%", "ACME", "mac"),
        ("_cme", "acme", "acmes"),
        ("100\\%", "100%", "1000"),
        ("a\\_b", "a_b", "axb"),
        ("%.%", "a.b", "ab"),
        ("%\n%", "a\nb", "ab"),
    ],
)
def test_like_knows_its_two_wildcards_and_their_escapes(pattern: str, fitting: str, missing: str) -> None:
    compiled = like_pattern(Token(Kind.STRING, pattern, 0))

    assert compiled.fullmatch(fitting)
    assert not compiled.fullmatch(missing)


def test_a_path_keeps_its_place_for_the_error_that_may_follow() -> None:
    assert parse("SELECT Id, Account.Name FROM Order").items[1].expression == Path(("Account", "Name"), 11)
