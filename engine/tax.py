"""Tax: a percentage of the sum of each category and rate, rounded once, half away from zero.

Place     invoice lines -> [this] -> the tax group of the invoice.
Source    EN 16931, BR-CO-17 (category tax = taxable sum x rate, rounded) and BR-CO-14 (total = sum of the groups).
"""

from collections.abc import Iterable
from decimal import Decimal

from fakturo.engine.money import exact_context, rounded
from fakturo.schemas.events.invoices import InvoiceTax, LineTax


def tax_minor(taxable_minor: int, rate_percent: Decimal) -> int:
    """Return the tax on `taxable_minor`, in minor units, half away from zero: 200 at 8.875 % is 17.75, so 18."""
    with exact_context():
        return int(rounded(Decimal(taxable_minor) * rate_percent / 100, 0))


def taxes_of(lines: Iterable[tuple[LineTax, int]]) -> tuple[InvoiceTax, ...]:
    """Return one group for each category and rate of (tax, amount in minor units), sorted by the two."""
    sums: dict[tuple[str, Decimal], int] = {}
    for tax, amount_minor in lines:
        key = (tax.category, tax.rate_percent)
        sums[key] = sums.get(key, 0) + amount_minor
    return tuple(
        InvoiceTax(category=category, rate_percent=rate, taxable_minor=taxable, tax_minor=tax_minor(taxable, rate))
        for (category, rate), taxable in sorted(sums.items())
    )
