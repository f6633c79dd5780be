"""A price that has been read: a model with its modifiers, applied to a usage.

Place     usage -> [this] -> exact Charge -> rating (less what was billed, rounded once).
Steps     event increments -> transform -> free units -> model, whole or event by event -> proration -> discounts -> cap
          -> minimum (PRICING.md, Modifiers); what is before the model is in priced.py.
Licensed  the quantity is the contract's, so the model's whole amount is a fixed part.
Holds     a Charge is never below 0, never rounded, and the sum of its parts.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

from fakturo.engine.modifiers import WHOLE, Discount, Modifiers, Proration, Rounding, Span, prorated
from fakturo.engine.money import ZERO, exact_context
from fakturo.engine.prices.events import checked_total
from fakturo.engine.prices.flat import Flat
from fakturo.engine.prices.matrix import Matrix
from fakturo.engine.prices.model import Amounts, Model, Setting, plain_part
from fakturo.engine.prices.per_unit import PerUnit
from fakturo.engine.prices.priced import Priced, priced
from fakturo.engine.prices.usage import Charge, Part, Step, Usage

SETTINGS_MAX = 4096
"""How many settings are kept."""
_ALL = {final: Setting(final=final) for final in (True, False)}


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
        if isinstance(self.model, Matrix) and any(cell.price.needs_events for cell in self.model.cells):
            return True
        rates_singly = self.modifiers.per_event or self.modifiers.increments is not None
        return rates_singly or self.model.rates_events or self.model.amounts is not Amounts.UNREAD

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
        of the period, so that the minimum applies; `earlier` what the period's earlier slices came to, exactly,
        less their `minimum_share`.

        Raises:
            PriceError: `quantity_negative`, `event_amount_missing`, `quantities_missing`, `price_capacity_exceeded`,
                `price_matrix_no_cell`, `price_matrix_dimension`.
        """
        checked_total(usage.quantity)
        with exact_context():
            setting = self._setting(span, final)
            before = priced(usage, self.model, self.modifiers)
            parts = [*before.parts, *self._model_parts(before, setting)]
            amount = sum([part.amount for part in parts], ZERO)
            if amount < 0:  # events that take back more than the others cost
                parts.append(plain_part(("at_least_nothing",), -amount))
                amount = ZERO
            changes = self.modifiers.adjustments(amount, share=setting.share, final=final, earlier=earlier)
            for change in changes:
                parts.append(plain_part(change.phrase, change.amount))
                amount += change.amount
            return Charge(quantity=usage.quantity, amount=amount, parts=tuple(parts))

    def step(self, usage: Usage) -> Step | None:
        """Return what the next unit costs where that differs from the last, and how far away that is; else None.

        Distances are in units of usage (of money where amounts are priced). They are not told where a transform rounds
        down, since there one unit does not lead on, and not where events are priced singly.
        """
        if self.modifiers.divide_round is Rounding.DOWN or self.modifiers.per_event or self.modifiers.increments:
            return None
        if isinstance(self.model, Matrix):
            return None
        with exact_context():
            plain = self.modifiers
            if plain.change_quantities:
                plain = replace(plain, divide_by=None, free_units=ZERO)
            used = priced(usage, self.model, plain).total
            quantity = self.modifiers.transformed(used)
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
            return Step(remaining=(free_left + step.remaining) * size - used, unit_amount=step.unit_amount)

    def minimum_share(self, span: Span | None) -> Decimal:
        """Return the part of a prorated minimum that belongs to `span`; 0 where the last slice carries all of it."""
        if self.modifiers.minimum_amount is None or self.modifiers.proration is Proration.NONE:
            return ZERO
        with exact_context():
            return prorated(self.modifiers.minimum_amount, self._setting(span, final=True).share)

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
        return _ALL[final] if span is None else _setting_of(span, self.modifiers.proration, final)

    def _model_parts(self, before: Priced, setting: Setting) -> tuple[Part, ...]:
        """Return the model's parts, prorated: as a whole where licensed, else its fixed parts alone."""
        if not self.licensed:
            return self._parts(before, setting)
        return tuple(
            Part(
                phrase=setting.noted(part.phrase),
                quantity=part.quantity,
                unit_amount=part.unit_amount,
                amount=prorated(part.amount, setting.share),
            )
            for part in self._parts(before, _ALL[setting.final])
        )

    def _parts(self, before: Priced, setting: Setting) -> tuple[Part, ...]:
        if isinstance(self.model, Matrix):
            return tuple(lot.cell.part(lot.usages, lot.quantity, setting) for lot in before.lots)
        if before.singles is None:
            return self.model.parts(before.usage, setting)
        # Per-event amounts are never prorated.
        return _merged([(sign, self.model.parts(one, _ALL[setting.final])) for sign, one in before.singles])


@lru_cache(maxsize=SETTINGS_MAX)
def _setting_of(span: Span, proration: Proration, final: bool) -> Setting:
    """Return what a model is told; kept for a while, as items that are billed by the same calendar have the same."""
    share = span.share(proration)
    if share == WHOLE:
        return Setting(share=WHOLE, span=span, final=final)
    return Setting(share=share, note=span.note(proration), span=span, final=final)


def _merged(charged: list[tuple[int, tuple[Part, ...]]]) -> tuple[Part, ...]:
    """Return the parts of events that were priced one by one: as they are of one event, else in one part."""
    if len(charged) == 1 and charged[0][0] > 0:
        return charged[0][1]
    if not charged:
        return ()
    count = Decimal(len(charged))
    amount = sum([sign * part.amount for sign, parts in charged for part in parts], ZERO)
    return (plain_part(("events", count), amount, count),)
