"""What a line's amount is made of: steps whose amounts add up to it, to the last digit. Pure.

Place     the engine's result, or the phrases that were kept with the line -> [this] -> explaining.
Order     what the price makes of the usage; the rounding; less what was billed of it before; tax that was in the price.
Again     a line is rated again with the usage that was billed. Where the contract has changed since, so that it comes
          to something else, its kept phrases say what they can: units at a price, fees, packages.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fakturo.cli.explain.answer import Step
from fakturo.cli.explain.lines import BookedLine, FoundLine
from fakturo.engine.explanations import describe
from fakturo.engine.money import ONE, ZERO, exact_amount, exact_context, exponent_of, from_minor, round_amount, to_minor
from fakturo.engine.rating import RateResult

Words = Sequence[Any]
"""A settled phrase: its key, then texts for its numbers, or further phrases."""

_PARTS: Mapping[str, Callable[[Words], tuple[Decimal, Decimal | None, Decimal]]] = {
    "units": lambda words: _units(words, ZERO),
    "units_flat": lambda words: _units(words, Decimal(words[3])),
    "flat": lambda words: (ONE, Decimal(words[1]), Decimal(words[1])),
    "package": lambda words: (Decimal(words[1]), Decimal(words[3]), Decimal(words[1]) * Decimal(words[3])),
    "packages": lambda words: (Decimal(words[1]), Decimal(words[3]), Decimal(words[1]) * Decimal(words[3])),
    "event_fee": lambda words: _units(words, ZERO),
    "event_fees": lambda words: _units(words, ZERO),
    "percent": lambda words: (Decimal(words[2]), None, Decimal(words[2]) * Decimal(words[1]) / 100),
    "nothing": lambda _: (ZERO, None, ZERO),
    "trial": lambda _: (ZERO, None, ZERO),
    "free": lambda words: (Decimal(words[1]), None, ZERO),
}
"""Phrase -> quantity, unit amount and amount, of the phrases that say all three."""


def steps_of(result: RateResult, locale: str | None) -> list[Step]:
    """Return the steps of a rated slice, the rounding among them; they add up to its rounded amount."""
    digits = exponent_of(result.currency)
    steps = [
        Step(
            description=describe(part.phrase, result.unit, digits, locale),
            quantity=part.quantity,
            unit_amount=part.unit_amount,
            amount=exact_amount(part.amount),
        )
        for part in result.total.parts
    ]
    if result.before is not None:
        amount = round_amount(result.before.amount, result.currency)
        steps.append(_money("billed in the periods before", -amount))
    return _closed(steps, result.amount_minor, result.currency, "rounding")


def steps_of_phrases(phrases: Sequence[Words], amount_minor: int, currency: str, locale: str | None) -> list[Step]:
    """Return the steps that kept phrases tell of a slice of `amount_minor`; one step for all where they do not."""
    whole = [_money("as it was billed", from_minor(amount_minor, currency))]
    if len(phrases) < 1 or phrases[0][0] != "usage" or any(words[0] not in _PARTS for words in phrases[0][3:]):
        return whole
    digits, unit, steps = exponent_of(currency), phrases[0][2], []
    with exact_context():
        for words in phrases[0][3:]:
            quantity, unit_amount, amount = _PARTS[words[0]](words)
            text = describe(_hashable(words), unit, digits, locale)
            steps.append(Step(description=text, quantity=quantity, unit_amount=unit_amount, amount=amount))
        told = to_minor(round_amount(sum((one.amount for one in steps), ZERO), currency), currency)
    return _closed(steps, amount_minor, currency, "rounding") if told == amount_minor else whole


def line_steps(found: FoundLine, slice_steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return what makes the line of what its slice comes to: less what was billed of it before, and tax inside."""
    currency = found.document.invoice.currency
    before = [
        _money(f"billed before, line {one.line_id} of {one.invoice}", from_minor(-one.rated_minor, currency))
        for one in found.earlier
    ]
    steps = [*slice_steps, *before]
    steps = _closed(steps, found.rated_minor, currency, "credited before, and not given back again")
    inside = "tax that the price includes" if found.line.tax.prices_include_tax else "rounding"
    return tuple(_closed(steps, found.line.amount_minor, currency, inside))


def billed_before_minor(lines: Iterable[BookedLine]) -> int:
    """Return what lines billed, as rated."""
    return sum(one.rated_minor for one in lines)


def _closed(steps: list[Step], amount_minor: int, currency: str, description: str) -> list[Step]:
    """Return the steps with one more for what they lack of `amount_minor`, if they lack anything."""
    with exact_context():
        missing = from_minor(amount_minor, currency) - sum((one.amount for one in steps), ZERO)
    return [*steps, _money(description, missing)] if missing else steps


def _money(description: str, amount: Decimal) -> Step:
    return Step(description=description, quantity=None, unit_amount=None, amount=amount)


def _units(words: Words, flat_amount: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    quantity, unit_amount = Decimal(words[1]), Decimal(words[2])
    return quantity, unit_amount, quantity * unit_amount + flat_amount


def _hashable(words: Words) -> tuple[Any, ...]:
    return tuple(_hashable(one) if isinstance(one, list | tuple) else one for one in words)
