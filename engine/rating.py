"""Rating: a price and a usage become one invoice line, rounded once, with the sentence that explains it.

Place     usage (a meter's total, or the contract's quantity) + price -> [this] -> statement and invoice line.
Steps     price(total), its modifiers included -> less price(billed) -> exact to 24 decimals -> rounded to the currency.
Rounding  `amount` = round(price(total)) - round(price(billed)), so bills in slices sum, to the cent, to one at the end.
Holds     price(total) and price(billed) are computed by the same code with the same price.
Source    PRICING.md, Already billed and Periods.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

import msgspec

from fakturo.engine.errors import PriceError
from fakturo.engine.explanations import Phrase, describe, explain, settled
from fakturo.engine.money import ONE, ZERO, exact_amount, exact_context, exponent_of, round_amount, rounded, to_minor
from fakturo.engine.periods import Period, Zone
from fakturo.engine.prices import NO_USAGE, Charge, Part, Price, Span, Step, Usage
from fakturo.engine.prices.matrix import Matrix

SPANS_MAX = 4096
"""How many spans are kept."""


class RateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to rate.

    `usage` is the total so far; `billed`, where a bill exists, the part of it that was billed (zero usage is a bill
    too, None is no bill). `active` is the stretch of `period` that the item was held (clipped to it; None: all of it),
    `billed_active` the stretch of a fixed price that was billed. `final` says that this is the last slice of the
    period, so that `minimum_amount` applies; `billed_final` that what was billed had it. `earlier` is what the
    period's earlier slices came to, less their own shares of the minimum: it counts towards the minimum. `unit` names
    one unit in the plural: "movements"; `by_group` asks for the quantity of each group in the explanation too.
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
    by_group: bool = False


class ExplainedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the amount, for explaining only: the result is rounded as one. `amount` has the currency's digits."""

    description: str
    quantity: Decimal
    unit_amount: Decimal | None
    amount: Decimal


class RateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice line.

    `exact` has at most 24 decimals, `amount` the currency's digits. All else is made when it is asked for, from `total`
    and what was billed `before`.
    """

    request: RateRequest
    exact: Decimal
    amount: Decimal
    total: Charge
    before: Charge | None

    @property
    def currency(self) -> str:
        """Return the currency of the price."""
        return self.request.price.currency

    @property
    def quantity(self) -> Decimal:
        """Return what was used, as it was used."""
        return self.request.usage.quantity

    @property
    def unit(self) -> str:
        """Return what one unit is called, in the plural."""
        return self.request.unit

    @property
    def amount_minor(self) -> int:
        """Return `amount` in minor units."""
        return to_minor(self.amount, self.currency)

    @property
    def unit_amount(self) -> Decimal | None:
        """Return the unit amount where quantity times it is the whole amount, as e-invoices want it; else None."""
        unit_amount = self.total.parts[0].unit_amount if len(self.total.parts) == 1 else None
        with exact_context():
            fits = unit_amount is not None and self.total.quantity * unit_amount == self.exact
        return unit_amount if fits else None

    @property
    def next_tier(self) -> Step | None:
        """Return what the next unit costs and how far it is; None where it costs what the last one did."""
        return self.request.price.step(self.request.usage)

    @property
    def lines(self) -> tuple[ExplainedLine, ...]:
        """Return the parts of the amount, in English."""
        return self.lines_in(None)

    def lines_in(self, locale: str | None) -> tuple[ExplainedLine, ...]:
        """Return the parts of the amount, described in the language of `locale`."""
        digits = exponent_of(self.currency)
        return tuple(
            ExplainedLine(
                description=describe(part.phrase, self.request.unit, digits, locale),
                quantity=part.quantity,
                unit_amount=part.unit_amount,
                amount=rounded(part.amount, digits),
            )
            for part in self._parts()
        )

    @property
    def phrases(self) -> tuple[Phrase, ...]:
        """Return the explanation as data: `explain` says it in any language."""
        digits = exponent_of(self.currency)
        parts = [part.phrase for part in self._parts()] or [("nothing",)]
        return (settled(("usage", self.total.quantity, self.request.unit, *parts), digits),)

    @property
    def explanation(self) -> str:
        """Return what the customer reads: "1,735 movements: 500 at 120.00, 1,235 at 110.00"."""
        return explain(self.phrases)

    def _parts(self) -> tuple[Part, ...]:
        parts = (*self.total.parts, *self._group_parts())
        if self.before is None:
            return parts
        phrase = ("billed", round_amount(self.before.amount, self.currency))
        return (*parts, Part(phrase=phrase, quantity=ONE, unit_amount=None, amount=-self.before.amount))

    def _group_parts(self) -> tuple[Part, ...]:
        """Return a part of no amount for each group, where that was asked for; a matrix explains its cells itself."""
        usage = self.request.usage
        if not self.request.by_group or not usage.groups or isinstance(self.request.price.model, Matrix):
            return ()
        return tuple(
            Part(phrase=("group", " ".join(texts), quantity), quantity=quantity, unit_amount=None, amount=ZERO)
            for texts, quantity in sorted(usage.groups.items())
        )


def rate(request: RateRequest) -> RateResult:
    """Return the invoice line of `request`.

    Raises:
        PriceError: `quantity_negative`, `price_matrix_no_cell`, `price_matrix_dimension`, `period_missing`.
    """
    price, currency = request.price, request.price.currency
    span = span_of(request.period, request.active, request.zone)
    total = price.charge(request.usage, span=span, final=request.final, earlier=request.earlier)
    before = _billed(request)
    exact = exact_amount(total.amount)
    amount = round_amount(exact, currency)
    if before is not None:
        with exact_context():
            exact = exact_amount(total.amount - before.amount)
            amount = amount - _line_amount(before, currency)
    return RateResult(request=request, exact=exact, amount=amount, total=total, before=before)


def rate_slices(requests: Sequence[RateRequest]) -> tuple[RateResult, ...]:
    """Return the lines of the slices of one item in one period, oldest first, each rated by itself.

    Only the last may be `final`, and the exact amounts before it count towards its `minimum_amount`, which is one for
    the whole period: where it is prorated, the shares of the slices add up.
    """
    results: list[RateResult] = []
    earlier = ZERO
    for index, request in enumerate(requests):
        final = request.final and index == len(requests) - 1
        results.append(rate(msgspec.structs.replace(request, final=final, earlier=earlier)))
        with exact_context():
            earlier += results[-1].exact - request.price.minimum_share(
                span_of(request.period, request.active, request.zone)
            )
    return tuple(results)


@lru_cache(maxsize=SPANS_MAX)
def span_of(period: Period | None, active: Period | None, zone: Zone) -> Span | None:
    """Return how much of `period` is in `active`, clipped to it; None where nothing says that it is not all of it.

    It is kept for a while: items that are billed by the same calendar have the same spans.

    Raises:
        PriceError: `period_missing`: there is an active stretch, but no period to compare it with.
    """
    if active is None:
        return None
    if period is None:
        raise PriceError("period_missing", "an active stretch needs the period that it is a part of", "period")
    held = period.clip(active)
    return Span(
        active_days=0 if held is None else held.days(zone),
        period_days=period.days(zone),
        active_seconds=0 if held is None else held.seconds(),
        period_seconds=period.seconds(),
    )


def _billed(request: RateRequest) -> Charge | None:
    """Return price(billed), or None where nothing was billed: then it is 0."""
    if request.billed is None and request.billed_active is None:
        return None
    # Only the stretch was billed by itself: the quantity (of a licensed price) is the same.
    usage = request.usage if request.billed is None else request.billed
    active = request.active if request.billed_active is None else request.billed_active
    span = span_of(request.period, active, request.zone)
    return request.price.charge(usage, span=span, final=request.billed_final, earlier=request.earlier)


def _line_amount(charge: Charge, currency: str) -> Decimal:
    """Return the exact amount, rounded to the currency: the contract rounds `exact`, not what lies behind it."""
    return round_amount(exact_amount(charge.amount), currency)
