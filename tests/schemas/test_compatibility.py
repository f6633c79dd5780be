"""The gate: a schema may only change in a way that every released copy of it bears.

Roles     what we read must go on accepting what it accepted (deserializer); what we write must go on being acceptable
          to who accepted it (serializer). jsoncompat decides; it looks past `pattern` and `format`, so those may not
          change at all.
Mend      give the event a new version (schemas/README.md), or make the new field optional.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from jsoncompat import check_compat

from fakturo.schemas import generate
from fakturo.schemas.json_schemas import json_schema
from fakturo.schemas.registry import SHAPES, Shape

Schema = dict[str, Any]
Role = Literal["serializer", "deserializer"]
Change = Callable[[Schema], object]

BY_NAME = {shape.name: shape for shape in SHAPES}
READ = "fakturo.payment.received.v1"
WRITTEN = "fakturo.invoice.finalized.v1"
RELEASED = sorted(generate.RELEASED.glob("*.json"))


def refusal(old: Schema, new: Schema, role: Role) -> str | None:
    """Return why `new` may not take the place of `old`, or None where it may."""
    if not check_compat(json.dumps(old), json.dumps(new), role):
        return f"incompatible as {role}"
    texts = dict(_texts(new, "$"))
    changed = [place for place, text in _texts(old, "$") if texts.get(place, text) != text]
    return f"pattern or format changed at {', '.join(changed)}" if changed else None


def _texts(part: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        if any(isinstance(part.get(name), str) for name in ("pattern", "format")) or "type" in part:
            yield place, f"{part.get('pattern')} {part.get('format')}"
        for name, item in part.items():
            yield from _texts(item, f"{place}.{name}")


def role_of(shape: Shape) -> Role:
    return "deserializer" if shape.read else "serializer"


@pytest.mark.parametrize("path", RELEASED, ids=[path.stem for path in RELEASED])
def test_every_schema_bears_every_released_copy_of_it(path: Any) -> None:
    name = path.stem.rpartition("@")[0]
    assert name in BY_NAME, f"{name} was released and may not go: others may still have it in their topics"
    shape = BY_NAME[name]
    assert refusal(json.loads(path.read_text()), json_schema(shape), role_of(shape)) is None


def test_every_shape_has_been_released() -> None:
    assert {path.stem.rpartition("@")[0] for path in RELEASED} == set(BY_NAME), "run generate --release VERSION"


def _verdict(name: str, change: Change) -> str | None:
    shape = BY_NAME[name]
    mutated = json_schema(shape)
    change(mutated)
    return refusal(json_schema(shape), mutated, role_of(shape))


def _part(schema: Schema, name: str) -> Schema:
    found: Schema = schema["definitions"][name]
    return found


ALLOWED: dict[str, tuple[str, Change]] = {
    "an optional field of what we read": (
        READ,
        lambda schema: _part(schema, "Payment")["properties"].update(memo={"type": "string"}),
    ),
    "a field of what we read that need not be there any more": (
        READ,
        lambda schema: _part(schema, "Payment")["required"].remove("method"),
    ),
    "an optional field of what we write": (
        WRITTEN,
        lambda schema: _part(schema, "Invoice")["properties"].update(memo={"type": "string"}),
    ),
    "a field of what we write that is always there": (
        WRITTEN,
        lambda schema: (
            _part(schema, "Invoice")["properties"].update(memo={"type": "string"}),
            _part(schema, "Invoice")["required"].append("memo"),
        ),
    ),
    "an optional attribute of the envelope": (
        READ,
        lambda schema: schema["properties"].update(tenant={"type": ["string", "boolean", "integer"]}),
    ),
    "another description": (WRITTEN, lambda schema: schema.update(description="anything")),
}

REFUSED: dict[str, tuple[str, Change]] = {
    "a field that what we read must now have": (
        READ,
        lambda schema: (
            _part(schema, "Payment")["properties"].update(memo={"type": "string"}),
            _part(schema, "Payment")["required"].append("memo"),
        ),
    ),
    "a field of what we read taken away": (READ, lambda schema: _part(schema, "Payment")["properties"].pop("fee")),
    "a field of what we read that may no longer be null": (
        READ,
        lambda schema: _part(schema, "Payment")["properties"]["invoice_id"].update(type="string"),
    ),
    "a narrower pattern of what we read": (
        READ,
        lambda schema: _part(schema, "Payment")["properties"]["amount"].update(pattern="^[0-9]+$"),
    ),
    "a field of what we write taken away": (
        WRITTEN,
        lambda schema: (
            _part(schema, "Invoice")["properties"].pop("due_date"),
            _part(schema, "Invoice")["required"].remove("due_date"),
        ),
    ),
    "a field of what we write that need not be there any more": (
        WRITTEN,
        lambda schema: _part(schema, "InvoiceLine")["required"].remove("amount_minor"),
    ),
    "a field of what we write of another type": (
        WRITTEN,
        lambda schema: _part(schema, "InvoiceLine")["properties"]["amount_minor"].update(type="number"),
    ),
    "a value more of what we write": (
        "fakturo.kpi.updated.v1",
        lambda schema: _part(schema, "KpiUpdated")["properties"]["basis"]["enum"].append("estimated"),
    ),
    "a date that becomes an instant": (
        WRITTEN,
        lambda schema: _part(schema, "Invoice")["properties"]["due_date"].update(format="date-time"),
    ),
    "another type of event under the same name": (
        WRITTEN,
        lambda schema: schema["properties"].update(type={"const": "fakturo.invoice.finalized.v2"}),
    ),
}


@pytest.mark.parametrize(("name", "change"), ALLOWED.values(), ids=list(ALLOWED))
def test_the_gate_lets_pass(name: str, change: Change) -> None:
    assert _verdict(name, change) is None


@pytest.mark.parametrize(("name", "change"), REFUSED.values(), ids=list(REFUSED))
def test_the_gate_refuses(name: str, change: Change) -> None:
    assert _verdict(name, change) is not None
