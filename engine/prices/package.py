"""Package: a price for each package of units; a started package counts whole, or not at all with `round: down`.

Source    PRICING.md; docs.stripe.com "Package pricing", Lago "package".
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.modifiers import Rounding, divided
from fakturo.engine.prices.model import Amounts, Setting
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """`package_amount`, in the major unit, for each `package_size` units (above 0)."""

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.UNREAD

    package_size: Decimal
    package_amount: Decimal
    rounding: Rounding

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part: the number of packages at the package amount."""
        packages = divided(usage.quantity, self.package_size, self.rounding)
        key = "package" if packages == 1 else "packages"
        return (
            Part(
                phrase=(key, packages, self.package_size, self.package_amount),
                quantity=packages,
                unit_amount=self.package_amount,
                amount=packages * self.package_amount,
            ),
        )

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: every package costs the same."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return None: units have no price of their own."""
        return None


def read(reader: Reader) -> Package:
    """Return the model that the document describes."""
    return Package(
        package_size=reader.decimal("package_size", above_zero=True),
        package_amount=reader.decimal("package_amount"),
        rounding=reader.choice("round", (Rounding.UP, Rounding.DOWN), default=Rounding.UP),
    )
