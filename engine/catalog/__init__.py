"""The price list: meters, products with versions of their prices, sellers, coupons, loyalty, tax; checked as a whole.

Place     catalog file, loaded from YAML by the caller -> [this] -> contracts agent -> `billing.contracts`.
Form      a mapping with `currency`, `meters`, `products`, `sellers`, `coupons`, `loyalty`, `tax`; unknown fields are
          errors. Dates may be dates (as YAML reads them) or texts "2013-01-01", numbers decimal strings or integers.
Errors    all of them at once, each with its code and path ("products.MOVEMENT.prices[0].tiers[1].up_to").
Rooms     catalog.py (the whole), products.py (what is sold, how it is billed), versions.py (its prices), meters.py,
          sellers.py, coupons.py, loyalty.py, tax.py; fields.py reads dates, whole numbers and amounts for all of them;
          changes.py tells one list from the next.
Hash      SHA-256, in hexadecimal, of the canonical JSON (sorted keys, no blanks).
"""

from fakturo.engine.catalog.catalog import Catalog, parse_catalog
from fakturo.engine.catalog.changes import Change, Touched, changes_between, touched_past
from fakturo.engine.catalog.products import CALENDAR, SERVICE_START, SUBSCRIPTION_START, Product
from fakturo.engine.catalog.versions import content_hash, price_at

__all__ = [
    "CALENDAR",
    "SERVICE_START",
    "SUBSCRIPTION_START",
    "Catalog",
    "Change",
    "Product",
    "Touched",
    "changes_between",
    "content_hash",
    "parse_catalog",
    "price_at",
    "touched_past",
]
