"""Capacity: the peaks of named quantities pick a tier, and the highest such tier sets one amount.

Place     readings of named quantities -> [this] -> one part, a fixed one.
Rules     the peak of each name picks the lowest tier that holds it; a missing or null limit is unlimited; a peak that
          no tier holds is an error. A name that no tier limits is held by the first. Without any quantities the first
          tier is charged.
Readings  are the usage's `peaks`. Usage of a meter has none: then its groups by one dimension are the quantities by
          name, and a single quantity belongs to the one name that is limited; of several names it must be told.
Source    PRICING.md; Kill Bill "capacity usage" (the highest tier over all units sets the price).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import ClassVar

from fakturo.engine.errors import PriceError
from fakturo.engine.explanations import Phrase
from fakturo.engine.modifiers import prorated
from fakturo.engine.money import ZERO
from fakturo.engine.prices.model import Amounts, Setting, plain_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityTier:
    """What holds peaks up to its `limits` (inclusive), for `amount` in the major unit."""

    limits: Mapping[str, Decimal]
    amount: Decimal

    def holds(self, name: str, peak: Decimal) -> bool:
        """Return whether the peak of a name is within the limit."""
        limit = self.limits.get(name)
        return limit is None or peak <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Tiers, lowest first."""

    tiers: tuple[CapacityTier, ...]

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.UNREAD

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return the one amount.

        Raises:
            PriceError: `price_capacity_exceeded`, `quantities_missing`.
        """
        peaks = _highest(self.readings(usage))
        index = max((self._tier_of(name, peak) for name, peak in peaks.items()), default=0)
        amount = self.tiers[index].amount
        said = [("peak", name, peak) for name, peak in peaks.items()]
        phrase: Phrase = ("capacity", amount, *said) if said else ("capacity_none", amount)
        return (plain_part(setting.noted(phrase), prorated(amount, setting.share)),)

    def readings(self, usage: Usage) -> Sequence[Mapping[str, Decimal]]:
        """Return the quantities by name, once for each time they were read."""
        if usage.peaks:
            return usage.peaks
        if usage.groups and len(usage.dimensions) == 1:
            return ({name: quantity for (name,), quantity in usage.groups.items()},)
        if not usage.quantity:
            return ()
        names = sorted({name for tier in self.tiers for name in tier.limits})
        if len(names) != 1:
            needed = ", ".join(names) or "(none is limited)"
            raise PriceError("quantities_missing", f"a capacity price needs quantities by name: {needed}", "quantities")
        return ({names[0]: usage.quantity},)

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: no unit costs anything by itself."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return None: units have no price."""
        return None

    def _tier_of(self, name: str, peak: Decimal) -> int:
        for index, tier in enumerate(self.tiers):
            if tier.holds(name, peak):
                return index
        raise PriceError("price_capacity_exceeded", f"no tier holds {name} {peak:f}", f"quantities.{name}")


def _highest(readings: Sequence[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    peaks: dict[str, Decimal] = {}
    for reading in readings:
        for name, quantity in reading.items():
            peaks[name] = max(quantity, peaks.get(name, quantity))
    return peaks


def read(reader: Reader) -> Capacity:
    """Return the model that the document describes; never without a tier, whatever faults it noted."""
    rows = reader.readers("tiers")
    tiers = []
    for row in rows:
        limits = row.reader("limits")
        found = {name: limits.decimal(name) for name in limits.names() if not limits.is_null(name)}
        tiers.append(CapacityTier(limits=found, amount=row.decimal("amount")))
        row.finish("a tier")
    for (_, before), (row, tier) in pairwise(zip(rows, tiers, strict=True)):
        for name, limit in tier.limits.items():
            lower = before.limits.get(name)
            if lower is not None and limit < lower:
                row.reader("limits").fault("price_tier_order", name, f"{limit:f} is below {lower:f}")
    return Capacity(tiers=tuple(tiers) or (CapacityTier(limits={}, amount=ZERO),))
