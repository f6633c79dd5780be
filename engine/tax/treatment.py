"""Who is taxed where: seller, customer, what is sold and the day decide a line's category, rate and country.

Place     an item's `ItemTax`, seller, account -> [this] -> `LineTax` of the line -> groups.
Fixed     a price list with a fixed rate charges it to everybody but a customer who is exempt.
Order     the first that holds: 1 exempt customer; 2 fixed rate; 3 what is sold is exempt or out of scope; 4 customer in
          the seller's country, or of unknown country: taxed there; 5 a business in another member state, by its VAT id:
          reverse charge, of goods an intra-Community supply; 6 customer in a country where the seller is registered
          (one stop shop): taxed there; 7 both in the Union: taxed in the seller's country; 8 everything else: export.
Choices   **A VAT id that fails its check digits** makes no business: the customer is taxed as a consumer and a note on
          the invoice says why. Untaxed by mistake the tax is the seller's loss; taxed by mistake it is credited.
          **A rate that nobody knows** (a country outside of the table, without a rate of the price list's own) charges
          nothing, and a note says so: a wrong rate would be worse, and time must not stop for it.
          **A price that includes tax** is what the customer pays, whatever tax is in it, be it none.
Day       `tax_point`: the last day of what the line is for, or the day of issue where that comes first (billed in
          advance). So usage of June billed on 1 July is taxed as of 30 June: articles 64(1), 65, 66(a) and 93.
Source    Directive 2006/112/EC, articles 44, 45, 58, 59c, 138, 146, 196; category codes: EN 16931, UNTDID 5305.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

from fakturo.engine.explanations import Phrase
from fakturo.engine.money import ZERO
from fakturo.engine.periods import Period, Zone, local_date
from fakturo.engine.tax.rates import EU, RATE_CATEGORIES, rate_of
from fakturo.engine.tax.vat_ids import tax_country, vat_id_country
from fakturo.schemas.events.contracts import AccountVersion, ItemTax, Seller
from fakturo.schemas.events.invoices import LineTax

EXEMPT, EXEMPT_CUSTOMER, OUT_OF_SCOPE = "exempt", "exempt_customer", "out_of_scope"
REVERSE_CHARGE, INTRA_COMMUNITY, EXPORT, EXPORT_GOODS = "reverse_charge", "intra_community", "export", "export_goods"
RATE_UNKNOWN = "rate_unknown"

GOODS: Mapping[str, str] = MappingProxyType({"goods": "standard", "goods_reduced": "reduced"})
"""Categories of things that are delivered, and the rate that they carry; all others are services."""

ITEM_CATEGORIES = (*RATE_CATEGORIES, *GOODS, EXEMPT, OUT_OF_SCOPE)
"""What a product may be where the country decides; a price list may name others that its `rates` know."""

CODES: Mapping[str, str] = MappingProxyType(
    {
        "zero": "Z",
        EXEMPT: "E",
        EXEMPT_CUSTOMER: "E",
        REVERSE_CHARGE: "AE",
        INTRA_COMMUNITY: "K",
        EXPORT: "G",
        EXPORT_GOODS: "G",
        OUT_OF_SCOPE: "O",
        RATE_UNKNOWN: "O",
        "none": "O",
    }
)
"""The codes of EN 16931 for what is not charged; what is charged is S."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What a line carries, and the phrase on why, where the category alone does not say it."""

    tax: LineTax
    note: Phrase | None = None


def code_of(tax: LineTax) -> str:
    """Return the category code of EN 16931: S, Z, E, AE, K, G or O. A fixed rate of 0 is Z."""
    return CODES.get(tax.category, "S" if tax.rate_percent else "Z")


def tax_point(issued_on: date, period: Period, zone: Zone) -> date:
    """Return the day whose rate counts: the last local day of `period`, or `issued_on` if that is earlier."""
    return min(issued_on, local_date(period.end_at - timedelta(microseconds=1), zone))


def line_tax(tax: ItemTax, seller: Seller, customer: AccountVersion, on: date) -> LineTax:
    """Return category, rate and country of a line of `seller` to `customer` on the local date `on`."""
    return treatment_of(tax, seller, customer, on).tax


def treatment_of(tax: ItemTax, seller: Seller, customer: AccountVersion, on: date) -> Treatment:
    """Return what a line carries, and why where its category does not say it."""
    if customer.tax_exempt:
        return Treatment(tax=_untaxed(tax, EXEMPT_CUSTOMER))
    if not tax.by_country:
        fixed = LineTax(category=tax.category, rate_percent=tax.rate_percent, prices_include_tax=tax.prices_include_tax)
        return Treatment(tax=fixed)
    if tax.category in (EXEMPT, OUT_OF_SCOPE):
        return Treatment(tax=_untaxed(tax, tax.category, tax_country(seller.country)))
    return _by_country(tax, seller, customer, on)


def _by_country(tax: ItemTax, seller: Seller, customer: AccountVersion, on: date) -> Treatment:
    home = tax_country(seller.country)
    country = tax_country(customer.country) or home
    if country == home:
        return Treatment(tax=_taxed(tax, home, on))
    business = vat_id_country(customer.vat_id, country) if customer.vat_id and country in EU else None
    if business is not None and business != home:
        return Treatment(tax=_untaxed(tax, _between_businesses(tax, home), country))
    registrations = {tax_country(code) for code in seller.tax_registrations}
    note = ("tax_vat_id_invalid", customer.vat_id) if customer.vat_id and country in EU and business is None else None
    if country in registrations:
        return Treatment(tax=_taxed(tax, country, on), note=note)
    if country in EU and home in EU:
        return Treatment(tax=_taxed(tax, home, on), note=note)
    return Treatment(tax=_untaxed(tax, EXPORT_GOODS if tax.category in GOODS else EXPORT, country))


def _between_businesses(tax: ItemTax, home: str | None) -> str:
    if tax.category not in GOODS:
        return REVERSE_CHARGE  # article 196 binds sellers from outside of the Union too
    return INTRA_COMMUNITY if home in EU else EXPORT_GOODS


def _taxed(tax: ItemTax, country: str | None, on: date) -> LineTax:
    category = GOODS.get(tax.category, tax.category)
    rate = rate_of(country or "", category, on, tax.rates)
    if rate is None:
        return _untaxed(tax, RATE_UNKNOWN, country)
    return LineTax(category=category, rate_percent=rate, country=country, prices_include_tax=tax.prices_include_tax)


def _untaxed(tax: ItemTax, category: str, country: str | None = None) -> LineTax:
    return LineTax(category=category, rate_percent=ZERO, country=country, prices_include_tax=tax.prices_include_tax)
