"""Tiers, which `graduated`, `graduated_percentage` and `volume` share: contiguous, ascending, the last without end.

Bounds    `up_to` is inclusive; a tier is entered when the quantity exceeds the bound before it, so 5.001 enters the
          tier after 5. Fractions are compared as they are. The first tier is entered at zero usage too.
Source    PRICING.md; reference choice of Stripe, OpenMeter and Flexprice for the inclusive bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from fakturo.engine.money import EXACT, ZERO
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Step

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Units above `after` up to and including `up_to` (None: without end)."""

    after: Decimal
    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal

    def holds(self, quantity: Decimal) -> bool:
        """Return whether `quantity` does not go beyond this tier."""
        return self.up_to is None or quantity <= self.up_to


def shares_of(tiers: tuple[Tier, ...], quantity: Decimal) -> Iterator[tuple[Tier, Decimal]]:
    """Yield each tier that `quantity` entered with what of it lies there, lowest first; the first tier always."""
    for tier in tiers:
        if tier.after and quantity <= tier.after:
            return
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        yield tier, top - tier.after


def step_of(tiers: tuple[Tier, ...], quantity: Decimal) -> Step | None:
    """Return how far the tier after the one that `quantity` lands in is, and its unit amount; None in the last."""
    for tier, following in pairwise(tiers):
        if tier.up_to is not None and tier.holds(quantity):
            return Step(remaining=tier.up_to - quantity, unit_amount=following.unit_amount)
    return None


def read_tiers(reader: Reader, *, percent: bool = False) -> tuple[Tier, ...]:
    """Return the tiers of the document; never empty, whatever faults it noted.

    With `percent` they have a percentage in place of a unit amount: "1" % is a unit amount of 0.01.
    """
    price = "percent" if percent else "unit_amount"
    tiers: list[Tier] = []
    after = ZERO
    rows = reader.readers("tiers")
    for index, row in enumerate(rows):
        up_to = _bound(row, after, last=index == len(rows) - 1)
        if not row.has(price) and not row.has("flat_amount"):
            row.fault("field_missing", price, "is missing, and flat_amount too")
        unit_amount = row.decimal(price, default=ZERO)
        tiers.append(
            Tier(
                after=after,
                up_to=up_to,
                unit_amount=EXACT.divide(unit_amount, _HUNDRED) if percent else unit_amount,
                flat_amount=row.decimal("flat_amount", default=ZERO),
            )
        )
        row.finish("a tier")
        after = after if up_to is None else up_to
    return tuple(tiers) or (Tier(after=ZERO, up_to=None, unit_amount=ZERO, flat_amount=ZERO),)


def _bound(row: Reader, after: Decimal, *, last: bool) -> Decimal | None:
    if row.is_null("up_to"):
        if not last:
            row.fault("price_tier_order", "up_to", "is null, but only the last tier's may be")
        return None
    up_to = row.decimal("up_to")
    if last:
        row.fault("price_tier_last", "up_to", f"{up_to:f} must be null: the last tier has no end")
    if row.has("up_to") and up_to <= after:
        row.fault("price_tier_order", "up_to", f"{up_to:f} is not above {after:f}")
    return up_to
