"""Rating: a price and a usage become one invoice line, rounded once, with the sentence that explains it.

Place     usage (a meter's total, or the contract's quantity) + price -> [this] -> statement and invoice line.
Steps     price(total), its modifiers included -> less price(billed) -> exact to 24 decimals -> rounded to the currency.
Rounding  `amount` = round(price(total)) - round(price(billed)), so bills in slices sum, to the cent, to one at the end.
Holds     price(total) and price(billed) are computed by the same code with the same price.
Source    PRICING.md, Already billed and Periods.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from fakturo.engine.money import ZERO
from fakturo.engine.periods import Period, Zone
from fakturo.engine.prices import NO_USAGE, Price, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRequest:
    """What to rate.

    `usage` is the total so far; `billed`, where a bill exists, the part of it that was billed (zero usage is a bill
    too, None is no bill). `active` is the stretch of `period` that the item was held (clipped to it; None: all of it),
    `billed_active` the stretch of a fixed price that was billed. `final` says that this is the last slice of the
    period, so that `minimum_amount` applies; `billed_final` that what was billed had it. `earlier` is the exact amount
    of the period's earlier slices, which count towards the minimum. `unit` names one unit in the plural: "movements".
    """

    price: Price
    usage: Usage = NO_USAGE
    billed: Usage | None = None
    period: Period | None = None
    active: Period | None = None
    billed_active: Period | None = None
    zone: Zone = "UTC"
    final: bool = True
    billed_final: bool = False
    earlier: Decimal = ZERO
    unit: str = "units"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLine:
    """A part of the amount, for explaining only: the result is rounded as one. `amount` has the currency's digits."""

    description: str
    quantity: Decimal
    unit_amount: Decimal | None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RateResult:
    """One invoice line.

    `exact` has at most 24 decimals, `amount` the currency's digits, `amount_minor` is the same in minor units.
    `unit_amount` is set where the whole amount is quantity x unit amount. `explanation` is what the customer reads:
    "1,735 movements: 500 at 120.00, 1,235 at 110.00". `next_tier` is None where the next unit costs what the last did.
    """

    currency: str
    quantity: Decimal
    exact: Decimal
    amount: Decimal
    amount_minor: int
    lines: tuple[ExplainedLine, ...]
    explanation: str
    unit_amount: Decimal | None = None
    next_tier: Step | None = None


def rate(request: RateRequest) -> RateResult:
    """Return the invoice line of `request`.

    Raises:
        PriceError: `quantity_negative`, `price_matrix_no_cell`, `period_missing`, `period_order`.
    """
    raise NotImplementedError


def rate_slices(requests: Sequence[RateRequest]) -> tuple[RateResult, ...]:
    """Return the lines of the slices of one item in one period, oldest first, each rated by itself.

    Only the last is `final`, and the exact amounts before it count towards its `minimum_amount`.
    """
    results: list[RateResult] = []
    earlier = ZERO
    for index, request in enumerate(requests):
        final = request.final and index == len(requests) - 1
        results.append(rate(replace(request, final=final, earlier=earlier)))
        earlier += results[-1].exact
    return tuple(results)
