"""Credit: which grants are used, in which order, and when a balance is low.

Place     grants as the book has them -> [this] -> discounts (promotional credit) and `Invoice.credits` (prepaid).
Order     ascending priority, then the earliest expiry (never comes last), then id: the order in which they are used up.
Expiry    a grant holds up to, not including, the local date `expires_on`; the day that counts is the issue date.
Source    OpenMeter's burn-down order (ledger.md 1.6, J11): priority, expiry, id.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fakturo.engine.errors import PriceError
from fakturo.engine.money import exponent_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A grant as it stands: `left_minor` of it can be used."""

    grant_id: str
    left_minor: int
    priority: int = 100
    expires_on: date | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What of a grant is used: `amount_minor` above 0."""

    grant: Grant
    amount_minor: int


def has_expired(expires_on: date | None, on: date) -> bool:
    """Return whether what holds up to, not including, `expires_on` holds no more on the local date `on`."""
    return expires_on is not None and on >= expires_on


def burn_down(grants: Iterable[Grant], wanted_minor: int, issued_on: date) -> tuple[Draw, ...]:
    """Return what is used of which grant to pay `wanted_minor`, or as much of it as there is."""
    draws: list[Draw] = []
    rest = wanted_minor
    for grant in sorted(grants, key=_order):
        amount = min(rest, grant.left_minor)
        if amount > 0 and not has_expired(grant.expires_on, issued_on):
            draws.append(Draw(grant=grant, amount_minor=amount))
            rest -= amount
    return tuple(draws)


def balance(grants: Iterable[Grant]) -> int:
    """Return what is left of all `grants`, in minor units."""
    return sum(grant.left_minor for grant in grants)


def exact_minor(text: str, currency: str, path: str) -> int:
    """Return an amount of the major unit in minor units.

    Raises:
        PriceError: `currency_unknown`, or `amount_decimals` where it has more decimals than the currency.
    """
    minor = Decimal(text).scaleb(exponent_of(currency))
    if minor != minor.to_integral_value():
        raise PriceError("amount_decimals", f"{text} has more decimals than {currency}", path)
    return int(minor)


def _order(grant: Grant) -> tuple[int, date, str]:
    return grant.priority, grant.expires_on or date.max, grant.grant_id
