"""Tax: who is taxed where, at which rate, and what it comes to.

Entry     `treatment_of` and `line_tax` say category, rate and country of a line; `net_amounts` takes the tax out of
          prices that include it; `tax_lines` gives the groups of an invoice and each line's part; `group_note` what
          the law wants said.
Files     rates (table by country, category, date), vat_ids (check digits), treatment (the order of questions), groups
          (sums and rounding), notes (sentences).
"""

from fakturo.engine.tax.groups import (
    BY_GROUP,
    BY_LINE,
    TaxedLine,
    Taxes,
    included_minor,
    net_amounts,
    tax_lines,
    tax_minor,
    taxes_of,
)
from fakturo.engine.tax.notes import group_note, note_phrase, notes_of
from fakturo.engine.tax.rates import RATES, rate_of
from fakturo.engine.tax.treatment import Treatment, code_of, line_tax, tax_point, treatment_of
from fakturo.engine.tax.vat_ids import tax_country, vat_id_country

__all__ = [
    "BY_GROUP",
    "BY_LINE",
    "RATES",
    "TaxedLine",
    "Taxes",
    "Treatment",
    "code_of",
    "group_note",
    "included_minor",
    "line_tax",
    "net_amounts",
    "note_phrase",
    "notes_of",
    "rate_of",
    "tax_country",
    "tax_lines",
    "tax_minor",
    "tax_point",
    "taxes_of",
    "treatment_of",
    "vat_id_country",
]
