"""What an order agrees on beside its items: seller, coupons, commitment, cap, threshold, loyalty, approval. Pure.

Place     mapping -> [this] -> fields of `Subscription`.
Unknown   a seller that the catalog does not know stops the order, for no one else may invoice; an unknown coupon or
          loyalty programme is left out, and a sentence says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.lifecycle import Lifecycle
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile import Fields, SubscriptionFields
from fakturo.consumers.contracts.values import Unclear, decimal_of, flag, text_of, whole_of
from fakturo.engine.money import exponent_of, round_amount, to_minor
from fakturo.engine.periods import add_months
from fakturo.schemas.events.contracts import Commitment, Coupon, LoyaltyProgramme, Seller

AMOUNT_MAX = 10**12
COMMITMENT_MONTHS_MAX = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreements:
    """What holds for the order as a whole; `unclear` are ends of sentences about what was left out."""

    coupons: tuple[Coupon, ...]
    commitment: Commitment | None
    loyalty: LoyaltyProgramme | None
    spend_cap_minor: int | None
    billing_threshold_minor: int | None
    approval_required: bool
    unclear: tuple[str, ...]


def seller_of(order: RecordHistory, fields: SubscriptionFields, offers: Offers) -> Seller | None:
    """Return the seller that the order names, None where it names none.

    Raises:
        Unclear: the catalog does not know it.
    """
    code = text_of(order.value(fields.seller))
    if code is None:
        return None
    if code not in offers.sellers:
        known = ", ".join(sorted(offers.sellers)) or "it has none"
        raise Unclear(f"has the seller {code!r} in {fields.seller[0]}, which the catalog does not know ({known})")
    return offers.sellers[code]


def agreements_of(
    order: RecordHistory, fields: SubscriptionFields, offers: Offers, currency: str, life: Lifecycle
) -> Agreements:
    """Return what the order agrees on, in `currency`."""
    unclear: list[str] = []
    named = [code.strip() for code in str(order.value(fields.coupons) or "").split(";")]
    codes = [code for code in dict.fromkeys(named) if code]
    programme = text_of(order.value(fields.loyalty))
    unclear += [_unknown("coupon", code, fields.coupons) for code in codes if code not in offers.coupons]
    if programme is not None and programme not in offers.loyalty:
        unclear.append(_unknown("loyalty programme", programme, fields.loyalty))
    coupons = [offers.coupons[code] for code in codes if code in offers.coupons]
    foreign = [one for one in coupons if one.amount_minor is not None and one.currency != currency]
    unclear += [f"has the coupon {one.code}, which is in {one.currency}, not in {currency}" for one in foreign]
    return Agreements(
        coupons=tuple(one for one in coupons if one not in foreign),
        commitment=_commitment(order, fields, currency, life, unclear),
        loyalty=offers.loyalty.get(programme or ""),
        spend_cap_minor=_minor(order, fields.spend_cap, currency, unclear),
        billing_threshold_minor=_minor(order, fields.billing_threshold, currency, unclear),
        approval_required=flag(order.value(fields.approval_required)),
        unclear=tuple(unclear),
    )


def _unknown(what: str, code: str, fields: Fields) -> str:
    return f"has the {what} {code!r} in {fields[0]}, which the catalog does not know; it is left out"


def _commitment(
    order: RecordHistory, fields: SubscriptionFields, currency: str, life: Lifecycle, unclear: list[str]
) -> Commitment | None:
    """Return the commitment: so many months from the order's start, else its term, else to its last day."""
    amount_minor = _minor(order, fields.commitment_amount, currency, unclear)
    if amount_minor is None:
        return None
    values: Mapping[str, Any] = {name: order.value((name,)) for name in fields.commitment_months}
    try:
        months = whole_of(dict(values), fields.commitment_months, 1, COMMITMENT_MONTHS_MAX) or life.term_months
    except Unclear as problem:
        unclear.append(str(problem))
        return None
    end_on: date | None = add_months(life.started_on, months) if months else life.ended_on
    if end_on is None:
        unclear.append(f"commits to an amount, but for no time: fill {fields.commitment_months[0]}")
        return None
    return Commitment(amount_minor=amount_minor, start_on=life.started_on, end_on=end_on)


def _minor(order: RecordHistory, fields: Fields, currency: str, unclear: list[str]) -> int | None:
    """Return an amount in minor units, None where there is none or 0, or where it cannot be one."""
    try:
        amount = decimal_of(order.value(fields)) or Decimal(0)
    except Unclear as problem:
        unclear.append(str(problem))
        return None
    if amount < 0 or amount > AMOUNT_MAX or amount != round_amount(amount, currency):
        digits = exponent_of(currency)
        unclear.append(
            f"has {amount:f} in {fields[0]}; it must be from 0 to {AMOUNT_MAX}, with at most {digits} decimals"
        )
        return None
    return to_minor(amount, currency) or None
