"""The tax that a line carries, and what has to be said about it: engine/tax, asked for an item of a bill.

Place     billing -> [this] -> the lines of an invoice -> engine/tax, which adds up their groups.
"""

from collections.abc import Iterable
from datetime import date

from fakturo.engine.explanations import explain
from fakturo.engine.tax import line_tax, treatment_of
from fakturo.schemas.events.contracts import AccountVersion, ItemTax, Seller
from fakturo.schemas.events.invoices import LineTax


def line_tax_of(tax: ItemTax, seller: Seller, customer: AccountVersion, on: date) -> LineTax:
    """Return the tax of a line of `seller` to `customer`, as it stands when issued, on the tax point `on`."""
    return line_tax(tax, seller, customer, on)


def notes_on_tax(taxes: Iterable[ItemTax], seller: Seller, customer: AccountVersion, on: date) -> tuple[str, ...]:
    """Return why `customer` is taxed as it is, where the categories of the lines do not say it, each sentence once."""
    found = [treatment_of(tax, seller, customer, on).note for tax in taxes]
    return tuple(dict.fromkeys(explain((note,), customer.locale) for note in found if note is not None))
