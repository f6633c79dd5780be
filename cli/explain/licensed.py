"""A licensed, flat or one-time line: its slice rated by the contract as it stands, with the contract's quantity.

Place     contract -> [this] -> steps. As invoicing rates it; where a later change makes something else of the slice,
          the line's kept phrases say how it came about.
"""

from fakturo.cli.explain.answer import Step
from fakturo.cli.explain.contract import Contract
from fakturo.cli.explain.lines import FoundLine
from fakturo.cli.explain.steps import billed_before_minor, steps_of
from fakturo.engine.contracts import item_slices, request_of
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import Period
from fakturo.engine.prices import usage_of
from fakturo.engine.rating import rate_slices


def rated_steps(found: FoundLine, contract: Contract, locale: str | None) -> list[Step] | None:
    """Return the steps of the slice; None where the contract now makes something else of it."""
    item, period = contract.item, found.item_period
    if found.line.period.start < period.start_at:  # its service began earlier in it than was known
        period = Period(start_at=found.line.period.start, end_at=period.end_at)
    zone = contract.zone(period)
    try:
        slices = item_slices(item, period, zone, contract.currency)
        requests = [request_of(part, period, zone, usage_of(part.terms.quantity), item.unit or "") for part in slices]
        results = rate_slices(requests)
    except PriceError:
        return None
    billed_minor = billed_before_minor(found.earlier) + found.rated_minor
    for part, result in zip(slices, results, strict=True):
        key = part.period.start_at, part.period.end_at, part.version.hash
        if key == found.slice_key and result.amount_minor == billed_minor:
            return steps_of(result, locale)
    return None
