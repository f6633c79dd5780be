"""A price that has been read: a model with its modifiers, applied to a usage.

Place     usage -> [this] -> exact Charge -> rating (less what was billed, rounded once).
Steps     transform -> free units -> model -> proration -> discounts -> cap -> minimum (PRICING.md, Modifiers).
Licensed  the quantity is the contract's, so the model's whole amount is a fixed part.
Holds     a Charge is never below 0, never rounded, and the sum of its parts.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from fakturo.engine.errors import PriceError
from fakturo.engine.modifiers import WHOLE, Discount, Modifiers, Rounding, Span, prorated
from fakturo.engine.money import ZERO, exact_context
from fakturo.engine.prices.flat import Flat
from fakturo.engine.prices.matrix import Matrix
from fakturo.engine.prices.model import Model, Setting, plain_part
from fakturo.engine.prices.per_unit import PerUnit
from fakturo.engine.prices.usage import Charge, Part, Step, Usage, usage_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A checked price, made by `parse_price`. `licensed`: the quantity comes from the contract, not from a meter."""

    currency: str
    model: Model
    modifiers: Modifiers
    licensed: bool = False

    @property
    def needs_events(self) -> bool:
        """Return whether it cannot be rated from totals: it looks at single events, or at their own amounts."""
        return self.model.rates_events or self.model.reads_amounts

    def charge(
        self,
        usage: Usage,
        *,
        span: Span | None = None,
        final: bool = True,
        earlier: Decimal = ZERO,
    ) -> Charge:
        """Return the exact amount of `usage`, with what explains it.

        `span` says how much of the period the item was held (None: all of it); `final` that this is the last slice
        of the period, so that the minimum applies; `earlier` what the period's earlier slices came to, exactly.

        Raises:
            PriceError: `quantity_negative`, `price_matrix_no_cell`, `price_matrix_dimension`.
        """
        if usage.quantity < 0:
            raise PriceError("quantity_negative", f"the quantity {usage.quantity:f} is below 0", "quantity")
        with exact_context():
            setting = self._setting(span, final)
            parts = self._parts(usage, setting)
            amount = sum((part.amount for part in parts), ZERO)
            changes = self.modifiers.adjustments(amount, share=setting.share, final=final, earlier=earlier)
            adjusted = tuple(plain_part(change.phrase, change.amount) for change in changes)
            amount = sum((change.amount for change in changes), amount)
            return Charge(quantity=usage.quantity, amount=amount, parts=(*self._free_parts(usage), *parts, *adjusted))

    def step(self, usage: Usage) -> Step | None:
        """Return what the next unit costs where that differs from the last, and how far away that is; else None.

        Distances are in units of usage. They are not told where a transform rounds down, since there one unit does
        not lead on.
        """
        if self.modifiers.divide_round is Rounding.DOWN:
            return None
        with exact_context():
            quantity = self.modifiers.transformed(usage.quantity)
            free = self.modifiers.free_units
            step = self.model.step(max(quantity - free, ZERO))
            if quantity < free:
                first = self.model.first_unit_amount()
                step = None if first is None else Step(remaining=ZERO, unit_amount=first)
                free_left = free
            else:
                free_left = quantity
            if step is None:
                return None
            size = self.modifiers.divide_by or Decimal(1)
            return replace(step, remaining=(free_left + step.remaining) * size - usage.quantity)

    def overridden(self, *, unit_amount: Decimal | None = None, discount_percent: Decimal | None = None) -> "Price":
        """Return the price with a customer's own terms.

        An own unit amount replaces `amount` of `flat` and `unit_amount` of a licensed `per_unit`, and nothing else;
        an own discount comes after the price's.
        """
        price = self
        if unit_amount is not None:
            match self.model:
                case Flat():
                    price = replace(price, model=Flat(amount=unit_amount))
                case PerUnit() if self.licensed:
                    price = replace(price, model=PerUnit(unit_amount=unit_amount))
                case _:
                    pass
        if discount_percent:
            discounts = (*self.modifiers.discounts, Discount(percent=discount_percent))
            price = replace(price, modifiers=replace(self.modifiers, discounts=discounts))
        return price

    def _setting(self, span: Span | None, final: bool) -> Setting:
        share = WHOLE if span is None else span.share(self.modifiers.proration)
        note = None if span is None or share == 1 else span.note(self.modifiers.proration)
        return Setting(share=share, note=note, span=span, final=final)

    def _parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return the model's parts, prorated: as a whole where licensed, else its fixed parts alone."""
        priced = usage if isinstance(self.model, Matrix) else usage_of(self._billable(usage))
        if not self.licensed:
            return self.model.parts(priced, setting)
        parts = self.model.parts(priced, Setting(final=setting.final))
        return tuple(
            Part(
                phrase=setting.noted(part.phrase),
                quantity=part.quantity,
                unit_amount=part.unit_amount,
                amount=prorated(part.amount, setting.share),
            )
            for part in parts
        )

    def _billable(self, usage: Usage) -> Decimal:
        return max(self.modifiers.transformed(usage.quantity) - self.modifiers.free_units, ZERO)

    def _free_parts(self, usage: Usage) -> tuple[Part, ...]:
        """Return the parts that cost nothing: what a transform made of the quantity, and the free units used."""
        quantity = self.modifiers.transformed(usage.quantity)
        parts = []
        if self.modifiers.divide_by is not None:
            parts.append(plain_part(("divided", quantity, self.modifiers.divide_by), quantity=quantity))
        free = min(quantity, self.modifiers.free_units)
        if free:
            parts.append(plain_part(("free", free), quantity=free))
        return tuple(parts)
