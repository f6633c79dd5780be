"""The tax that a line carries: category, rate and whose it is.

Place     billing -> [this] -> the lines of an invoice -> engine/tax, which adds up their groups.
"""

from datetime import date

from fakturo.schemas.events.contracts import AccountVersion, ItemTax, Seller
from fakturo.schemas.events.invoices import LineTax


def line_tax_of(tax: ItemTax, seller: Seller, customer: AccountVersion, on: date) -> LineTax:
    """Return the tax of a line of `seller` to `customer` on the local date `on`: the item's own category and rate."""
    return LineTax(category=tax.category, rate_percent=tax.rate_percent)
