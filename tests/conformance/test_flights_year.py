"""The flights year through the pure engine alone: 192 invoices, each line to the cent as computed by other means.

Meters count and sum every flight, items are sliced and rated, invoices are built; no broker, no database. The expected
cents come from `tests/flights/oracle.py`, which shares nothing with the engine.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakturo.engine.catalog import Catalog, Product, parse_catalog
from fakturo.engine.contracts import item_slices, request_of
from fakturo.engine.invoicing import BilledItem, InvoiceHead, build_invoice
from fakturo.engine.meters import Meter, Rollup, meter_of, rollup_of
from fakturo.engine.periods import Period, month_period, period_containing
from fakturo.engine.prices import Usage, grouped_usage
from fakturo.engine.rating import rate_slices
from fakturo.schemas.events.contracts import ItemTerms, SubscriptionItem
from fakturo.schemas.events.invoices import Invoice, LineTax, Party
from tests.flights import oracle

ZONE = "America/New_York"
SIMULATE = Path(__file__).resolve().parents[2] / "producers" / "simulate"
Totals = dict[tuple[str, str, Period], dict[tuple[str, ...], Rollup]]


def _catalog() -> Catalog:
    return parse_catalog(yaml.safe_load((SIMULATE / "flights_catalog.yaml").read_text()))


def _totals(meters: list[Meter], rows: list[dict[str, str]]) -> Totals:
    """Return (carrier, meter, month) -> dimensions -> rollup of every flight."""
    month_of = cache(lambda hour: period_containing(datetime.fromisoformat(hour), ZONE))
    totals: Totals = defaultdict(dict)
    for row in rows:
        kind = "airport.cancellation" if row["dep_time"] in ("", "NA") else "airport.departure"
        data = {"origin": row["origin"], "distance": int(row["distance"])}
        at = datetime.fromisoformat(row["time_hour"]).replace(minute=int(row["minute"]))
        for meter in meters:
            if meter.matches(kind, data):
                measure = meter.measure(data)
                groups = totals[row["carrier"], meter.code, month_of(row["time_hour"])]
                before = groups.get(measure.dimensions, Rollup())
                groups[measure.dimensions] = before.merge(rollup_of(measure.value, at))
    return totals


def _items(catalog: Catalog, carriers: list[str]) -> Iterator[tuple[str, SubscriptionItem]]:
    """Yield each carrier's items as contracts.csv has them; a `*` row is for everyone without a row of its own."""
    with (SIMULATE / "flights_contracts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    own = {(row["account"], row["product"]) for row in rows}
    for number, row in enumerate(rows):
        for carrier in carriers if row["account"] == "*" else [row["account"]]:
            if row["account"] != "*" or (carrier, row["product"]) not in own:
                yield carrier, _item(f"{carrier}-{number}", row, catalog.products[row["product"]])


def _item(name: str, row: dict[str, str], product: Product) -> SubscriptionItem:
    start = date.fromisoformat(row["start"])
    discount = Decimal(row["discount_percent"]) if row["discount_percent"] else None
    return SubscriptionItem(
        subscription_item=name,
        product_code=product.code,
        product_name=product.name,
        billing=product.billing,
        service_start_on=start,
        service_end_on=date.fromisoformat(row["end"]) if row["end"] else None,
        terms=(ItemTerms(effective_from=start, quantity=Decimal(row["quantity"]), discount_percent=discount),),
        prices=product.prices,
        tax=product.tax,
        meter=product.meter,
        unit=product.unit,
    )


def _billed(item: SubscriptionItem, month: Period, carrier: str, totals: Totals) -> Iterator[BilledItem]:
    usage = None
    if item.meter is not None:
        usage = _usage(meter_of(item.meter), totals.get((carrier, item.meter.code, month), {}))
    slices = item_slices(item, month, ZONE, "USD")
    results = rate_slices([request_of(part, month, ZONE, usage, item.unit or "") for part in slices])
    for part, result in zip(slices, results, strict=True):
        yield BilledItem(
            subscription_item=item.subscription_item,
            product_code=item.product_code,
            description=item.product_name,
            explanation=result.explanation,
            quantity=result.quantity,
            amount_exact=result.exact,
            amount_minor=result.amount_minor,
            period=part.period,
            tax=LineTax(category=item.tax.category, rate_percent=item.tax.rate_percent),
            price_hash=part.version.hash,
        )


def _usage(meter: Meter, groups: dict[tuple[str, ...], Rollup]) -> Usage:
    quantities = {group: rollup.quantity(meter.aggregation) for group, rollup in groups.items()}
    return grouped_usage(meter.group_by, quantities)


def _invoices() -> Iterator[tuple[tuple[str, int], Invoice]]:
    catalog, rows = _catalog(), oracle.flights()
    totals = _totals([meter_of(definition) for definition in catalog.meters.values()], rows)
    carriers = sorted({row["carrier"] for row in rows})
    items: dict[str, list[SubscriptionItem]] = defaultdict(list)
    for carrier, item in _items(catalog, carriers):
        items[carrier].append(item)
    for carrier in carriers:
        for number in oracle.MONTHS:
            month = month_period(date(2013, number, 1), ZONE)
            head = InvoiceHead(
                account=carrier,
                customer=Party(name=carrier),
                seller=Party(name="The airports"),
                currency="USD",
                period=month,
                zone=ZONE,
                terms_days=30,
            )
            lines = [line for item in items[carrier] for line in _billed(item, month, carrier, totals)]
            yield (carrier, number), build_invoice(head, lines)


def _cents(invoice: Invoice) -> dict[str, int]:
    products = dict.fromkeys(("MOVEMENT", "SLOT", "DISTANCE", "CANCEL", "TERMINAL"), 0)
    for line in invoice.lines:
        products[line.product_code] += line.amount_minor
    return {
        **products,
        "subtotal": invoice.subtotal_minor,
        "tax": invoice.tax_minor,
        "total": invoice.total_minor,
    }


@pytest.fixture(scope="module")
def invoices() -> dict[tuple[str, int], Invoice]:
    return dict(_invoices())


def test_every_one_of_the_192_invoices_is_right_to_the_cent(invoices: dict[tuple[str, int], Invoice]) -> None:
    expected: dict[Any, dict[str, int]] = oracle.invoices()
    assert len(invoices) == len(expected) == 192
    assert {key: _cents(invoice) for key, invoice in invoices.items()} == expected


def test_a_line_of_the_year_says_why_it_costs_what_it_costs(invoices: dict[tuple[str, int], Invoice]) -> None:
    lines = {line.product_code: line.explanation for line in invoices["VX", 3].lines}
    assert lines["TERMINAL"] == "1 units: 1 at 15,000.00, 17 of 31 days"
    assert lines["MOVEMENT"] == "303 movements: 303 at 120.00"
