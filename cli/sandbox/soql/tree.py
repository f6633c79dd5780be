"""A query as a tree: what the parser found, before anybody asked whether the org has such fields.

Place     parser -> [this] -> names (which field each path means), predicates, aggregates, execution.
Rules     Every node that names something knows its place in the text (`at`), for the error that may follow.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal as OneOf

from fakturo.cli.sandbox.soql.lexer import Token

LiteralKind = OneOf["null", "boolean", "number", "string", "date", "datetime", "period"]


@dataclass(frozen=True, slots=True)
class Path:
    """A field by its names: `Account.Name` is ("Account", "Name")."""

    names: tuple[str, ...]
    at: int

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Call:
    """A function in upper case over a field, or over a function of a field; COUNT() has no argument."""

    function: str
    argument: "Path | Call | None"
    at: int


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM)."""

    which: str
    at: int


Expression = Path | Call


@dataclass(frozen=True, slots=True)
class Literal:
    """A value in a condition. A `period` is a date literal as written (`LAST_N_DAYS:30`), in upper case.

    A string keeps its token: LIKE reads the escapes otherwise than `=` does.
    """

    kind: LiteralKind
    value: bool | Decimal | str | date | datetime | None
    at: int
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator value`; `value` is a literal, a list of literals, or the query of a semi-join."""

    left: Expression
    operator: str
    value: "Literal | tuple[Literal, ...] | Select"
    at: int


@dataclass(frozen=True, slots=True)
class Junction:
    """All of the parts (`AND`) or one of them (`OR`)."""

    operator: OneOf["AND", "OR"]
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT."""

    part: "Condition"


Condition = Comparison | Junction | Negation


@dataclass(frozen=True, slots=True)
class Item:
    """Something selected, with its alias (only an aggregate query gives one)."""

    expression: "Expression | FieldsOf | Select"
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Ordering:
    """One key of ORDER BY; without NULLS in the text, nulls come first whatever the direction."""

    expression: Expression
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """A query, a child subquery or the query of a semi-join."""

    items: tuple[Item, ...]
    source: str
    source_at: int
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Expression, ...] = ()
    having: Condition | None = None
    order_by: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int = 0
    all_rows: bool = False
    at: int = 0
    text: str = field(default="", compare=False)
