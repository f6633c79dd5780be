"""KPI formulas: from sums over a window to values, exact; the only place where a KPI is defined.

Place     kpi agent (sums from its tiles) -> [this] -> values -> Postgres and `billing.kpis`.
Windows   of N days as of D hold the days D-N+1 to D; `lifetime` holds all up to D; `now` is the end of D.
Amounts   sums are integer minor units; values in the major unit of `currency`. A ratio is rounded once, half away from
          zero: money to its currency's digits, days and counts to 4; it is None where the denominator is 0.
Source    reference/ledger.md section 6.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from fakturo.engine.money import EXACT, rounded

WINDOW_DAYS: Mapping[str, int] = MappingProxyType({"30d": 30, "90d": 90, "365d": 365})
LIFETIME = "lifetime"
NOW = "now"
DATE = "date"
"""The unit of a value that is a date: in days since 1970-01-01."""
EPOCH_ON = date(1970, 1, 1)
RATIO_DIGITS = 4
HUNDRED = Decimal(100)

DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "revenue": "sum of the invoices' net amounts less credit notes, by issue date; void invoices left out",
        "average_invoice": "revenue / number of invoices",
        "purchase_frequency": "number of invoices / customers with at least one",
        "lifetime_value": "revenue less payment provider fees and bad debt, historic",
        "open_receivables": "balance of account 1200 at the end of the day",
        "dso": "open receivables at the end of the day / gross invoiced in the window x days of the window",
        "payment_delay": "days from due date to payment, weighted by the amount settled",
        "days_to_pay": "days from issue date to payment, weighted by the amount settled",
        "on_time_rate": "amount settled by its due date / amount settled, in percent",
        "mrr": "fixed charges of the running subscriptions a month, without usage, trials, pauses and one-time charges",
        "usage_trend": "usage billed for the newest month with usage against the month before it, in percent",
        "won_deals": "number of opportunities won, by the day they were won",
        "sales_cycle": "days from an opportunity's creation to its winning, averaged over those won",
        "next_renewal_on": "next day on which a term ends; the value is in days since 1970-01-01",
    }
)
"""What each KPI means, in one line; travels with every value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums over a window: amounts in minor units.

    `delay_minor_days` is amount settled times days after the due date, `age_minor_days` times days after the issue
    date; `cycle_days` are the days that the `won` opportunities took together.
    """

    invoices: int = 0
    net_minor: int = 0
    gross_minor: int = 0
    fees_minor: int = 0
    bad_debt_minor: int = 0
    settled_minor: int = 0
    delay_minor_days: int = 0
    age_minor_days: int = 0
    on_time_minor: int = 0
    won: int = 0
    cycle_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiValue:
    """A value with what it was divided from; `unit` is `currency`, `days`, `invoices`, `percent`, `deals` or `date`."""

    kpi: str
    window: str
    unit: str
    value: Decimal | None
    numerator: Decimal
    denominator: Decimal | None


def window_values(
    window: str, sums: Sums, customers: int, receivable_minor: int, minor_digits: int
) -> Iterator[KpiValue]:
    """Yield the KPIs of one window; DSO only where the window has a length in days.

    `customers` is how many customers have an invoice in the window; of a single customer 1 or 0.
    """
    revenue = _major(sums.net_minor, minor_digits)
    yield _amount("revenue", window, revenue)
    yield _ratio("average_invoice", window, "currency", revenue, Decimal(sums.invoices), minor_digits)
    yield _ratio("purchase_frequency", window, "invoices", Decimal(sums.invoices), Decimal(customers), RATIO_DIGITS)
    cost = _major(sums.fees_minor + sums.bad_debt_minor, minor_digits)
    yield _amount("lifetime_value", window, revenue - cost)
    if window in WINDOW_DAYS:
        owed = _major(receivable_minor, minor_digits) * WINDOW_DAYS[window]
        yield _ratio("dso", window, "days", owed, _major(sums.gross_minor, minor_digits), RATIO_DIGITS)
    delay = _major(sums.delay_minor_days, minor_digits)
    settled = _major(sums.settled_minor, minor_digits)
    yield _ratio("payment_delay", window, "days", delay, settled, RATIO_DIGITS)
    age = _major(sums.age_minor_days, minor_digits)
    yield _ratio("days_to_pay", window, "days", age, settled, RATIO_DIGITS)
    on_time = _major(sums.on_time_minor, minor_digits)
    yield _ratio("on_time_rate", window, "percent", on_time * HUNDRED, settled, RATIO_DIGITS)
    yield _plain("won_deals", window, "deals", Decimal(sums.won))
    yield _ratio("sales_cycle", window, "days", Decimal(sums.cycle_days), Decimal(sums.won), RATIO_DIGITS)


RESTATED = frozenset({"revenue", "average_invoice", "lifetime_value", "open_receivables", "dso"})
"""The KPIs that later documents restate: what was invoiced and owed. What was paid on a day was paid on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What later documents move into a window, and out of it (below 0): minor units, and a number of invoices.

    `receivable_minor` is what they add to what was owed at its end.
    """

    net_minor: int = 0
    gross_minor: int = 0
    invoices: int = 0
    receivable_minor: int = 0


def restated(reported: KpiValue, shift: Shift, minor_digits: int) -> KpiValue:
    """Return a KPI of `RESTATED` as it would have been, had the later documents come with what they correct.

    Raises:
        KeyError: a KPI that is not restated.
    """
    numerator, denominator, window = reported.numerator, reported.denominator or Decimal(0), reported.window
    net, owed = _major(shift.net_minor, minor_digits), _major(shift.receivable_minor, minor_digits)
    match reported.kpi:
        case "revenue" | "lifetime_value":
            return _amount(reported.kpi, window, numerator + net)
        case "average_invoice":
            return _ratio(reported.kpi, window, "currency", numerator + net, denominator + shift.invoices, minor_digits)
        case "open_receivables":
            return _amount(reported.kpi, window, numerator + owed)
        case "dso":
            gross = denominator + _major(shift.gross_minor, minor_digits)
            return _ratio(reported.kpi, window, "days", numerator + owed * WINDOW_DAYS[window], gross, RATIO_DIGITS)
        case _:
            raise KeyError(reported.kpi)


def open_receivables(receivable_minor: int, minor_digits: int) -> KpiValue:
    """Return the balance of 1200; its only window is `now`."""
    return _amount("open_receivables", NOW, _major(receivable_minor, minor_digits))


def monthly_recurring(recurring_minor: int, minor_digits: int) -> KpiValue:
    """Return the recurring revenue a month at the end of the day; its only window is `now`."""
    return _amount("mrr", NOW, _major(recurring_minor, minor_digits))


def usage_trend(month_minor: int, before_minor: int, minor_digits: int) -> KpiValue:
    """Return by how many percent the usage of a month is above that of the month before; None without the latter."""
    before = _major(before_minor, minor_digits)
    grown = (_major(month_minor, minor_digits) - before) * HUNDRED
    return _ratio("usage_trend", NOW, "percent", grown, before, RATIO_DIGITS)


def next_renewal(on: date | None) -> KpiValue:
    """Return a date as a value: days since 1970-01-01, None where nothing ends."""
    days = Decimal((on - EPOCH_ON).days) if on is not None else None
    numerator = Decimal(0) if days is None else days
    return KpiValue(kpi="next_renewal_on", window=NOW, unit=DATE, value=days, numerator=numerator, denominator=None)


def _amount(kpi: str, window: str, value: Decimal) -> KpiValue:
    return _plain(kpi, window, "currency", value)


def _plain(kpi: str, window: str, unit: str, value: Decimal) -> KpiValue:
    return KpiValue(kpi=kpi, window=window, unit=unit, value=value, numerator=value, denominator=None)


def _ratio(kpi: str, window: str, unit: str, numerator: Decimal, denominator: Decimal, digits: int) -> KpiValue:
    value = None
    if denominator:
        value = rounded(EXACT.divide(numerator, denominator), digits)
    return KpiValue(kpi=kpi, window=window, unit=unit, value=value, numerator=numerator, denominator=denominator)


def _major(amount_minor: int, minor_digits: int) -> Decimal:
    return Decimal(amount_minor).scaleb(-minor_digits, context=EXACT)
