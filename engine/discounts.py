"""Discounts on an invoice as a whole: spend cap, coupons, promotional credit, each on what the one before left.

Place     lines and what the books have left -> [this] -> `AppliedDiscount` -> engine/invoicing (before tax).
Order     spend cap; coupons by ascending priority, then code; promotional credit; points (engine/loyalty).
Bounds    a discount takes no more than is left of the lines it covers, nor of the document; a line above 0 never falls
          below 0. Its shares add up to it (`money.allocate`), so that each tax group knows its part.
Rounding  a percentage is rounded once, half away from zero, on the sum of the lines that it covers.
Source    billing.md 5 (caps and minimums before credits); Stripe and Lago apply coupons one on what the other left.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fakturo.engine.money import allocate, exact_context, rounded
from fakturo.schemas.events.contracts import Coupon


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredLine:
    """What discounts ask of an invoice line: whose it is and its net amount, negative on a correction."""

    subscription_id: str
    account: str
    product_code: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A coupon that an invoice may use, as its holder has it.

    One that came with a subscription covers that one's lines; one that was granted covers all lines of `account`, and
    all of the invoice where `account` pays it (None). `used_count` is on how many invoices it was used so far.
    """

    holder_id: str
    coupon: Coupon
    used_count: int = 0
    subscription_id: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A coupon as it was used: what it took off (below 0) and the share of each line."""

    offer: Offer
    amount_minor: int
    shares: tuple[int, ...]


def uses_max(coupon: Coupon) -> int | None:
    """Return on how many invoices a coupon may be used; None: on all of them."""
    if coupon.duration == "forever":
        return None
    return (coupon.periods or 1) if coupon.duration == "periods" else 1


def is_usable(offer: Offer, currency: str, issued_on: date) -> bool:
    """Return whether an invoice of `currency` issued on a local date may use the coupon.

    It holds up to, not including, `expires_on`. An amount is of one currency; a percentage of any, unless it names one.
    """
    coupon, most = offer.coupon, uses_max(offer.coupon)
    if coupon.amount_minor is not None and coupon.currency is None:
        return False
    if coupon.currency is not None and coupon.currency != currency:
        return False
    if coupon.expires_on is not None and issued_on >= coupon.expires_on:
        return False
    return most is None or offer.used_count < most


def take(left: Sequence[int], covered: Iterable[int], wanted_minor: int) -> tuple[int, ...]:
    """Return the shares, 0 or below, by which `wanted_minor` comes off the covered lines, as far as there is anything.

    `left` is what is left of each line. The lines above 0 bear it by what is left of them.
    """
    indexes = list(covered)
    shares = [0] * len(left)
    amount = min(wanted_minor, sum(left[index] for index in indexes), sum(left))
    if amount <= 0:
        return tuple(shares)
    parts = allocate(amount, [max(left[index], 0) for index in indexes])
    for index, part in zip(indexes, parts, strict=True):
        shares[index] = -part
    return tuple(shares)


def after(left: Sequence[int], shares: Sequence[int]) -> tuple[int, ...]:
    """Return what is left of each line once `shares` came off."""
    return tuple(amount + share for amount, share in zip(left, shares, strict=True))


def cap_shares(
    left: Sequence[int], covered: Sequence[int], cap_minor: int, billed_minor: int, capped_minor: int
) -> tuple[int, ...]:
    """Return the shares by which the spend cap of a billing period changes its lines: cap(total) - cap(billed).

    `billed_minor` is what earlier documents of the period billed before the cap, `capped_minor` (0 or above) what the
    cap took off them. Where a correction lowers a period that was over its cap, the cap gives back what it took off:
    then the shares are above 0, so that all bills of a period add up to one bill at the end.
    """
    gross = billed_minor + sum(left[index] for index in covered)
    change = max(0, gross - cap_minor) - capped_minor
    shares = [0] * len(left)
    if change:
        parts = allocate(-change, [abs(left[index]) for index in covered])
        for index, part in zip(covered, parts, strict=True):
            shares[index] = part
    return tuple(shares)


def use_coupons(
    offers: Iterable[Offer], lines: Sequence[CoveredLine], left: Sequence[int], budgets: Mapping[str, int]
) -> tuple[Used, ...]:
    """Return the coupons that an invoice uses, in order; `offers` are usable, `budgets` what is left by code.

    Those that stack are used together, one that does not is used alone: whichever saves the customer more, the stack
    where both save the same. The same code covers a line only once, whoever gave it.
    """
    ordered = sorted(offers, key=lambda offer: (offer.coupon.priority, offer.coupon.code, offer.holder_id))
    choices = [[offer for offer in ordered if offer.coupon.stackable]]
    choices += [[offer] for offer in ordered if not offer.coupon.stackable]
    results = [_stack(choice, lines, left, budgets) for choice in choices]
    # max() keeps the first of those that save the same.
    return max(results, key=lambda used: -sum(use.amount_minor for use in used))


def _stack(
    offers: Iterable[Offer], lines: Sequence[CoveredLine], left: Sequence[int], budgets: Mapping[str, int]
) -> tuple[Used, ...]:
    now, budget = tuple(left), dict(budgets)
    seen: dict[str, set[int]] = {}
    used: list[Used] = []
    for offer in offers:
        code = offer.coupon.code
        covered = [i for i, line in enumerate(lines) if _covers(offer, line) and i not in seen.get(code, ())]
        wanted = _wanted(offer.coupon, sum(now[index] for index in covered))
        shares = take(now, covered, min(wanted, budget.get(code, wanted)))
        amount = sum(shares)
        if amount:
            seen.setdefault(code, set()).update(covered)
            if code in budget:
                budget[code] += amount
            now = after(now, shares)
            used.append(Used(offer=offer, amount_minor=amount, shares=shares))
    return tuple(used)


def _covers(offer: Offer, line: CoveredLine) -> bool:
    if offer.subscription_id is not None and line.subscription_id != offer.subscription_id:
        return False
    if offer.account is not None and line.account != offer.account:
        return False
    return not offer.coupon.products or line.product_code in offer.coupon.products


def _wanted(coupon: Coupon, covered_minor: int) -> int:
    if coupon.amount_minor is not None:
        return coupon.amount_minor
    return percent_of(covered_minor, coupon.percent or Decimal(0))


def percent_of(amount_minor: int, percent: Decimal) -> int:
    """Return `percent` of an amount in minor units, half away from zero: 12.5 % of 100 is 12.5, so 13."""
    with exact_context():
        return int(rounded(Decimal(amount_minor) * percent / 100, 0))
