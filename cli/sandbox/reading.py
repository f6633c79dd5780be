"""A row as REST shows it: every field, compounds as objects, numbers as Salesforce writes them.

Place     rows -> [this] -> CRUD and collections; SOQL uses `shown` and `compound_of` for single values
Rules     Null is told as null. An address or a location whose parts are all empty is null.
Source    REST API Developer Guide, "Get Field Values from a Standard Object Record"; "Compound Fields".
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.numbers import plain
from fakturo.cli.sandbox.rows import Row


def attributes(entity: SObject, record_id: str, version: str) -> dict[str, str]:
    """Return the `attributes` of a record: its type and where it is."""
    return {"type": entity.name, "url": f"/services/data/v{version}/sobjects/{entity.name}/{record_id}"}


def record_json(entity: SObject, row: Row, version: str, fields: Iterable[Field] | None = None) -> dict[str, Any]:
    """Return a whole record, or the named fields of it, as REST answers it."""
    wanted = entity.fields.values() if fields is None else fields
    return {"attributes": attributes(entity, row["Id"], version)} | {
        one.name: value_of(entity, one, row) for one in wanted
    }


def value_of(entity: SObject, field: Field, row: Row) -> Any:
    """Return the value of a field of a row, a compound put together."""
    return compound_of(entity, field, row) if field.is_compound else shown(row[field.name])


def shown(value: Any) -> Any:
    """Return a row's value as JSON shows it."""
    return plain(value) if isinstance(value, Decimal) else value


def compound_of(entity: SObject, field: Field, row: Row) -> dict[str, Any] | None:
    """Return an address: `{"city": ..., "country": ..., "street": ...}`, or None when it is empty."""
    prefix = field.name.removesuffix("Address")
    parts = {
        _lower_first(one.name.removeprefix(prefix)): shown(row[one.name])
        for one in entity.fields.values()
        if one.compound == field.name
    }
    return dict(sorted(parts.items())) if any(value is not None for value in parts.values()) else None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
