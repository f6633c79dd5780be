"""Recomputes every KPI as of the last closed day, from invoices, payments and allocations, by plain sums and fractions.

Place     invoicing.invoice, ledger.* -> [this] -> compared with kpi.value. None of engine/kpi is used.
Counts    an invoice until the day it was voided on; a credit note lowers net and gross of its own day and is none; bad
          debt is what 6100 says. Only payments settle, not what a credit note or a void gives back.
Waits     what came after its day was over counts from the day it was booked on; until that is closed it is left out.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import asyncpg

from fakturo.cli.verify_restated import verify_restated
from fakturo.cli.verify_result import Verification, minor_digits
from fakturo.cli.verify_sales import Sales
from fakturo.cli.verify_sums import ratio as _ratio
from fakturo.cli.verify_sums import rounded as _rounded
from fakturo.schemas.events.kpis import PORTFOLIO

WINDOW_DAYS = {"30d": 30, "90d": 90, "365d": 365, "lifetime": None}
BEGINNING = date(1, 1, 1)


@dataclass(frozen=True, slots=True)
class _Invoice:
    """What a document adds to the day it was issued on; `count` is 1 of an invoice, 0 of a credit note.

    What the KPI agent still keeps for a later day is the same with the opposite sign.
    """

    account: str
    currency: str
    issued_on: date
    net_minor: int
    gross_minor: int
    count: int


@dataclass(frozen=True, slots=True)
class _Settled:
    """An amount settled on `paid_on`, `days` after the invoice's due date and `age_days` after its issue."""

    account: str
    currency: str
    paid_on: date
    days: int
    amount_minor: int
    age_days: int


@dataclass(frozen=True, slots=True)
class _Movement:
    """A movement of an account of the chart on a day, for a customer."""

    code: str
    account: str
    currency: str
    on: date
    amount_minor: int


_Facts = tuple[list[_Invoice], list[_Settled], list[_Movement]]


async def verify_kpis(connection: asyncpg.Connection, result: Verification) -> None:
    """Compare the value of every KPI, window and account."""
    as_of = await connection.fetchval("SELECT closed_on FROM kpi.progress")
    if as_of is None:
        return
    invoices, settled, movements = await _facts(connection, as_of)
    found = {
        (row["account"], row["currency"], row["kpi"], row["window"]): row["value"]
        for row in await connection.fetch('SELECT account, currency, kpi, "window", value FROM kpi.value')
    }
    sales = await Sales.read(connection, as_of)
    currencies = {(invoice.account, invoice.currency) for invoice in invoices}
    currencies |= {(account, currency) for account, currency, _, _ in found if account != PORTFOLIO}
    currencies |= {(PORTFOLIO, currency) for _, currency in currencies}
    expected: dict[tuple[str, str, str, str], Decimal | None] = {}
    for account, currency in currencies:
        mine = (
            [fact for fact in invoices if _is(fact, account, currency)],
            [fact for fact in settled if _is(fact, account, currency)],
            [fact for fact in movements if _is(fact, account, currency)],
        )
        values = _values(*mine, as_of, minor_digits(currency)) | sales.values(account, currency, minor_digits(currency))
        for (kpi, window), value in values.items():
            expected[account, currency, kpi, window] = value
    for key in sorted(set(expected) | set(found)):
        if key in found or expected.get(key) not in (None, Decimal(0)):
            result.compare("kpi", " ".join(key), _plain(expected.get(key)), _plain(found.get(key)))
    await verify_restated(connection, as_of, result)


async def _facts(connection: asyncpg.Connection, as_of: date) -> _Facts:
    invoices = await connection.fetch(
        "SELECT account, currency, issue_on, subtotal_minor, total_minor, (kind = 'invoice')::int AS count "
        "FROM invoicing.invoice WHERE issue_on <= $1 AND (status <> 'void' OR greatest(voided_on, issue_on) > $1)",
        as_of,
    )
    settled = await connection.fetch(
        # What is given back takes from the day of the payment that it gives back, so both share that payment's day.
        "SELECT i.account, i.currency, p.paid_on, p.paid_on - i.due_on AS days, a.amount_minor, "
        "p.paid_on - d.issue_on AS age_days "
        "FROM ledger.allocation a JOIN ledger.journal j USING (journal_id) JOIN ledger.invoice i USING (invoice_id) "
        "JOIN invoicing.invoice d USING (invoice_id) "
        "JOIN (SELECT payment_id, (received_at AT TIME ZONE 'UTC')::date AS paid_on FROM ledger.payment "
        "WHERE type = 'received') p USING (payment_id) WHERE j.source_type = 'payment' AND j.effective_on <= $1",
        as_of,
    )
    movements = await connection.fetch(
        "SELECT l.account_code, coalesce(l.party, j.account), l.currency, j.effective_on, l.amount_minor "
        "FROM ledger.line l JOIN ledger.journal j USING (journal_id) WHERE l.account_code IN ('1200', '6100', '6200') "
        "AND j.effective_on <= $1",
        as_of,
    )
    facts = (
        [_Invoice(*row.values()) for row in invoices],
        [_Settled(*row.values()) for row in settled],
        [_Movement(*row.values()) for row in movements],
    )
    await _leave_out(connection, as_of, facts)
    return facts


