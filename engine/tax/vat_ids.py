"""VAT identification numbers of the European Union: is it one, and whose?

Place     account's VAT id -> [this] -> treatment.
Holds     form and check digits alone, as python-stdnum knows them for each state. Whether the number is registered only
          the Commission's VIES can say, over the network: whoever enters the account may ask it.
Source    Directive 2006/112/EC, articles 214 and 215 (the prefix is ISO 3166, for Greece EL).
"""

from functools import lru_cache

from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from fakturo.engine.tax.rates import EU

# Monaco and the Isle of Man are taxed as parts of France and the United Kingdom (article 7); EL and UK are what the
# Commission calls Greece and the United Kingdom.
_TAXED_AS = {"EL": "GR", "UK": "GB", "MC": "FR", "IM": "GB"}


def tax_country(country: str | None) -> str | None:
    """Return the country whose tax holds in `country`: GR for EL, FR for Monaco; None for none."""
    if not country:
        return None
    code = country.strip().upper()
    return _TAXED_AS.get(code, code)


@lru_cache(maxsize=4096)
def vat_id_country(vat_id: str, country: str | None = None) -> str | None:
    """Return the member state of a VAT id that passes its check digits, else None.

    A number without its prefix counts where it is valid with that of `country`, the customer's own. Northern Ireland's
    (XI) and one-stop-shop numbers (EU, IM) are no proof that a business buys services in the Union: None.
    """
    candidates = [vat_id] if country not in EU else [vat_id, f"{'EL' if country == 'GR' else country}{vat_id}"]
    for candidate in candidates:
        try:
            prefix = tax_country(vat.validate(candidate)[:2])
        except ValidationError:
            continue
        if prefix in EU:
            return prefix
    return None
