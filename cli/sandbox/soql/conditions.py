"""The grammar of WHERE and HAVING: conditions, what is compared, and with what.

Place     parser -> [this] -> tree.
Rules     AND and OR don't mix without parentheses (Salesforce refuses it too); NOT binds what follows it.
Source    SOQL and SOSL Reference, "Condition Expression Syntax", "fieldExpression", "Comparison Operators".
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal as OneOf

from fakturo.cli.sandbox.soql.cursor import Cursor
from fakturo.cli.sandbox.soql.errors import malformed
from fakturo.cli.sandbox.soql.lexer import Kind, Token, unescaped
from fakturo.cli.sandbox.soql.periods import is_period
from fakturo.cli.sandbox.soql.tree import (
    Call,
    Comparison,
    Condition,
    Expression,
    Junction,
    Literal,
    Negation,
    Path,
    Select,
)

Subquery = Callable[[Cursor], Select]
_SIGNS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def condition(cursor: Cursor, subquery: Subquery) -> Condition:
    """A whole condition: operands joined by AND, or by OR."""
    first = _operand_of_junction(cursor, subquery)
    for operator in ("AND", "OR"):
        if cursor.sees(operator):
            return _junction(cursor, subquery, first, "AND" if operator == "AND" else "OR")
    return first


def _junction(cursor: Cursor, subquery: Subquery, first: Condition, operator: OneOf["AND", "OR"]) -> Condition:
    """The rest of the operands; the other operator among them is refused."""
    parts = [first]
    while cursor.takes(operator):
        parts.append(_operand_of_junction(cursor, subquery))
    if cursor.sees("AND") or cursor.sees("OR"):
        raise cursor.unexpected("AND and OR need parentheses between them")
    return Junction(operator, tuple(parts))


def _operand_of_junction(cursor: Cursor, subquery: Subquery) -> Condition:
    """A comparison, a condition in parentheses, or the negation of one."""
    with cursor.level():
        if cursor.takes("NOT"):
            return Negation(_operand_of_junction(cursor, subquery))
        if cursor.takes("("):
            inner = condition(cursor, subquery)
            cursor.expect(")")
            return inner
        return _comparison(cursor, subquery)


def _comparison(cursor: Cursor, subquery: Subquery) -> Comparison:
    """`field operator value`."""
    at = cursor.here.at
    left = operand(cursor)
    sign = cursor.here
    if sign.word in _SIGNS:
        cursor.take()
        return Comparison(left, _SIGNS[sign.word], _literal(cursor), at)
    if cursor.takes("LIKE"):
        return Comparison(left, "LIKE", _literal(cursor), at)
    for operator in ("IN", "INCLUDES", "EXCLUDES"):
        if cursor.takes(operator):
            return Comparison(left, operator, _members(cursor, subquery), at)
    if cursor.takes("NOT", "IN"):
        return Comparison(left, "NOT IN", _members(cursor, subquery), at)
    raise cursor.unexpected()


def operand(cursor: Cursor) -> Expression:
    """A field path, or a function of one."""
    word = cursor.expect_word()
    if not cursor.takes("("):
        return Path(tuple(word.text.split(".")), word.at)
    with cursor.level():
        argument = None if cursor.sees(")") else operand(cursor)
    cursor.expect(")")
    return Call(word.word, argument, word.at)


def _members(cursor: Cursor, subquery: Subquery) -> tuple[Literal, ...] | Select:
    """The list of an IN, or the query of a semi-join."""
    cursor.expect("(")
    found: tuple[Literal, ...] | Select
    if cursor.sees("SELECT"):
        found = subquery(cursor)
    else:
        literals = [_literal(cursor)]
        while cursor.takes(","):
            literals.append(_literal(cursor))
        found = tuple(literals)
    cursor.expect(")")
    return found


def _literal(cursor: Cursor) -> Literal:
    """A value. A bare word that is no value is what a bind variable or a missing quote looks like."""
    token = cursor.here
    match token.kind:
        case Kind.STRING:
            found = Literal("string", unescaped(token), token.at, token)
        case Kind.NUMBER:
            found = Literal("number", Decimal(token.text), token.at)
        case Kind.DATE | Kind.INSTANT:
            found = _moment(token)
        case Kind.COUNTED | Kind.WORD:
            found = _word(cursor)
        case _:
            raise cursor.unexpected()
    cursor.take()
    return found


def _word(cursor: Cursor) -> Literal:
    """null, a boolean, or a date literal such as THIS_MONTH."""
    token = cursor.here
    name = "".join(token.text.split()).upper()
    if name == "NULL":
        return Literal("null", None, token.at)
    if name in ("TRUE", "FALSE"):
        return Literal("boolean", name == "TRUE", token.at)
    if is_period(name):
        return Literal("period", name, token.at)
    raise cursor.unexpected("expecting a value; a text stands in single quotes")


def _moment(token: Token) -> Literal:
    """A date, or an instant turned to UTC."""
    try:
        if token.kind is Kind.DATE:
            return Literal("date", date.fromisoformat(token.text), token.at)
        return Literal("datetime", datetime.fromisoformat(token.text.upper()).astimezone(UTC), token.at)
    except (ValueError, OverflowError):
        raise malformed(f"'{token.text}' isn't a valid date or datetime", token.at) from None
