"""What customers paid and would have paid: sums by customer and currency, as a table or JSON.

Place     repricing -> [this] -> a person, a program, chart.
Amounts   net, integer minor units; nothing is rounded here but the percentage, to one decimal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from fakturo.cli.output import amount_text
from fakturo.engine.money import EXACT, rounded


@dataclass(slots=True, kw_only=True)
class Customer:
    """One customer in one currency. `billed_minor` is what stands on invoices, None where nothing does."""

    account: str
    name: str
    currency: str
    current_minor: int = 0
    simulated_minor: int = 0
    billed_minor: int | None = None

    @property
    def difference_minor(self) -> int:
        """Return how much more (or, below 0, less) the customer would have paid."""
        return self.simulated_minor - self.current_minor


@dataclass(slots=True, kw_only=True)
class Simulation:
    """The whole answer; `kept_products` are those that the new list does not have."""

    start_on: date
    end_on: date
    catalog_hash: str
    periods: int = 0
    customers: list[Customer] = field(default_factory=list)
    kept_products: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)

    def totals(self) -> list[Customer]:
        """Return the sum of all customers, one a currency."""
        sums: dict[str, Customer] = {}
        for one in self.customers:
            total = sums.setdefault(one.currency, Customer(account="total", name="Total", currency=one.currency))
            total.current_minor += one.current_minor
            total.simulated_minor += one.simulated_minor
            if one.billed_minor is not None:
                total.billed_minor = (total.billed_minor or 0) + one.billed_minor
        return [sums[currency] for currency in sorted(sums)]

    def document(self) -> dict[str, Any]:
        """Return the answer for a program."""
        return {
            "from": self.start_on,
            "to": self.end_on,
            "catalog_hash": self.catalog_hash,
            "billing_periods": self.periods,
            "customers": [_figures(one) for one in self.customers],
            "totals": [_figures(one) for one in self.totals()],
            "kept_products": list(self.kept_products),
            "problems": self.problems,
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return the answer for a person, the totals last."""
        return [_row(one) for one in (*self.customers, *self.totals())]


def percent_text(one: Customer) -> str:
    """Return the change against now: "+3.0 %"; empty where nothing was paid."""
    if not one.current_minor:
        return ""
    change = EXACT.divide(Decimal(one.difference_minor * 100), Decimal(one.current_minor))
    return f"{rounded(change, 1):+f} %"


def _figures(one: Customer) -> dict[str, Any]:
    return {
        "account": one.account,
        "name": one.name,
        "currency": one.currency,
        "current_minor": one.current_minor,
        "simulated_minor": one.simulated_minor,
        "difference_minor": one.difference_minor,
        "billed_minor": one.billed_minor,
    }


def _row(one: Customer) -> dict[str, Any]:
    return {
        "account": one.account,
        "name": one.name,
        "currency": one.currency,
        "now": amount_text(one.current_minor, one.currency, grouped=True),
        "simulated": amount_text(one.simulated_minor, one.currency, grouped=True),
        "difference": amount_text(one.difference_minor, one.currency, grouped=True),
        "change": percent_text(one),
    }


def largest(customers: Sequence[Customer], count: int) -> list[Customer]:
    """Return the `count` customers that pay most under either list, the largest first."""
    return sorted(customers, key=lambda one: (-max(one.current_minor, one.simulated_minor), one.account))[:count]
