"""From one price list to the next: what changes, and what of it reaches into the past."""

from datetime import date
from typing import Any

import pytest

from fakturo.engine.catalog import Catalog, changes_between, parse_catalog, touched_past

TODAY = date(2026, 6, 15)


def catalog(*versions: tuple[str, str], **product: Any) -> Catalog:
    """Return a list with one flat fee: (effective_from, amount) of each version."""
    prices = [{"effective_from": on, "model": "flat", "amount": amount} for on, amount in versions]
    return parse_catalog({"currency": "EUR", "products": {"FEE": {"name": "Fee", "prices": prices, **product}}})


BEFORE = catalog(("2026-01-01", "10"), ("2026-05-01", "12"))


@pytest.mark.parametrize(
    ("after", "start_on"),
    [
        (catalog(("2026-01-01", "10"), ("2026-05-01", "12"), ("2026-06-15", "15")), "none"),
        (catalog(("2026-01-01", "10"), ("2026-05-01", "12"), ("2026-06-14", "15")), date(2026, 6, 14)),
        (catalog(("2026-01-01", "10"), ("2026-05-01", "13")), date(2026, 5, 1)),
        (catalog(("2026-01-01", "10"), ("2026-04-01", "12"), ("2026-05-01", "12")), date(2026, 4, 1)),
        (catalog(("2026-01-01", "10")), date(2026, 5, 1)),
        (catalog(("2025-12-01", "10"), ("2026-05-01", "12")), date(2025, 12, 1)),
        (catalog(("2026-01-01", "10"), ("2026-05-01", "12"), unit="fees"), "none"),
        (catalog(("2026-01-01", "10"), ("2026-05-01", "12"), billing="advance"), None),
    ],
)
def test_what_was_in_force_before_today_is_touched_from_the_first_day_that_differs(
    after: Catalog, start_on: date | str | None
) -> None:
    found = [(one.product_code, one.start_on, one.end_on) for one in touched_past(BEFORE, after, TODAY)]
    assert found == ([] if start_on == "none" else [("FEE", start_on, TODAY)])


def test_a_first_list_touches_nothing_and_a_product_that_goes_touches_its_past() -> None:
    assert touched_past(None, BEFORE, TODAY) == ()
    prices = [{"effective_from": "2020-01-01", "model": "flat", "amount": "1"}]
    other = parse_catalog({"currency": "EUR", "products": {"NEW": {"name": "New", "prices": prices}}})
    assert [one.start_on for one in touched_past(BEFORE, other, TODAY)] == [date(2026, 1, 1)]


def test_changes_name_what_was_added_changed_and_ended() -> None:
    after = catalog(("2026-01-01", "10"), ("2026-07-01", "15"), name="Basic fee")
    found = [(one.kind, one.subject, one.field, one.effective_from) for one in changes_between(BEFORE, after)]
    assert found == [
        ("changed", "product", "name", None),
        ("ended", "price", None, date(2026, 5, 1)),
        ("added", "price", None, date(2026, 7, 1)),
    ]
    assert changes_between(BEFORE, BEFORE) == ()
    assert [one.subject for one in changes_between(None, BEFORE)] == ["currency", "product", "price", "price"]
