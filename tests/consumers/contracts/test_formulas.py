"""Formulas of a profile: results worked out by hand, faults with their column, and nothing that stops the agent."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.consumers.contracts.formulas import FormulaFault, Trouble, as_text, evaluate, fields_in, parse

D = Decimal


def work_out(formula: str, **fields: Any) -> Any:
    return evaluate(parse(formula), fields.get)


@pytest.mark.parametrize(
    ("formula", "fields", "result"),
    [
        ("=Seats__c * 12", {"Seats__c": "5"}, D(60)),
        ("=2 + 3 * 4 - 10 / 4", {}, D("11.5")),
        ("=(2 + 3) * -4", {}, D(-20)),
        ("=A__c - B__c - 1", {"A__c": "10", "B__c": "4"}, D(5)),  # from the left: (10 - 4) - 1
        ("=round(10 / 3, 2)", {}, D("3.33")),
        ("=round(2.5, 0)", {}, D(3)),  # half away from zero, not to the even 2
        ("=round(-2.5, 0)", {}, D(-3)),
        ("=if(Type__c = 'Gold', 0.9, 1) * Price__c", {"Type__c": "Gold", "Price__c": "10.00"}, D("9.000")),
        ("=if(blank(A__c), B__c, A__c)", {"B__c": "7"}, "7"),
        ("=min(A__c, 100)", {"A__c": "250"}, D(100)),
        ("=max(A__c, B__c, 3)", {"A__c": None, "B__c": ""}, D(3)),  # what is empty does not count
        ("=A__c & ' ' & B__c", {"A__c": "Ana", "B__c": "Silva"}, "Ana Silva"),
        ("=A__c & B__c", {"A__c": "Ana"}, "Ana"),
        ("=text(A__c * 2) & ' seats'", {"A__c": "1.50"}, "3 seats"),
        ("=A__c = 1", {"A__c": "1.00"}, True),
        ("=A__c <> 'x'", {"A__c": None}, True),
        ("=A__c < B__c", {"A__c": "2026-01-31", "B__c": "2026-02-01"}, True),  # dates are texts that compare rightly
        ("=A__c > 1", {"A__c": None}, False),
        ("=and(A__c >= 1, or(B__c, not(blank(C__c))))", {"A__c": 1, "B__c": False, "C__c": "x"}, True),
        ("=A__c * 12", {"A__c": None}, None),
        ("=if(A__c, 1, 2)", {"A__c": True}, D(1)),
        ("=if(A__c, 1, 1 / 0)", {"A__c": "true"}, D(1)),  # the other branch is not worked out
        ("=A__c + 1", {"A__c": 3}, D(4)),
    ],
)
def test_a_formula_gives_what_it_says(formula: str, fields: dict[str, Any], result: Any) -> None:
    assert work_out(formula, **fields) == result


@pytest.mark.parametrize(
    ("formula", "column", "says"),
    [
        ("=Seats__c *", 12, "expected a field, a number or a text, found the end"),
        ("=Seats__c 12", 11, "did not expect '12'"),
        ("=if(A__c, 1)", 2, "it takes 3"),
        ("=sqrt(A__c)", 2, "does not know the function sqrt; known: if, blank"),
        ("=A__c + 'abc", 9, "the text has no closing quote"),
        ("=A__c % 2", 7, "does not know '%'"),
        ("=(A__c", 7, "expected ), found the end"),
        ("=", 2, "found the end"),
        ("=__import__('os')", 2, "does not know '_'"),
        ("=" + "(" * 60 + "1" + ")" * 60, 53, "is nested deeper than 50"),
        ("=" + "1+" * 600 + "1", 1, "is longer than 1000 characters"),
    ],
)
def test_what_is_no_formula_is_refused_with_its_column(formula: str, column: int, says: str) -> None:
    with pytest.raises(FormulaFault) as caught:
        parse(formula)
    assert caught.value.column == column
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("formula", "fields", "says"),
    [
        ("=A__c / B__c", {"A__c": "1", "B__c": "0"}, "divides by zero"),
        ("=A__c * 2", {"A__c": "Invoice Plan"}, "needs a number, not 'Invoice Plan'"),
        ("=A__c * 2", {"A__c": True}, "needs a number, not True"),
        ("=A__c * A__c", {"A__c": "9" * 20}, "a number of more than 24 digits"),
        ("=round(A__c, 13)", {"A__c": "1"}, "it must be 0 to 12"),
        ("=A__c + 1", {"A__c": "NaN"}, "needs a number, not 'NaN'"),
    ],
)
def test_a_formula_without_a_result_says_why(formula: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Trouble, match=says.replace("(", r"\(")):
        work_out(formula, **fields)


def test_a_formula_names_the_fields_that_it_reads() -> None:
    formula = "=if(blank(A__c), B.City, ContractId->Contract.EndDate) & 'C__c'"
    assert fields_in(parse(formula)) == {"A__c", "B.City", "ContractId->Contract.EndDate"}


@pytest.mark.parametrize(
    ("number", "text"), [("1.50", "1.5"), ("100", "100"), ("-0.00", "0"), ("0.0000000000005", "0.000000000001")]
)
def test_a_result_is_written_in_plain_digits(number: str, text: str) -> None:
    assert as_text(D(number)) == text


NUMBERS = st.decimals(min_value=-(10**6), max_value=10**6, allow_nan=False, places=4)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_sums_and_products_are_exact(one: Decimal, two: Decimal, three: Decimal) -> None:
    fields = {"A": str(one), "B": str(two), "C": str(three)}
    assert work_out("=A + B * C", **fields) == one + two * three
    assert work_out("=(A - B) * C", **fields) == (one - two) * three
    assert work_out("=A < B", **fields) == (one < two)


@given(st.text(alphabet="AB1.'\"()+-*/&=<>, >ifroundtx", max_size=40), st.sampled_from(["1", "x", "", None, True]))
def test_whatever_is_written_is_a_formula_or_refused_and_never_stops_the_agent(text: str, value: Any) -> None:
    try:
        node = parse("=" + text)
    except FormulaFault as fault:
        assert 1 <= fault.column <= len(text) + 2
        return
    try:
        result = evaluate(node, lambda _: value)
    except Trouble:
        return
    assert result is None or isinstance(result, bool | str | Decimal)
