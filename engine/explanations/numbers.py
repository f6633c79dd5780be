"""Numbers and dates as a locale writes them; the signs come from CLDR (babel), once a locale.

Place     settled arguments -> [this] -> the sentence. Formatting itself is plain text work: babel's own is far too slow
          for 20,000 lines a second, and works on what we have to avoid, floats among it.
"""

from datetime import date
from functools import lru_cache
from itertools import pairwise

ENGLISH = "en"


class Numbers:
    """The number and date formats of one locale."""

    def __init__(self, locale: str) -> None:
        from babel.core import Locale  # takes a while, and nobody who only computes needs it

        self._locale = Locale.parse(locale)
        symbols = self._locale.number_symbols["latn"]
        self._decimal: str = symbols["decimal"]
        self._group: str = symbols["group"]
        self._minus: str = symbols["minusSign"]
        self._sizes: tuple[int, int] = self._locale.decimal_formats[None].grouping

    def number(self, text: str) -> str:
        """Return a plain decimal text as the locale writes it: "1735.5" -> "1,735.5", in German "1.735,5"."""
        if len(text) < 4 and text.isdigit():
            return text
        sign = ""
        if text[0] == "-":
            sign, text = self._minus, text[1:]
        whole, _, decimals = text.partition(".")
        if len(whole) > self._sizes[0]:
            whole = self._grouped(whole)
        return f"{sign}{whole}{self._decimal}{decimals}" if decimals else sign + whole

    def date(self, text: str) -> str:
        """Return an ISO date as the locale writes it: "2013-06-10" -> "Jun 10, 2013", in German "10.06.2013"."""
        from babel.dates import format_date

        return format_date(date.fromisoformat(text), "medium", self._locale)

    def _grouped(self, whole: str) -> str:
        """Return the digits in groups: the last of the first size, those before it of the second (2 in India)."""
        first, other = self._sizes
        if first == other == 3:
            return f"{int(whole):,}" if self._group == "," else f"{int(whole):,}".replace(",", self._group)
        head, tail = whole[:-first], whole[-first:]
        edges = [0, *range(len(head) % other or other, len(head) + 1, other)]
        return self._group.join([*(head[one:two] for one, two in pairwise(edges)), tail])


@lru_cache(maxsize=64)
def numbers_of(locale: str) -> Numbers:
    """Return the formats of a locale such as "de", "de-CH" or "en_GB"; of one that CLDR does not know, English ones."""
    from babel.core import UnknownLocaleError

    try:
        return Numbers(locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Numbers(ENGLISH)
