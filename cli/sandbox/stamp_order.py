"""The rows of an object in the order of their SystemModstamp, for whoever asks what was written since.

Place     rows.py keeps it up to date with every write -> [this] -> SOQL's candidates, rest/replication
Rules     A row that was written again has a new entry; the old one stays and is passed over, until so many are old that
          the order is better built anew. Undone writes leave such entries, too.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any, TypeVar

RowT = TypeVar("RowT", bound=Mapping[str, Any])
_SPARE = 10_000  # old entries that are tolerated beside as many as there are rows
_ENTRY = itemgetter("SystemModstamp", "Id")


class StampOrder:
    """Entries (SystemModstamp, id), sorted."""

    __slots__ = ("_entries",)

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._entries: list[tuple[str, str]] = sorted(map(_ENTRY, rows))

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a row with a new stamp: nearly always at the end, unless the org's clock was set back."""
        entry: tuple[str, str] = _ENTRY(row)
        if self._entries and entry < self._entries[-1]:
            insort(self._entries, entry)
        else:
            self._entries.append(entry)

    def worn(self, rows: int) -> bool:
        """Say whether most of the entries are old, of a table of so many rows."""
        return len(self._entries) > 2 * rows + _SPARE

    def between(self, low: str, high: str, table: Mapping[str, RowT]) -> list[RowT]:
        """Return the rows, deleted ones too, whose stamp lies from `low` to `high`, both included, in that order."""
        found: list[RowT] = []
        last = ("", "")
        for entry in self._entries[bisect_left(self._entries, (low, "")) : bisect_right(self._entries, (high, "\x7f"))]:
            row = table.get(entry[1])
            if row is not None and row["SystemModstamp"] == entry[0] and entry != last:
                found.append(row)
            last = entry
        return found
