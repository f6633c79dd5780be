"""Formulas of a mapping profile: `=Seats__c * 12`. A small language over the fields of a record; nothing is executed.

Place     profile_files -> [this] (parsed once, at start) -> derived (worked out at each change of an input).
Form      numbers `1.5`, texts `'Monthly'`, fields `Seats__c`, fields of a record that a reference names
          `ContractId->Contract.EndDate`; `+ - * /`, `&` joins texts, `= <> < <= > >=`, brackets, and the functions
          `if(condition, then, else)`, `blank(x)`, `and`, `or`, `not`, `min`, `max`, `round(x, digits)`, `text(x)`.
Rules     numbers are decimals, rounded half away from zero. An empty field makes a sum or a product empty; joined to
          a text it is nothing. `=` compares numbers as numbers, all else as text (dates are text and compare rightly).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

Value = Decimal | str | bool | None
Lookup = Callable[[str], Any]
"""The value of a field, by its name or path, as Salesforce has it."""

LENGTH_MAX = 1000
DEPTH_MAX = 50
DECIMALS_MAX = 12
_PRECISE = Context(prec=50)
_BOUND = Decimal(10) ** 24
_NUMBER = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,12})?", re.ASCII)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_.]*(?:->[A-Za-z][A-Za-z0-9_.]*)*)"
    r"|(?P<sign><=|>=|<>|!=|==|[-+*/&=<>(),]))",
    re.ASCII,
)
ARGUMENTS = {
    "if": (3, 3),
    "blank": (1, 1),
    "and": (1, 20),
    "or": (1, 20),
    "not": (1, 1),
    "min": (1, 20),
    "max": (1, 20),
    "round": (2, 2),
    "text": (1, 1),
}
"""The functions, each with how many arguments it takes at least and at most."""


class FormulaFault(Exception):
    """A formula that cannot be read; `column` counts from 1 at its equals sign."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


class Trouble(Exception):
    """A formula that has no result for the values of a record; the text says why."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a text that stands in the formula."""

    value: Value


