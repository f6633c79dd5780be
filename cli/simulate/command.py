"""The command: reads the new list and the books, rates both, prints.

Place     `fakturo simulate` -> [this] -> history, repricing, result, chart.
"""

from datetime import date
from pathlib import Path

import asyncpg

from fakturo.cli.catalog.check import print_faults
from fakturo.cli.catalog.reading import read_catalog
from fakturo.cli.connect import read_books
from fakturo.cli.history import books
from fakturo.cli.history.periods import PricedPeriod, priced_period, read_usage
from fakturo.cli.output import console, errors, print_json, print_rows
from fakturo.cli.simulate.repricing import periods_of, repriced
from fakturo.cli.simulate.result import Customer, Simulation
from fakturo.engine.catalog import Catalog
from fakturo.engine.errors import PriceError
from fakturo.schemas.events.contracts import SubscriptionItem

Pair = tuple[books.SoldItem, PricedPeriod, PricedPeriod]
"""A billing period at the item's own prices, and at the new list's."""


def run_simulate(
    home: Path, catalog_file: Path, start_on: date, end_on: date, svg: Path | None, *, as_json: bool
) -> int:
    """Simulate and print; return 1 where the list is refused or a period could not be rated."""
    if end_on <= start_on:
        errors.print(f"fakturo simulate: --to {end_on} is not after --from {start_on}")
        return 1
    read = read_catalog(catalog_file)
    catalog = read.catalog
    if catalog is None:
        print_faults(catalog_file, read.faults, as_json=as_json)
        return 1
    simulation = read_books(home, lambda connection: simulate(connection, catalog, start_on, end_on))
    if svg is not None:
        from fakturo.cli.simulate.chart import write_chart

        write_chart(simulation, svg)
    if as_json:
        print_json(simulation.document())
    else:
        _print(simulation, svg)
    return 1 if simulation.problems else 0


async def simulate(connection: asyncpg.Connection, catalog: Catalog, start_on: date, end_on: date) -> Simulation:
    """Return what the customers would have paid for the billing periods that begin in [start_on, end_on)."""
    pairs, kept = _pairs(await books.sold_items(connection), catalog, start_on, end_on)
    await read_usage(connection, [one for _, *both in pairs for one in both])
    result = Simulation(start_on=start_on, end_on=end_on, catalog_hash=catalog.hash, kept_products=tuple(sorted(kept)))
    result.periods = len(pairs)
    names = await books.customer_names(connection)
    customers: dict[tuple[str, str], Customer] = {}
    billed = await books.billed_minor(
        connection, [(sold.item.subscription_item, current.period) for sold, current, _ in pairs]
    )
    for (sold, current, simulated), billed_minor in zip(pairs, billed, strict=True):
        key = sold.account, sold.currency
        if key not in customers:
            name = names.get(sold.account, sold.account)
            customers[key] = Customer(account=sold.account, name=name, currency=sold.currency)
        _add(customers[key], current, simulated, result)
        if billed_minor is not None:
            customers[key].billed_minor = (customers[key].billed_minor or 0) + billed_minor
    result.customers = [customers[key] for key in sorted(customers)]
    return result


def _pairs(
    sold_items: list[books.SoldItem], catalog: Catalog, start_on: date, end_on: date
) -> tuple[list[Pair], set[str]]:
    pairs: list[Pair] = []
    kept: set[str] = set()
    for sold in sold_items:
        item: SubscriptionItem | None = repriced(sold, catalog)
        if item is None:
            kept.add(sold.item.product_code)
        pairs += [
            (sold, priced_period(sold, sold.item, period), priced_period(sold, item or sold.item, period))
            for period in periods_of(sold, start_on, end_on)
        ]
    return pairs, kept


def _add(customer: Customer, current: PricedPeriod, simulated: PricedPeriod, result: Simulation) -> None:
    """Add both amounts; a period that one of the lists cannot rate counts in neither, and is said."""
    try:
        now, then = current.amount_minor(), simulated.amount_minor()
    except PriceError as error:
        result.problems.append(
            f"{customer.account}, item {current.item.subscription_item}, period from "
            f"{current.period.start_at:%Y-%m-%d}: {error.message} ({error.code})"
        )
        return
    customer.current_minor += now
    customer.simulated_minor += then


def _print(simulation: Simulation, svg: Path | None) -> None:
    title = f"{simulation.periods:,} billing periods from {simulation.start_on} up to {simulation.end_on}, net"
    print_rows(title, simulation.rows(), empty="Nothing was sold in this time.", as_json=False)
    for product in simulation.kept_products:
        console.print(f"{product} is not in the new list and keeps its prices.", highlight=False)
    for problem in simulation.problems:
        errors.print(problem, markup=False, highlight=False)
    if svg is not None:
        console.print(f"Chart: {svg}", highlight=False)
