"""Country names and codes, which an org with state and country picklists keeps in step.

Place     derived.py -> [this]
Rules     Who writes the code gets the name, and the other way round; what is not in the list is left as it was written.
Source    Unicode CLDR, English territory names, through Babel.
"""

from functools import cache

from babel import Locale

from fakturo.cli.sandbox.rows import Row


def fill_country(row: Row, prefix: str, written: set[str]) -> None:
    """Set `<prefix>Country` from `<prefix>CountryCode` or the other way, by which of them was written."""
    name, code = f"{prefix}Country", f"{prefix}CountryCode"
    if code in written and name not in written:
        _set(row, name, _names().get(row[code] or ""))
    elif name in written and code not in written:
        _set(row, code, _codes().get(row[name] or ""))


def _set(row: Row, field: str, value: str | None) -> None:
    if value is None:
        row.pop(field, None)
    else:
        row[field] = value


@cache
def _names() -> dict[str, str]:
    return {code: name for code, name in Locale("en").territories.items() if len(code) == 2 and code.isalpha()}


@cache
def _codes() -> dict[str, str]:
    return {name: code for code, name in _names().items()} | {code: code for code in _names()}