async def _leave_out(connection: asyncpg.Connection, as_of: date, facts: _Facts) -> None:
    """Take off what happened by `as_of` but was booked later, on a day that is not closed."""
    invoices, settled, movements = facts
    for row in await connection.fetch(
        "SELECT f.*, i.due_on, d.issue_on, (SELECT (received_at AT TIME ZONE 'UTC')::date FROM ledger.payment p "
        "WHERE p.payment_id = f.payment_id AND p.type = 'received') AS paid_on FROM kpi.fact f "
        "LEFT JOIN ledger.invoice i USING (invoice_id) LEFT JOIN invoicing.invoice d USING (invoice_id) "
        "WHERE f.effective_on <= $1 AND f.booked_on > $1",
        as_of,
    ):
        account, currency, on = row["account"], row["currency"], row["effective_on"]
        if row["net_minor"] or row["gross_minor"] or row["invoices"]:
            invoices.append(_Invoice(account, currency, on, -row["net_minor"], -row["gross_minor"], -row["invoices"]))
        for code, column in (("1200", "receivable_minor"), ("6200", "fees_minor"), ("6100", "bad_debt_minor")):
            movements.append(_Movement(code, account, currency, on, -row[column]))
        if row["settled_minor"] and row["paid_on"] and row["due_on"]:
            days = (row["paid_on"] - row["due_on"]).days
            age_days = (row["paid_on"] - row["issue_on"]).days
            settled.append(_Settled(account, currency, row["paid_on"], days, -row["settled_minor"], age_days))


def _values(
    invoices: list[_Invoice], settled: list[_Settled], movements: list[_Movement], as_of: date, digits: int
) -> dict[tuple[str, str], Decimal | None]:
    unit = 10**digits
    owed = Fraction(sum(m.amount_minor for m in movements if m.code == "1200"), unit)
    values: dict[tuple[str, str], Decimal | None] = {("open_receivables", "now"): _rounded(owed, digits)}
    for window, days in WINDOW_DAYS.items():
        after = BEGINNING if days is None else as_of - timedelta(days=days)
        shown = [invoice for invoice in invoices if invoice.issued_on > after]
        active = Counter[str]()
        for invoice in shown:
            active[invoice.account] += invoice.count
        revenue = Fraction(sum(invoice.net_minor for invoice in shown), unit)
        cost = Fraction(sum(m.amount_minor for m in movements if m.code != "1200" and m.on > after), unit)
        paid = [fact for fact in settled if fact.paid_on > after]
        amount = sum(fact.amount_minor for fact in paid)
        weighted = sum(fact.amount_minor * fact.days for fact in paid)
        billed, customers = active.total(), sum(count > 0 for count in active.values())
        values["revenue", window] = _rounded(revenue, digits)
        values["average_invoice", window] = _ratio(revenue, billed, digits)
        values["purchase_frequency", window] = _ratio(Fraction(billed), customers, 4)
        values["lifetime_value", window] = _rounded(revenue - cost, digits)
        values["payment_delay", window] = _ratio(Fraction(weighted), amount, 4)
        values["days_to_pay", window] = _ratio(Fraction(sum(f.amount_minor * f.age_days for f in paid)), amount, 4)
        on_time = sum(fact.amount_minor for fact in paid if fact.days <= 0)
        values["on_time_rate", window] = _ratio(Fraction(on_time * 100), amount, 4)
        if days is not None:
            gross = Fraction(sum(invoice.gross_minor for invoice in shown), unit)
            values["dso", window] = _ratio(owed * days, gross, 4)
    return values


def _is(fact: _Invoice | _Settled | _Movement, account: str, currency: str) -> bool:
    return fact.currency == currency and account in (PORTFOLIO, fact.account)


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}" if value else "0"
