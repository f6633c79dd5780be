"""`fakturo catalog check FILE`: everything that is wrong with a price list, at once; exit 1 if anything is."""

from pathlib import Path

from fakturo.cli.catalog.reading import Fault, ReadCatalog, read_catalog
from fakturo.cli.output import console, print_json


def run_check(path: Path, *, as_json: bool) -> int:
    """Print the faults of `path`, one a line, or that there are none; return the exit status."""
    read = read_catalog(path)
    if read.faults:
        print_faults(path, read.faults, as_json=as_json)
        return 1
    if as_json:
        print_json({"file": str(path), "hash": read.catalog.hash if read.catalog else None, "faults": []})
    else:
        console.print(f"{path}: {_summary(read)}", markup=False, highlight=False, soft_wrap=True)
    return 0


def print_faults(path: Path, faults: tuple[Fault, ...], *, as_json: bool) -> None:
    """Print `FILE:LINE: path: message (code)` for each fault, or all of them as JSON."""
    if as_json:
        print_json({"file": str(path), "hash": None, "faults": faults})
        return
    for fault in faults:
        where = f"{fault.path}: " if fault.path else ""
        text = f"{path}:{fault.line}: {where}{fault.message} ({fault.code})"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _summary(read: ReadCatalog) -> str:
    catalog = read.catalog
    if catalog is None:
        return "nothing in it"
    versions = sum(
        len(product.prices) + sum(len(others) for others in product.other_prices.values())
        for product in catalog.products.values()
    )
    return f"{len(catalog.products)} products, {versions} price versions, hash {catalog.hash[:12]}"
