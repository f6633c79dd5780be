"""Explanations: how an amount came about, as data that any language can say.

Entry     models and modifiers make phrases; `explain` says them: "1,735 movements: 500 at 120.00, 1,235 at 110.00".
Phrase    a tuple of a key and its arguments, numbers as decimal texts, dates as ISO texts, other phrases as tuples:
          ("usage", "1735", "movements", ("units", "500", "120.00"), ("units", "1235", "110.00")). It is JSON as it is.
Adding    a key: one row in each of english.py, danish.py and german.py; a test refuses a key that lacks one.
Files     phrase (arguments), phrasebook (templates and who says what), numbers (the formats of a locale).
"""

from fakturo.engine.explanations.phrase import Phrase, date_argument, money_argument, number_argument
from fakturo.engine.explanations.phrasebook import LANGUAGES, UNITS, describe, explain, settled

__all__ = [
    "LANGUAGES",
    "UNITS",
    "Phrase",
    "date_argument",
    "describe",
    "explain",
    "money_argument",
    "number_argument",
    "settled",
]
