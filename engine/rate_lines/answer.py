"""From a rate result, or what is wrong with a line, to the JSON object that answers it.

Place     RateResult, PriceError -> [this] -> bytes of one line.
Texts     amounts have the currency's digits and are never "-0.00"; `exact`, quantities and unit amounts are plain
          decimal texts without zeros that say nothing. Descriptions and explanation are in the language asked for.
Source    PRICING.md, Numbers and `fakturo rate`.
"""

from typing import Any

import msgspec

from fakturo.engine.errors import PriceError
from fakturo.engine.explanations import explain, number_argument
from fakturo.engine.rating import RateResult

LINE_INVALID = "line_invalid"
"""The code of a line in which nothing can be named."""


class AnswerLine(msgspec.Struct, kw_only=True):
    """A part of the amount; `unit_amount` is null where units have no price."""

    description: str
    quantity: str
    unit_amount: str | None
    amount: str


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The amount of a line. `explanation` is there where it was asked for, `id` where the line had one."""

    id: Any = None
    amount: str
    exact: str
    lines: list[AnswerLine]
    explanation: str | None = None


class Fault(msgspec.Struct, kw_only=True):
    """What is wrong with a line: a stable code, a sentence, and where it stands in the line."""

    code: str
    message: str
    path: str


class Refusal(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The answer to a line that could not be rated; `line` is its number, where it cannot be read or has no id."""

    id: Any = None
    line: int = 0
    error: Fault


def answer_of(result: RateResult, line_id: Any = None, *, locale: str = "en", with_explanation: bool = False) -> Answer:
    """Return the answer to a line that was rated."""
    return Answer(
        id=line_id,
        amount=str(result.amount),
        exact=f"{result.exact:f}",
        lines=[
            AnswerLine(
                description=line.description,
                quantity=number_argument(line.quantity),
                unit_amount=None if line.unit_amount is None else number_argument(line.unit_amount),
                amount=str(line.amount),
            )
            for line in result.lines_in(locale)
        ],
        explanation=explain(result.phrases, locale) if with_explanation else None,
    )


def refusal_of(error: PriceError, line_id: Any, number: int) -> Refusal:
    """Return the answer to a line that could not be rated."""
    fault = Fault(code=error.code, message=error.message, path=error.path)
    is_nameless = line_id is None or error.code == LINE_INVALID
    return Refusal(id=line_id, line=number if is_nameless else 0, error=fault)
