"""Recomputes what sales looks at as of the last closed day: recurring revenue, usage trend, opportunities, renewals.

Place     contracts.published, the documents' lines -> [this] -> verify_kpis. Recurring revenue is worked out for that
          one day from each item's terms and price, not by the steps that the KPI agent adds up.
Waits     what the KPI agent still keeps for a later day is taken off again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Self
from zoneinfo import ZoneInfo

import asyncpg

from fakturo.cli.verify_periods import day_of, midnight, whole_period
from fakturo.cli.verify_published import read_contracts
from fakturo.cli.verify_result import minor_digits
from fakturo.cli.verify_sums import ratio, rounded
from fakturo.engine.prices import parse_price, usage_of
from fakturo.schemas.events.contracts import Subscription, SubscriptionItem
from fakturo.schemas.events.kpis import PORTFOLIO

Place = tuple[str, str]
"""(account, currency)"""

_ZONE = ZoneInfo("UTC")
_WINDOW_DAYS = {"30d": 30, "90d": 90, "365d": 365, "lifetime": None}

_LINES = """
SELECT i.account, i.currency, l ->> 'subscription_item' AS item, (l ->> 'amount_minor')::bigint AS amount_minor,
       (l -> 'period' ->> 'start')::timestamptz AS start_at, (l -> 'period' ->> 'end')::timestamptz AS end_at
  FROM invoicing.invoice i CROSS JOIN LATERAL jsonb_array_elements(i.content -> 'lines') l
 WHERE i.issue_on <= $1 AND (i.status <> 'void' OR greatest(i.voided_on, i.issue_on) > $1)
"""
_WAITING_LINES = """
SELECT f.account, f.currency, f.subscription_item AS item, f.effective_on, f.line_minor
  FROM kpi.fact f JOIN invoicing.invoice i USING (invoice_id)
 WHERE f.line_minor <> 0 AND f.booked_on > $1
   AND $1 >= CASE WHEN i.status = 'void' AND sign(f.line_minor) <> sign(i.subtotal_minor)
                  THEN greatest(i.voided_on, i.issue_on) ELSE i.issue_on END
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """All that the values are made of, as of the end of the day `as_of`."""

    as_of: date
    recurring_minor: Counter[Place]
    usage_minor: dict[Place, Counter[date]]
    won: Sequence[tuple[str, str, date, int]]
    renewals: dict[Place, date]

    @classmethod
    async def read(cls, connection: asyncpg.Connection, as_of: date) -> Self:
        """Read what is published and billed."""
        contracts = await read_contracts(connection)
        metered = {item.subscription_item for _, item in contracts.items() if item.meter is not None}
        recurring = _recurring(contracts.subscriptions, as_of)
        for row in await connection.fetch(
            "SELECT account, currency, recurring_minor FROM kpi.fact "
            "WHERE recurring_minor <> 0 AND effective_on <= $1 AND booked_on > $1",
            as_of,
        ):
            recurring[row["account"], row["currency"]] -= row["recurring_minor"]
        won = [
            (
                found.account,
                found.currency,
                found.closed_at.astimezone(UTC).date(),
                found.opened_at.astimezone(UTC).date(),
            )
            for found in contracts.opportunities
            if found.won and not found.deleted and found.closed_at is not None and found.currency is not None
        ]
        return cls(
            as_of=as_of,
            recurring_minor=recurring,
            usage_minor=await _usage(connection, as_of, metered),
            won=[
                (account, currency, on, max((on - opened_on).days, 0))
                for account, currency, on, opened_on in won
                if on <= as_of
            ],
            renewals=_renewals(contracts.subscriptions, as_of),
        )

    def values(self, account: str, currency: str, digits: int) -> dict[tuple[str, str], Decimal | None]:
        """Return the values of an account, or of the portfolio, by KPI and window."""
        monthly = sum(amount for place, amount in self.recurring_minor.items() if _is(place, account, currency))
        values: dict[tuple[str, str], Decimal | None] = {
            ("mrr", "now"): rounded(Fraction(monthly, 10**digits), digits),
            ("usage_trend", "now"): self._trend(account, currency),
        }
        if account != PORTFOLIO:
            renews_on = self.renewals.get((account, currency))
            days = None if renews_on is None else Decimal((renews_on - date(1970, 1, 1)).days)
            values["next_renewal_on", "now"] = days
        mine = [(on, days) for who, code, on, days in self.won if _is((who, code), account, currency)]
        for window, length in _WINDOW_DAYS.items():
            shown = [days for on, days in mine if length is None or on > self.as_of - timedelta(days=length)]
            values["won_deals", window] = Decimal(len(shown))
            values["sales_cycle", window] = ratio(Fraction(sum(shown)), len(shown), 4)
        return values

    def _trend(self, account: str, currency: str) -> Decimal | None:
        days = Counter[date]()
        for place, used in self.usage_minor.items():
            if _is(place, account, currency):
                days.update(used)
        months = Counter[date]()
        for on, amount_minor in days.items():
            if amount_minor:
                months[on.replace(day=1)] += amount_minor
        if not months:
            return None
        newest = max(months)
        before = months[(newest - timedelta(days=1)).replace(day=1)]
        return ratio(Fraction((months[newest] - before) * 100), before, 4)


