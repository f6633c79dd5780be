"""One database a journey, and the price list that most of them use."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import pytest

from tests.journey.journey import Journey, settings_of


def licensed(amount: str, **fields: Any) -> dict[str, Any]:
    """Return a product of seats, or of anything else that the order counts."""
    price = {"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": amount, "licensed": True}
    return {"name": f"Seat at {amount}", "prices": [price, {**price, "currency": "DKK"}], **fields}


def metered(meter: str, amount: str, **fields: Any) -> dict[str, Any]:
    """Return a product that a meter counts, at an amount a unit."""
    price = {"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": amount}
    return {"name": f"Unit at {amount}", "meter": meter, "prices": [price, {**price, "currency": "DKK"}], **fields}


def usage_priced(prices: Mapping[str, dict[str, Any]], rate_percent: str) -> dict[str, Any]:
    """Return a product for each price, all counting the same calls by zone, at one tax rate."""
    meter = {"event_type": "api.call", "aggregation": "sum", "value": "data.quantity", "group_by": ["zone"]}
    products = {
        code: {"name": code.title(), "meter": "zoned_calls", "prices": [{"effective_from": "2020-01-01", **price}]}
        for code, price in prices.items()
    }
    tax = {"category": "standard", "rate_percent": rate_percent}
    return {"meters": {"zoned_calls": meter}, "products": products, "tax": tax}


CATALOG: dict[str, Any] = {
    "currency": "EUR",
    "meters": {"calls": {"event_type": "api.call", "aggregation": "sum", "value": "data.quantity"}},
    "products": {
        "SEAT": licensed("31"),  # March costs 1.00 a day
        "BIG": licensed("62"),
        "SEAT-ADV": licensed("31", billing="advance"),
        "BIG-ADV": licensed("62", billing="advance"),
        "QUARTER": licensed("90", billing="advance", billing_period={"months": 3}),
        "YEAR": licensed("365", billing="advance", billing_period={"months": 12}, anchor="subscription_start"),
        "SETUP": licensed("500", billing_period="once"),
        "CALLS": metered("calls", "0.10"),
        "CALLS-COTERM": metered("calls", "0.10", anchor="subscription_start"),
        "ALLOWANCE": {
            "name": "Calls, 12,000 a year free",
            "meter": "calls",
            "allowance": {"months": 12},
            "prices": [
                {"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": "0.10", "free_units": "12000"}
            ],
        },
    },
    "sellers": {
        "DK": {"name": "Fakturo ApS", "country": "DK", "currency": "DKK", "invoice_series": "DKI"},
        "DE": {"name": "Fakturo GmbH", "country": "DE", "currency": "EUR", "invoice_series": "DEI"},
    },
    "coupons": {"TEN": {"description": "Ten per cent", "percent": "10", "duration": "forever"}},
    "loyalty": {"MILES": {"points_per_unit": "1", "point_amount": "0.05"}},
    "tax": {"category": "standard", "rate_percent": "20"},
}


@pytest.fixture
async def connection(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Return the connection with commits that nobody waits for: nobody pulls the plug here, and a year has many."""
    await connection.execute("SET synchronous_commit TO off")
    return connection


@pytest.fixture
def begin(connection: asyncpg.Connection) -> Callable[..., Journey]:
    """Return a function that begins a journey; parts of the catalog and settings may be given."""

    def begin_one(catalog: dict[str, Any] | None = None, batch_max: int = 1000, **settings: Any) -> Journey:
        return Journey(
            connection,
            {**copy.deepcopy(CATALOG), **(catalog or {})},
            settings=settings_of(**settings),
            batch_max=batch_max,
        )

    return begin_one
