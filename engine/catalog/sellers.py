"""The sellers of a catalog: who may issue invoices.

Place     catalog -> [this] -> `Seller` by code; an order names one (`Fakturo_Seller__c`).
"""

from fakturo.engine.catalog.fields import check_country, currency_of, optional_text
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import zone_of
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.events.contracts import Seller

TAX_ROUNDINGS = ("group", "line")


def read_sellers(reader: Reader) -> dict[str, Seller]:
    """Return the sellers by code; without any, all invoices are of the seller of the settings."""
    rows = reader.reader("sellers")
    return {code: _seller(code, rows.reader(code)) for code in rows.names()}


def _seller(code: str, row: Reader) -> Seller:
    seller = Seller(
        code=code,
        name=row.text("name"),
        country=row.text("country"),
        timezone=row.text("timezone", default="UTC"),
        currency=currency_of(row) if row.has("currency") else None,
        vat_id=optional_text(row, "vat_id"),
        address=optional_text(row, "address"),
        invoice_series=row.text("invoice_series", default="INV"),
        credit_note_series=row.text("credit_note_series", default="CN"),
        tax_registrations=row.texts("tax_registrations"),
        tax_rounding=row.choice("tax_rounding", TAX_ROUNDINGS, default="group"),
    )
    check_country(row, "country", seller.country)
    for country in seller.tax_registrations:
        check_country(row, "tax_registrations", country)
    try:
        zone_of(seller.timezone)
    except PriceError as error:
        row.fault(error.code, "timezone", error.message.removeprefix("timezone "))
    if seller.invoice_series == seller.credit_note_series:
        row.fault("series_repeated", "credit_note_series", f"{seller.credit_note_series!r} is the invoices' series too")
    row.finish("a seller")
    return seller