def _recurring(subscriptions: Sequence[Subscription], as_of: date) -> Counter[Place]:
    found = Counter[Place]()
    for subscription in subscriptions:
        for item in subscription.items:
            if item.meter is None and item.billing_months:
                found[subscription.account, subscription.currency] += _monthly(item, as_of, subscription.currency)
    return found


def _monthly(item: SubscriptionItem, on: date, currency: str) -> int:
    """Return what the item costs a month on the day `on`, in minor units: nothing where it is not charged then."""
    served = item.service_start_on <= on and (item.service_end_on is None or on < item.service_end_on)
    free = item.trial_until_on is not None and on < item.trial_until_on
    paused = any(pause.start_on <= on and (pause.end_on is None or on < pause.end_on) for pause in item.pauses)
    if not served or free or paused:
        return 0
    priced_on = on
    if item.price_change == "next_period":
        period_on = day_of(whole_period(item, midnight(on, _ZONE), _ZONE).start_at, _ZONE)
        first_on = max(period_on, item.service_start_on)
        priced_on = min(on, max([first_on, *(version.effective_from for version in item.prices[:1])]))
    versions = [version for version in item.prices if version.effective_from <= priced_on]
    if not versions:
        return 0
    terms = [one for one in item.terms if one.effective_from <= on] or [item.terms[0]]
    price = parse_price(versions[-1].price, currency).overridden(
        unit_amount=terms[-1].own_unit_amount, discount_percent=terms[-1].discount_percent
    )
    amount = Fraction(price.charge(usage_of(terms[-1].quantity)).amount) / item.billing_months
    digits = minor_digits(currency)
    return int(rounded(amount, digits).scaleb(digits))


def _renewals(subscriptions: Sequence[Subscription], as_of: date) -> dict[Place, date]:
    found: dict[Place, date] = {}
    for subscription in subscriptions:
        renews_on = _renews_on(subscription, as_of)
        if renews_on is not None:
            place = (subscription.account, subscription.currency)
            found[place] = min(renews_on, found.get(place, renews_on))
    return found


def _renews_on(subscription: Subscription, as_of: date) -> date | None:
    ends_on, months = subscription.ended_on, subscription.term_months if subscription.auto_renew else None
    if (ends_on is not None and ends_on <= as_of) or not months:
        return None if ends_on is not None and ends_on <= as_of else ends_on
    terms = 1
    while (renews_on := _later(subscription.started_on, terms * months)) <= as_of:
        terms += 1
    return renews_on if ends_on is None else min(renews_on, ends_on)


def _later(on: date, months: int) -> date:
    """Return the same day so many months later, or the last one of a shorter month."""
    year, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(on.day, (following - timedelta(days=1)).day))


async def _usage(connection: asyncpg.Connection, as_of: date, metered: set[str]) -> dict[Place, Counter[date]]:
    """Return what usage was billed, by customer and by the middle day of its period."""
    found: dict[Place, Counter[date]] = {}
    for row in await connection.fetch(_LINES, as_of):
        if row["item"] in metered:
            middle_at = row["start_at"] + (row["end_at"] - row["start_at"]) / 2
            days = found.setdefault((row["account"], row["currency"]), Counter())
            days[middle_at.astimezone(UTC).date()] += row["amount_minor"]
    for row in await connection.fetch(_WAITING_LINES, as_of):
        if row["item"] in metered:
            found.setdefault((row["account"], row["currency"]), Counter())[row["effective_on"]] -= row["line_minor"]
    return found


def _is(place: Place, account: str, currency: str) -> bool:
    return place[1] == currency and account in (PORTFOLIO, place[0])
