"""The coupons of a catalog: discounts that a customer may be given on whole invoices.

Place     catalog -> [this] -> `Coupon` by code; an order names them (`Fakturo_Coupons__c`), or a grant does.
Form      `{description, percent | amount, currency, duration, periods, priority, stackable, budget, products,
          expires_on}`; amounts are in `currency`, by default the catalog's.
"""

from collections.abc import Container

from fakturo.engine.catalog.fields import currency_of, optional_date, optional_minor, optional_whole, whole
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.events.contracts import Coupon

DURATIONS = ("once", "periods", "forever")
_PERCENT_MAX = 100


def read_coupons(reader: Reader, currency: str, products: Container[str]) -> dict[str, Coupon]:
    """Return the coupons by code."""
    rows = reader.reader("coupons")
    return {code: _coupon(code, rows.reader(code), currency, products) for code in rows.names()}


def _coupon(code: str, row: Reader, default: str, products: Container[str]) -> Coupon:
    currency = currency_of(row, default)
    percent, amount_minor = row.optional_decimal("percent"), optional_minor(row, "amount", currency)
    budget_minor = optional_minor(row, "budget", currency)
    if (percent is None) == (amount_minor is None):
        row.fault("coupon_discount", "percent", "or amount: a coupon has one of the two")
    if percent is not None and not 0 < percent <= _PERCENT_MAX:
        row.fault("number_range", "percent", f"{percent:f} is not above 0 and at most {_PERCENT_MAX}")
    coupon = Coupon(
        code=code,
        description=row.text("description"),
        percent=percent,
        amount_minor=amount_minor,
        currency=None if amount_minor is None and budget_minor is None else currency,
        duration=row.choice("duration", DURATIONS, default="once"),
        periods=optional_whole(row, "periods", low=1, high=1000),
        priority=whole(row, "priority", low=0, high=1_000_000, default=100),
        stackable=row.flag("stackable") if row.has("stackable") else True,
        budget_minor=budget_minor,
        products=row.texts("products"),
        expires_on=optional_date(row, "expires_on"),
    )
    if (coupon.duration == "periods") != (coupon.periods is not None):
        row.fault("coupon_periods", "periods", "belongs to duration: periods, which needs it")
    for product in coupon.products:
        if product not in products:
            row.fault("product_unknown", "products", f"{product!r} is not a product of this catalog")
    row.finish("a coupon")
    return coupon
