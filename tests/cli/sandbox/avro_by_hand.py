"""Reads an Avro record by the specification, with nothing but the standard library: the judge of the bus's bytes.

Source    Apache Avro 1.12 specification, "Binary Encoding".
"""

import json
import struct
from functools import lru_cache
from typing import Any

Named = dict[str, Any]


def read_record(schema_json: str, data: bytes) -> dict[str, Any]:
    """Return the record that `data` holds whole: nothing may be left over."""
    reader = _Reader(data)
    schema = _parsed(schema_json)
    value = reader.value(schema, _named(schema))
    assert reader.position == len(data), "the payload goes on after the record"
    assert isinstance(value, dict)
    return value


def set_bits(element: str) -> tuple[int | None, list[int]]:
    """Return the compound's position (None: the top level) and the bits that are set, lowest first."""
    parent, _, digits = element.rpartition("-")
    assert digits.startswith("0x")
    assert len(digits) % 2 == 0
    number = int(digits[2:], 16)
    return (int(parent) if parent else None), [bit for bit in range(number.bit_length()) if number >> bit & 1]


def names_of(elements: list[str], schema_json: str) -> list[str]:
    """Return the dotted names that a header's bitmaps set, in the order of the bitmaps."""
    fields = _parsed(schema_json)["fields"]
    records: dict[str, Any] = {}
    for field in fields:
        for branch in field["type"] if isinstance(field["type"], list) else [field["type"]]:
            if isinstance(branch, dict) and branch["type"] == "record":
                records[branch["name"]] = branch
    names = []
    for element in elements:
        parent, bits = set_bits(element)
        if parent is None:
            names += [fields[bit]["name"] for bit in bits]
            continue
        branch = fields[parent]["type"][-1]
        record = branch if isinstance(branch, dict) else records[branch]
        names += [f"{fields[parent]['name']}.{record['fields'][bit]['name']}" for bit in bits]
    return names


@lru_cache(maxsize=64)
def _parsed(schema_json: str) -> Any:
    return json.loads(schema_json)


def _named(kind: Any) -> Named:
    """Return every type that a schema defines by name, also one in a branch that no value takes."""
    if isinstance(kind, list):
        return {name: one for branch in kind for name, one in _named(branch).items()}
    if not isinstance(kind, dict):
        return {}
    found: Named = {kind["name"]: kind} if kind["type"] in {"record", "enum"} else _named(kind["type"])
    for field in kind.get("fields", ()):
        found |= _named(field["type"])
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        assert 0 <= count <= len(self.data) - self.position, "the payload ends within a value"
        self.position += count
        return self.data[self.position - count : self.position]

    def long(self) -> int:
        shift = number = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return (number >> 1) ^ -(number & 1)

    def value(self, kind: Any, named: Named) -> Any:
        if isinstance(kind, list):
            return self.value(kind[self.long()], named)
        if isinstance(kind, dict):
            return self.complex(kind, named)
        if kind in named:
            return self.value(named[kind], named)
        return self.primitive(kind)

    def complex(self, kind: dict[str, Any], named: Named) -> Any:
        if kind["type"] == "record":
            return {field["name"]: self.value(field["type"], named) for field in kind["fields"]}
        if kind["type"] == "enum":
            return kind["symbols"][self.long()]
        if kind["type"] == "array":
            return self.array(kind["items"], named)
        return self.value(kind["type"], named)

    def array(self, items: Any, named: Named) -> list[Any]:
        found: list[Any] = []
        while count := self.long():
            if count < 0:
                self.long()
                count = -count
            found += [self.value(items, named) for _ in range(count)]
        return found

    def primitive(self, kind: str) -> Any:
        if kind == "null":
            return None
        if kind == "boolean":
            return self.take(1) != b"\0"
        if kind in {"int", "long"}:
            return self.long()
        if kind == "double":
            return struct.unpack("<d", self.take(8))[0]
        assert kind == "string", kind
        return self.take(self.long()).decode()
