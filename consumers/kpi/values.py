"""Values of an account: from window sums, by the engine's formulas, to rows and events.

Place     closing and interim -> [this] (calls engine/kpi) -> value_store and `billing.kpis`.
Key       `account/kpi/<kpi>/<window>/<currency>`: compaction keeps the newest of each; the currency is part of it,
          because a portfolio has as many revenues as currencies. Of a restated value `/restated/<as of>` follows, so
          that it stands beside the reported one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from fakturo.engine.kpi import (
    DATE,
    DEFINITIONS,
    EPOCH_ON,
    KpiValue,
    Sums,
    monthly_recurring,
    next_renewal,
    open_receivables,
    usage_trend,
    window_values,
)
from fakturo.engine.money import exponent_of
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.kpis import KPI_UPDATED, PORTFOLIO, KpiUpdated

Key = tuple[str, str, str, str]
"""(account, currency, kpi, window)"""

Figures = tuple[Decimal | None, Decimal, Decimal | None]
"""(value, numerator, denominator)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSums:
    """The sums of an account in a currency by window; `facts` counts what they are made of.

    Receivables and recurring revenue are balances; `usage_minor` is that of the newest month with usage, and of the
    month before it.
    """

    account: str
    currency: str
    receivable_minor: int
    recurring_minor: int
    usage_minor: tuple[int, int]
    facts: int
    windows: Mapping[str, Sums]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A KPI of an account."""

    account: str
    currency: str
    kpi: KpiValue
    facts: int

    @property
    def key(self) -> Key:
        """Return what identifies the value."""
        return self.account, self.currency, self.kpi.kpi, self.kpi.window

    @property
    def figures(self) -> Figures:
        """Return what is compared: the value and what it was divided from."""
        return self.kpi.value, self.kpi.numerator, self.kpi.denominator

    @property
    def record_key(self) -> str:
        """Return the key of its Kafka record."""
        return f"{self.account}/kpi/{self.kpi.kpi}/{self.kpi.window}/{self.currency}"


def computed(
    sums: Sequence[AccountSums],
    active: Mapping[tuple[str, str], int],
    renewals: Mapping[tuple[str, str], date] | None = None,
) -> list[Value]:
    """Return all KPIs of `sums`; `active` counts the portfolio's customers by currency and window.

    `renewals` has the next renewal by account and currency; None where it is not asked for.
    """
    values: list[Value] = []
    for account in sums:
        digits = exponent_of(account.currency)
        kpis = [
            open_receivables(account.receivable_minor, digits),
            monthly_recurring(account.recurring_minor, digits),
            usage_trend(*account.usage_minor, digits),
        ]
        if renewals is not None and account.account != PORTFOLIO:
            kpis.append(next_renewal(renewals.get((account.account, account.currency))))
        for window, figures in account.windows.items():
            alone = 1 if figures.invoices else 0
            customers = active.get((account.currency, window), 0) if account.account == PORTFOLIO else alone
            kpis += window_values(window, figures, customers, account.receivable_minor, digits)
        values += [
            Value(account=account.account, currency=account.currency, kpi=kpi, facts=account.facts) for kpi in kpis
        ]
    return values


def update_event(value: Value, as_of: date, *, interim: str | None = None) -> Event[KpiUpdated]:
    """Return the event of `value` as of the end of a day.

    `interim` is up to when days were closed: with the number of facts it tells interim values of one day apart, for the
    close of another day publishes its own over them, and the next flush says them again.
    """
    suffix = "" if interim is None else f"/interim-{interim}-{value.facts}"
    return _event(value, as_of, as_of, f"{value.record_key}/{as_of}{suffix}", "as_reported")


def restated_key(value: Value, as_of: date) -> str:
    """Return the key of the Kafka record of a restated value of the day `as_of`."""
    return f"{value.record_key}/restated/{as_of}"


def restated_event(value: Value, as_of: date, known_on: date) -> Event[KpiUpdated]:
    """Return the event of a value of the day `as_of` as it is restated at the close of the day `known_on`."""
    return _event(value, as_of, known_on, f"{restated_key(value, as_of)}/{known_on}", "restated")


def _event(
    value: Value, as_of: date, known_on: date, event_id: str, basis: Literal["as_reported", "restated"]
) -> Event[KpiUpdated]:
    kpi = value.kpi
    data = KpiUpdated(
        kpi=kpi.kpi,
        window=kpi.window,
        account=value.account,
        as_of=as_of,
        value=kpi.value,
        unit=kpi.unit,
        currency=value.currency,
        numerator=kpi.numerator,
        denominator=kpi.denominator,
        basis=basis,
        definition=DEFINITIONS[kpi.kpi],
        on=EPOCH_ON + timedelta(days=int(kpi.value)) if kpi.unit == DATE and kpi.value is not None else None,
    )
    return event_of(
        agent="kpi",
        event_type=KPI_UPDATED,
        id=event_id,
        subject=value.account,
        time=datetime.combine(known_on + timedelta(days=1), time(), UTC),
        data=data,
    )
