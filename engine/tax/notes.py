"""What tax law wants said on an invoice: one sentence for each category that is not simply taxed.

Place     the groups of an invoice and what treatment found -> [this] -> `InvoiceTax.note`, `Invoice.notes`.
Text      a phrase `tax_...` of the phrasebooks, in the customer's language.
Source    Directive 2006/112/EC, article 226(11) and (11a); EN 16931, BT-120.
"""

from collections.abc import Iterable

from fakturo.engine.explanations import Phrase, explain
from fakturo.engine.tax.treatment import CODES
from fakturo.schemas.events.invoices import InvoiceTax

_SILENT = ("zero", "none")


def note_phrase(tax: InvoiceTax) -> Phrase | None:
    """Return what has to be said of a group, as a phrase; None of one that is simply taxed."""
    if tax.category not in CODES or tax.category in _SILENT:
        return None
    return (f"tax_{tax.category}", tax.country or "?")


def group_note(tax: InvoiceTax, locale: str | None) -> str | None:
    """Return what has to be said of a group in the language of `locale`, or None."""
    phrase = note_phrase(tax)
    return None if phrase is None else explain((phrase,), locale)


def notes_of(taxes: Iterable[InvoiceTax], others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the notes of the document: those of its groups, then `others`, each once."""
    return tuple(dict.fromkeys([*(tax.note for tax in taxes if tax.note), *others]))
