"""Minimum commitments: what a customer fell short of by the end of the term is trued up, once, as a line.

Place     net amounts billed in the term -> [this] -> a line of kind `true_up`, before all discounts.
Counts    the lines of the subscription whose period begins in the term, net of tax, before discounts on the invoice (a
          coupon must not turn into a shortfall). Nothing is prorated.
Source    billing.md 5: Lago's minimum commitment comes before tax and before coupons.
"""

from datetime import date

from fakturo.engine.periods import Period, Zone, date_period, local_date
from fakturo.schemas.events.contracts import Commitment

PRODUCT_CODE = "commitment"


def is_due(commitment: Commitment, issued_on: date) -> bool:
    """Return whether an invoice issued on the local date trues the term up: its end has come."""
    return issued_on >= commitment.end_on


def counts(commitment: Commitment, line_period: Period, zone: Zone) -> bool:
    """Return whether a line of that period counts towards the commitment."""
    return commitment.start_on <= local_date(line_period.start_at, zone) < commitment.end_on


def term_of(commitment: Commitment, zone: Zone) -> Period:
    """Return the term as a period of the account's zone."""
    return date_period(commitment.start_on, commitment.end_on, zone)


def shortfall(commitment: Commitment, billed_minor: int) -> int:
    """Return what is short of the commitment, never below 0: 12,000.00 committed, 11,250.50 billed: 749.50."""
    return max(0, commitment.amount_minor - billed_minor)


def item_of(subscription_id: str) -> str:
    """Return the id under which the true-up of a subscription stands on its line."""
    return f"{subscription_id}/commitment"
