"""`fakturo bench invoices`: how many invoices a second one core builds in the pure engine, taxes and ids included.

Place     engine/invoicing (`build_invoice`) on lines made beforehand -> a table or JSON.
Baseline  adding up the same lines' amounts and taxes with plain integers, in the same run: what arithmetic alone costs.
Cost      by the number of lines (5, 50, 500), as nanoseconds a line beside those at 5: flat means linear.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from fakturo.cli.bench.machine import machine
from fakturo.cli.output import console, print_json
from fakturo.engine.invoicing import BilledItem, InvoiceHead, build_invoice
from fakturo.engine.periods import month_period
from fakturo.schemas.events.invoices import LineTax, Party

PERIOD = month_period(date(2013, 1, 1), "America/New_York")
STANDARD = LineTax(category="standard", rate_percent=Decimal("8.875"))
REDUCED = LineTax(category="reduced", rate_percent=Decimal("4"))
LINES = (5, 50, 500)
GOAL_INVOICES_A_SECOND = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row: invoices of `lines` lines, how many a second, and how long a baseline took beside it."""

    lines: int
    invoices_a_second: float
    nanoseconds_a_line: float
    times_the_baseline: float


def run_bench(*, seconds: float, as_json: bool) -> int:
    """Measure and print; return 0 where the goal is reached, else 1."""
    rows = [_measure(lines, seconds) for lines in LINES]
    shown = [_row(row, rows[0]) for row in rows]
    found = {
        "invoices": shown,
        "goal_invoices_a_second": GOAL_INVOICES_A_SECOND,
        "machine": machine(),
    }
    if as_json:
        print_json(found)
    else:
        for row in shown:
            console.print("  ".join(f"{name} {value:,}" for name, value in row.items()), highlight=False)
    return 0 if rows[0].invoices_a_second >= GOAL_INVOICES_A_SECOND else 1


def _row(row: Measured, first: Measured) -> dict[str, Any]:
    return {
        "lines": row.lines,
        "invoices_a_second": round(row.invoices_a_second),
        "lines_a_second": round(row.invoices_a_second * row.lines),
        "times_the_baseline": round(row.times_the_baseline, 1),
        "cost_of_a_line_beside_5": round(row.nanoseconds_a_line / first.nanoseconds_a_line, 2),
    }


def _measure(lines: int, seconds: float) -> Measured:
    heads = [_head(number) for number in range(50)]
    items = [_item(number) for number in range(lines)]
    built, spent = _timed(lambda: [build_invoice(head, items) for head in heads], seconds)
    summed, spent_baseline = _timed(lambda: [_sums(items) for _ in heads], seconds / 4)
    each, each_baseline = spent / (built * len(heads)), spent_baseline / (summed * len(heads))
    return Measured(
        lines=lines,
        invoices_a_second=1 / each,
        nanoseconds_a_line=each * 1e9 / lines,
        times_the_baseline=each / each_baseline,
    )


def _timed(work: Any, seconds: float) -> tuple[int, float]:
    """Return how often `work` ran and the CPU seconds that it took."""
    work()
    rounds, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        work()
        rounds += 1
    return rounds, spent


def _sums(items: Sequence[BilledItem]) -> tuple[int, int]:
    """Return subtotal and tax by plain integers: the baseline."""
    groups: dict[tuple[str, Decimal], int] = {}
    for item in items:
        key = (item.tax.category, item.tax.rate_percent)
        groups[key] = groups.get(key, 0) + item.amount_minor
    tax = sum((2 * amount * int(rate * 1000) + 100_000) // 200_000 for (_, rate), amount in groups.items())
    return sum(groups.values()), tax


def _head(number: int) -> InvoiceHead:
    return InvoiceHead(
        account=f"A-{number}",
        customer=Party(name="Customer", country="US"),
        seller=Party(name="Seller", country="US"),
        currency="USD",
        period=PERIOD,
        zone="America/New_York",
        terms_days=30,
        number=f"INV-{number:08d}",
    )


def _item(number: int) -> BilledItem:
    return BilledItem(
        subscription_item=f"item-{number:04}",
        product_code=f"P{number % 7}",
        description="Movements",
        explanation="1,735 movements: 500 at 120.00, 1,235 at 110.00",
        quantity=Decimal(1735),
        amount_exact=Decimal("195850"),
        amount_minor=19_585_000 + number,
        period=PERIOD,
        tax=REDUCED if number % 5 == 0 else STANDARD,
        price_hash=f"{number % 7:064}",
        unit="movements",
    )
