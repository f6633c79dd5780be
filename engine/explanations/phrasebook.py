"""Phrasebooks: the same keys in every language, and the one that says a phrase in the language asked for.

Place     phrases + locale -> [this] -> the sentence that the customer reads, or a line that explains.
Row       a template, or two where a phrase sounds different inside a sentence and alone ("500 at 120.00", "500
          movements at 120.00"). `{0:n}` is argument 0 as a quantity, `m` money, `t` a text as it is, `w` a word that
          the book may know (a unit), `d` a date, `p` this and all later arguments as phrases. `{unit}` is the name of a
          unit where the phrase stands alone.
Locale    decides the language by its first part and the number formats as a whole: "de-CH" speaks German with Swiss
          numbers. A language without a book is told in English, numbers too.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from string import Formatter
from types import MappingProxyType
from typing import Any

from fakturo.engine.explanations import danish, english, german
from fakturo.engine.explanations.numbers import ENGLISH, Numbers, numbers_of
from fakturo.engine.explanations.phrase import Phrase, money_argument, number_argument

Row = str | tuple[str, str]
Segment = tuple[str, str, int]
"""Literal text, then the kind and the index of the argument behind it; a kind of "" is none."""

UNITS = "units"
"""What a unit is called where nobody named it; each book has its own word for it."""


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """A language: its rows, its words, and what stands between the parts of a sentence."""

    rows: Mapping[str, Row]
    words: Mapping[str, str]
    separator: str


BOOKS: Mapping[str, Phrasebook] = MappingProxyType(
    {
        ENGLISH: Phrasebook(english.ROWS, english.WORDS, english.SEPARATOR),
        "da": Phrasebook(danish.ROWS, danish.WORDS, danish.SEPARATOR),
        "de": Phrasebook(german.ROWS, german.WORDS, german.SEPARATOR),
    }
)
LANGUAGES = tuple(BOOKS)
"""The languages that every phrase can be said in."""

_NUMBERS = (Decimal, int)
_LANGUAGE = re.compile(r"[A-Za-z]+")


class Speaker:
    """Says phrases in one locale; made once a locale.

    `kinds` tells of a key which arguments are what, in order, and then what all later ones are.
    """

    def __init__(self, book: Phrasebook, numbers: Numbers) -> None:
        self._numbers = numbers
        self._words = book.words
        self._separator = book.separator
        inside = {key: row if isinstance(row, str) else row[0] for key, row in book.rows.items()}
        alone = {key: row if isinstance(row, str) else row[1] for key, row in book.rows.items()}
        self._inside = {key: _segments(template) for key, template in inside.items()}
        self.kinds = {key: _kinds(row) for key, row in self._inside.items()}
        self._alone = {key: _segments(template) for key, template in alone.items()}

    def say(self, phrase: Sequence[Any], digits: int = 0, unit: str | None = None) -> str:
        """Return the phrase inside a sentence, or alone where its `unit` is told; money has `digits` at least."""
        said = []
        for literal, kind, index in (self._inside if unit is None else self._alone)[phrase[0]]:
            said.append(literal)
            if kind:
                said.append(self._argument(kind, index, phrase, digits, unit))
        return "".join(said)

    def join(self, phrases: Iterable[Sequence[Any]], digits: int = 0, unit: str | None = None) -> str:
        """Return several phrases, one behind the other."""
        return self._separator.join([self.say(phrase, digits, unit) for phrase in phrases])

    def _argument(self, kind: str, index: int, phrase: Sequence[Any], digits: int, unit: str | None) -> str:
        match kind:
            case "unit":
                return self._words.get(unit or UNITS, unit or UNITS)
            case "n" | "m":
                return self._numbers.number(_settled_argument(kind, phrase[index], digits))
            case "p":
                return self.join(phrase[index:], digits, unit)
            case "w":
                return self._words.get(phrase[index], phrase[index])
            case "d":
                return self._numbers.date(phrase[index])
            case _:
                return str(phrase[index])


def explain(phrases: Iterable[Sequence[Any]], locale: str | None = None) -> str:
    """Return settled phrases as one sentence in the language of `locale`.

    Raises:
        KeyError: a phrase that no book knows (it was written by a newer version).
    """
    return _speaker(locale or ENGLISH).join(phrases)


@lru_cache(maxsize=8192)
def describe(phrase: Phrase, unit: str, digits: int, locale: str | None = None) -> str:
    """Return one phrase, settled or not, standing alone: "500 movements at 120.00".

    It is kept for a while: whole tiers come again and again.
    """
    return _speaker(locale or ENGLISH).say(phrase, digits, unit)


def settled(phrase: Sequence[Any], digits: int) -> Phrase:
    """Return the phrase with texts for its numbers; money gets the currency's `digits` at least."""
    key, *arguments = phrase
    kinds, later = _speaker(ENGLISH).kinds[key]
    found: list[Any] = [key]
    for index, argument in enumerate(arguments):
        kind = kinds[index] if index < len(kinds) else later
        found.append(settled(argument, digits) if kind == "p" else _settled_argument(kind, argument, digits))
    return tuple(found)


def _settled_argument(kind: str, argument: Any, digits: int) -> str:
    if isinstance(argument, str):
        return argument
    if isinstance(argument, _NUMBERS):
        return money_argument(Decimal(argument), digits) if kind == "m" else number_argument(argument)
    return str(argument)


@lru_cache(maxsize=64)
def _speaker(locale: str) -> Speaker:
    found = _LANGUAGE.match(locale)
    language = found.group().lower() if found else ENGLISH
    if language not in BOOKS:
        language = locale = ENGLISH
    return Speaker(BOOKS[language], numbers_of(locale))


def _kinds(row: Sequence[Segment]) -> tuple[tuple[str, ...], str]:
    """Return the kinds of the arguments that the segments name, and that of all behind them: text, or phrases."""
    by_index = {index: kind for _, kind, index in row if index}
    kinds = tuple(by_index.get(index, "t") for index in range(1, max(by_index, default=0) + 1))
    return kinds, "p" if "p" in kinds else "t"


def _segments(template: str) -> tuple[Segment, ...]:
    """Return the template cut at its places; argument 0 stands behind the key, at index 1 of the phrase."""
    found = []
    for literal, name, kind, _ in Formatter().parse(template):
        if name is None:
            found.append((literal, "", 0))
        elif name == "unit":
            found.append((literal, "unit", 0))
        else:
            found.append((literal, kind or "t", int(name) + 1))
    return tuple(found)
