"""What `fakturo verify` finds: how many figures it recomputed, each difference, and what it left out and why."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure that is not what the raw data give; both as text, None where one side has no such figure."""

    book: str
    figure: str
    expected: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """What is no difference, but explains why figures are not compared: how many of them, and what they are."""

    count: int
    text: str


@dataclass(slots=True)
class Verification:
    """The result of a run; `covers_from_at` and `covers_to_at` bound the raw usage events that are still kept."""

    checked: int = 0
    differences: list[Difference] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    covers_from_at: datetime | None = None
    covers_to_at: datetime | None = None

    def compare(self, book: str, figure: str, expected: object, found: object) -> None:
        """Count one figure and note it where the two differ."""
        self.checked += 1
        if expected != found:
            self.differences.append(Difference(book=book, figure=figure, expected=_text(expected), found=_text(found)))

    def note(self, count: int, text: str) -> None:
        """Say that `count` figures are left out, and why."""
        self.notes.append(Note(count, text))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_DIGITS = {
    code: digits
    for digits, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for code in codes.split()
}


def minor_digits(currency: str) -> int:
    """Return the digits after the point of `currency` (ISO 4217), written down here a second time."""
    return _DIGITS.get(currency, 2)