@dataclass(frozen=True, slots=True)
class Field:
    """A field, by its name or path."""

    path: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator with its arguments."""

    name: str
    arguments: tuple["Node", ...]


Node = Literal | Field | Call


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(formula: str) -> Node:
    """Return the tree of `formula`, which begins with its equals sign.

    Raises:
        FormulaFault: it is no formula; the text says what was expected, where and how to mend it.
    """
    if len(formula) > LENGTH_MAX:
        raise FormulaFault(f"is longer than {LENGTH_MAX} characters; split it into fields of Salesforce", 1)
    reading = _Reading(list(_tokens(formula)))
    node = reading.comparison(0)
    rest = reading.here
    if rest.kind != "end":
        raise FormulaFault(f"did not expect {rest.text!r}; an operator such as + or , may be missing", rest.column)
    return node


def fields_in(node: Node) -> frozenset[str]:
    """Return the names and paths of all fields that the formula reads."""
    match node:
        case Field(path):
            return frozenset({path})
        case Call(_, arguments):
            return frozenset(path for argument in arguments for path in fields_in(argument))
        case _:
            return frozenset()


def _tokens(formula: str) -> Iterator[_Token]:
    at = 1  # behind the equals sign
    while formula[at:].strip():
        found = _TOKEN.match(formula, at)
        if found is None:
            start = at + len(formula[at:]) - len(formula[at:].lstrip())
            hint = "; the text has no closing quote" if formula[start] in "'\"" else ""
            raise FormulaFault(f"does not know {formula[start]!r}{hint}", start + 1)
        kind = found.lastgroup or ""
        yield _Token(kind, found[kind], found.start(kind) + 1)
        at = found.end()
    yield _Token("end", "the end", len(formula) + 1)


class _Reading:
    """The tokens of a formula and how far they were read; one method for each strength of binding."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def here(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *signs: str) -> str | None:
        token = self.here
        if token.kind != "sign" or token.text not in signs:
            return None
        self._at += 1
        return token.text

    def comparison(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise FormulaFault(
                f"is nested deeper than {DEPTH_MAX}; use a formula field of Salesforce", self.here.column
            )
        left = self._sum(depth)
        sign = self._take("=", "==", "<>", "!=", "<", "<=", ">", ">=")
        if sign is None:
            return left
        return Call({"==": "=", "!=": "<>"}.get(sign, sign), (left, self._sum(depth)))

    def _sum(self, depth: int) -> Node:
        left = self._product(depth)
        while sign := self._take("+", "-", "&"):
            left = Call(sign, (left, self._product(depth)))
        return left

    def _product(self, depth: int) -> Node:
        left = self._operand(depth)
        while sign := self._take("*", "/"):
            left = Call(sign, (left, self._operand(depth)))
        return left

    def _operand(self, depth: int) -> Node:
        if self._take("-"):
            return Call("-", (Literal(Decimal(0)), self._operand(depth + 1)))
        if self._take("("):
            inside = self.comparison(depth + 1)
            self._close()
            return inside
        token = self.here
        self._at += token.kind in ("number", "text", "name")
        match token.kind:
            case "number":
                return Literal(Decimal(token.text))
            case "text":
                return Literal(token.text[1:-1])
            case "name" if self._take("("):
                return self._call(token, depth)
            case "name":
                return Field(token.text)
            case _:
                raise FormulaFault(f"expected a field, a number or a text, found {token.text}", token.column)

    def _call(self, name: _Token, depth: int) -> Call:
        function = name.text.lower()
        if function not in ARGUMENTS:
            raise FormulaFault(f"does not know the function {name.text}; known: {', '.join(ARGUMENTS)}", name.column)
        arguments: list[Node] = []
        while not arguments or self._take(","):
            arguments.append(self.comparison(depth + 1))
        self._close()
        low, high = ARGUMENTS[function]
        if not low <= len(arguments) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            raise FormulaFault(f"gives {name.text} {len(arguments)} arguments; it takes {wanted}", name.column)
        return Call(function, tuple(arguments))

    def _close(self) -> None:
        if not self._take(")"):
            raise FormulaFault(f"expected ), found {self.here.text}", self.here.column)


def evaluate(node: Node, value_of: Lookup) -> Value:
    """Return the formula's result for one record.

    Raises:
        Trouble: it has none: a text where a number is needed, a division by zero.
    """
    match node:
        case Literal(value):
            return value
        case Field(path):
            found = value_of(path)
            return found if isinstance(found, bool | str | None) else Decimal(str(found))
        case Call("if", (condition, then, otherwise)):
            return evaluate(then if _is_true(evaluate(condition, value_of)) else otherwise, value_of)
        case Call(name, arguments):
            return _FUNCTIONS[name](*(evaluate(argument, value_of) for argument in arguments))


def _is_true(value: Value) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _is_blank(value: Value) -> bool:
    return value is None or value == ""


def _number(value: Value) -> Decimal | None:
    if _is_blank(value):
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise Trouble(f"needs a number, not {value!r}")
    return Decimal(value)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return as_text(value)
    return value or ""


def as_text(number: Decimal) -> str:
    """Return a number in plain digits, with at most 12 decimals and no zeroes behind them."""
    exact = number.quantize(Decimal(1).scaleb(-DECIMALS_MAX), ROUND_HALF_UP, _PRECISE)
    text = f"{exact:f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _arithmetic(operation: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Value, Value], Value]:
    def work_out(one: Value, other: Value) -> Value:
        left, right = _number(one), _number(other)
        if left is None or right is None:
            return None
        result = operation(left, right)
        if abs(result) >= _BOUND:
            raise Trouble("comes to a number of more than 24 digits")
        return result

    return work_out


def _divide(one: Decimal, other: Decimal) -> Decimal:
    if other == 0:
        raise Trouble("divides by zero")
    return _PRECISE.divide(one, other)


def _compared(holds: Callable[[int], bool]) -> Callable[[Value, Value], bool]:
    def compare(one: Value, other: Value) -> bool:
        left, right = _comparable(one), _comparable(other)
        if isinstance(left, Decimal) and isinstance(right, Decimal):
            return holds(int(left.compare(right)))
        first, second = _text(one), _text(other)
        return holds((first > second) - (first < second))

    return compare


def _ordered(holds: Callable[[int], bool]) -> Callable[[Value, Value], bool]:
    compare = _compared(holds)
    return lambda one, other: not (_is_blank(one) or _is_blank(other)) and compare(one, other)


def _comparable(value: Value) -> Value:
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _extreme(choose: Callable[[Sequence[Decimal]], Decimal]) -> Callable[..., Value]:
    def work_out(*values: Value) -> Value:
        numbers = [number for value in values if (number := _number(value)) is not None]
        return choose(numbers) if numbers else None

    return work_out


def _round(value: Value, digits: Value) -> Value:
    number, places = _number(value), _number(digits)
    if number is None or places is None:
        return None
    if places != places.to_integral_value() or not 0 <= places <= DECIMALS_MAX:
        raise Trouble(f"rounds to {places} digits; it must be 0 to {DECIMALS_MAX}")
    return number.quantize(Decimal(1).scaleb(-int(places)), ROUND_HALF_UP, _PRECISE)


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "+": _arithmetic(_PRECISE.add),
    "-": _arithmetic(_PRECISE.subtract),
    "*": _arithmetic(_PRECISE.multiply),
    "/": _arithmetic(_divide),
    "&": lambda one, other: _text(one) + _text(other),
    "=": _compared(lambda order: order == 0),
    "<>": _compared(lambda order: order != 0),
    "<": _ordered(lambda order: order < 0),
    "<=": _ordered(lambda order: order <= 0),
    ">": _ordered(lambda order: order > 0),
    ">=": _ordered(lambda order: order >= 0),
    "blank": _is_blank,
    "and": lambda *values: all(_is_true(value) for value in values),
    "or": lambda *values: any(_is_true(value) for value in values),
    "not": lambda value: not _is_true(value),
    "min": _extreme(min),
    "max": _extreme(max),
    "round": _round,
    "text": _text,
}
