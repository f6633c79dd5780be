"""The tax of a catalog: one fixed rate, or by country, with rates of its own that go before the built-in ones.

Place     catalog -> [this] -> `ItemTax`, which every item carries -> engine/tax.
Form      `{category, rate_percent, prices_include_tax}`, or `{by_country: true, category, prices_include_tax, rates:
          [{country, category, effective_from, rate_percent}]}`. A catalog without tax charges none.
"""

from collections.abc import Iterator
from datetime import date

from fakturo.engine.catalog.fields import check_country, date_of
from fakturo.engine.money import ZERO
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.events.contracts import ItemTax, TaxRate

STANDARD, NONE = "standard", "none"
_PERCENT_MAX = 100


def read_tax(reader: Reader) -> ItemTax:
    """Return the tax of every product."""
    fields = reader.reader("tax")
    by_country = fields.flag("by_country")
    if by_country and fields.has("rate_percent"):
        fields.fault("tax_rate_by_country", "rate_percent", "says nothing where by_country is true: put it in rates")
    if not by_country and fields.has("rates"):
        fields.fault("tax_rate_by_country", "rates", "need by_country: true")
    tax = ItemTax(
        category=fields.text("category", default=STANDARD if by_country else NONE),
        rate_percent=fields.decimal("rate_percent", default=ZERO),
        prices_include_tax=fields.flag("prices_include_tax"),
        by_country=by_country,
        rates=tuple(_rates(fields)) if fields.has("rates") else (),
    )
    if tax.rate_percent > _PERCENT_MAX:
        fields.fault("number_range", "rate_percent", f"{tax.rate_percent:f} is above {_PERCENT_MAX}")
    fields.finish("a tax")
    return tax


def _rates(fields: Reader) -> Iterator[TaxRate]:
    """Yield the rates in the order of the file; of one country and category each must begin after the one before."""
    before: dict[tuple[str, str], date] = {}
    for row in fields.readers("rates"):
        country, category = row.text("country"), row.text("category", default=STANDARD)
        effective_from, rate_percent = date_of(row, "effective_from"), row.decimal("rate_percent")
        check_country(row, "country", country)
        if rate_percent > _PERCENT_MAX:
            row.fault("number_range", "rate_percent", f"{rate_percent:f} is above {_PERCENT_MAX}")
        row.finish("a tax rate")
        if effective_from is None:
            continue
        last = before.get((country, category))
        if last is not None and effective_from <= last:
            row.fault("tax_rates_order", "effective_from", f"{effective_from} is not after {last} of {country}")
        before[country, category] = effective_from
        yield TaxRate(country=country, category=category, effective_from=effective_from, rate_percent=rate_percent)
