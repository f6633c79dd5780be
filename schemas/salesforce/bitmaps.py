"""The bitmaps of a change event's header: which fields changed, which became null, which hold a text diff.

Place     bridge, crm_feed (decode) and the sandbox org (encode) -> [this]. Pure.
Form      each element is `0xHEX`, bit i (lowest = 0) being the field at position i of the writer's schema, or
          `P-0xHEX`, the bits being the nested fields of the compound at position P. Hex digits come in pairs. A
          compound's fields are named dotted (`BillingAddress.Street`), also where all of them are set.
Source    Salesforce Pub/Sub API, "Event Deserialization Considerations"; the samples are in tests/schemas.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_ELEMENT = re.compile(r"(?:(\d{1,4})-)?0x([0-9A-Fa-f]{1,256})", re.ASCII)

Layout = Sequence[tuple[str, tuple[str, ...]]]
"""The fields of a writer's schema by position: (name, names of the nested fields; none where it is no compound)."""


class BitmapFault(ValueError):
    """An element that is no bitmap, or that names a position which the writer's schema does not have."""


def layout_of(schema: Mapping[str, Any]) -> Layout:
    """Return the fields of an Avro record schema (as parsed JSON), named types resolved."""
    named: dict[str, tuple[str, ...]] = {}
    return [(str(field["name"]), _nested(field["type"], named)) for field in schema["fields"]]


def _nested(kind: Any, named: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the field names of the record in `kind`, anywhere in a union, or by the name of one before."""
    for branch in kind if isinstance(kind, list) else [kind]:
        if isinstance(branch, dict) and branch.get("type") == "record":
            names = tuple(str(field["name"]) for field in branch["fields"])
            named[str(branch["name"])] = names
            named[f"{branch['namespace']}.{branch['name']}" if branch.get("namespace") else branch["name"]] = names
            return names
        if isinstance(branch, str) and (found := named.get(branch) or named.get(branch.rpartition(".")[2])):
            return found
    return ()


def decode_bitmaps(elements: Iterable[str], layout: Layout) -> tuple[str, ...]:
    """Return the names of the fields whose bits are set, in the schema's order.

    Raises:
        BitmapFault: an element that is none, or a bit beyond the schema.
    """
    found: dict[tuple[int, int], str] = {}
    for element in elements:
        match = _ELEMENT.fullmatch(element)
        if match is None:
            raise BitmapFault(f"{element!r} is no bitmap")
        parent, bits = match[1], int(match[2], 16)
        names = [name for name, _ in layout] if parent is None else _nested_names(layout, int(parent), element)
        if bits >> len(names):
            raise BitmapFault(f"{element!r} names a field beyond the {len(names)} of the writer's schema")
        for position in _positions(bits):
            place = (position, -1) if parent is None else (int(parent), position)
            found[place] = names[position]
    return tuple(found[place] for place in sorted(found))


def _nested_names(layout: Layout, parent: int, element: str) -> list[str]:
    if parent >= len(layout) or not layout[parent][1]:
        raise BitmapFault(f"{element!r} names position {parent}, which is no compound of the writer's schema")
    name, nested = layout[parent]
    return [f"{name}.{inner}" for inner in nested]


def _positions(bits: int) -> Iterable[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def encode_bitmaps(names: Iterable[str], layout: Layout) -> list[str]:
    """Return the bitmaps of `names` (dotted for nested ones): the top level's first, then by position.

    Raises:
        BitmapFault: a name that the schema does not have.
    """
    places = {name: (position, -1) for position, (name, _) in enumerate(layout)}
    for position, (name, nested) in enumerate(layout):
        places |= {f"{name}.{inner}": (position, index) for index, inner in enumerate(nested)}
    top, inner_bits = 0, dict[int, int]()
    for name in names:
        if name not in places:
            raise BitmapFault(f"the schema has no field {name!r}")
        position, index = places[name]
        if index < 0:
            top |= 1 << position
        else:
            inner_bits[position] = inner_bits.get(position, 0) | 1 << index
    elements = [_hex(top)] if top else []
    return elements + [f"{position}-{_hex(inner_bits[position])}" for position in sorted(inner_bits)]


def _hex(bits: int) -> str:
    digits = f"{bits:X}"
    return f"0x{digits.zfill(len(digits) + len(digits) % 2)}"
