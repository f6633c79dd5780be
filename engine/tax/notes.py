"""What tax law wants said on an invoice: one sentence for each category that is not simply taxed.

Place     the groups of an invoice and what treatment found -> [this] -> `InvoiceTax.note`, `Invoice.notes`.
Language  the customer's (`en`, `da`, `de`), else English.
Source    Directive 2006/112/EC, article 226(11) and (11a); EN 16931, BT-120.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fakturo.schemas.events.invoices import InvoiceTax

LANGUAGES = ("en", "da", "de")

NOTES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "reverse_charge": (
            "Reverse charge, Article 196 of Directive 2006/112/EC",
            "Omvendt betalingspligt, artikel 196 i direktiv 2006/112/EF",
            "Steuerschuldnerschaft des Leistungsempfängers, Artikel 196 der Richtlinie 2006/112/EG",
        ),
        "intra_community": (
            "Exempt intra-Community supply, Article 138 of Directive 2006/112/EC",
            "Momsfri EU-leverance, artikel 138 i direktiv 2006/112/EF",
            "Steuerfreie innergemeinschaftliche Lieferung, Artikel 138 der Richtlinie 2006/112/EG",
        ),
        "export": (
            "Service to a customer abroad, not subject to the seller's tax",
            "Ydelse til en kunde i udlandet, ikke underlagt sælgers moms",
            "Leistung an einen Kunden im Ausland, im Inland nicht steuerbar",
        ),
        "export_goods": (
            "Export of goods, exempt",
            "Eksport af varer, momsfri",
            "Steuerfreie Ausfuhrlieferung",
        ),
        "exempt": (
            "Exempt from tax",
            "Fritaget for moms",
            "Steuerfrei",
        ),
        "exempt_customer": (
            "The customer is exempt from tax",
            "Kunden er fritaget for moms",
            "Der Kunde ist von der Steuer befreit",
        ),
        "out_of_scope": (
            "Not subject to tax",
            "Ikke momspligtig",
            "Nicht steuerbar",
        ),
        "rate_unknown": (
            "No tax rate is known for {0}; no tax was charged",
            "Ingen momssats kendes for {0}; der er ikke beregnet moms",
            "Für {0} ist kein Steuersatz bekannt; es wurde keine Steuer berechnet",
        ),
        "vat_id_invalid": (
            "VAT id {0} is not valid; taxed as a consumer",
            "Momsnummer {0} er ikke gyldigt; beskattet som forbruger",
            "USt-IdNr. {0} ist ungültig; besteuert wie ein Verbraucher",
        ),
    }
)


def note_text(key: str, locale: str | None, *arguments: str) -> str | None:
    """Return the sentence of a category or note in the language of `locale`; None for a category that needs none."""
    texts = NOTES.get(key)
    if texts is None:
        return None
    language = (locale or "en").replace("_", "-").partition("-")[0].lower()
    return texts[LANGUAGES.index(language) if language in LANGUAGES else 0].format(*arguments)


def group_note(tax: InvoiceTax, locale: str | None) -> str | None:
    """Return what has to be said of a group, or None."""
    return note_text(tax.category, locale, tax.country or "?")


def notes_of(taxes: Iterable[InvoiceTax], others: Iterable[str]) -> tuple[str, ...]:
    """Return the notes of the document: those of its groups, then `others`, each once."""
    return tuple(dict.fromkeys([*(tax.note for tax in taxes if tax.note), *others]))
