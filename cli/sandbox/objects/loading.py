"""Reads the objects that the sandbox org is born with from the YAML beside this file.

Place     *.yaml -> [this] -> SandboxOrg
Rules     A field: `type` (describe's word) and what differs from the usual: `length` 255 for text, `precision` 18 and
          `scale` 2 for numbers. `to`: what a reference points at; `child`: how the parent calls its children.
          `readonly`: no client sets it; `set_once`: only at creation. An `address` brings its parts along.
          `system`: groups of fields besides the ones that all objects have (`viewed`, `currency`, `owner`).
Holds     A word that is not known here is an error at start, not a field that silently lacks something.
"""

import re
from dataclasses import fields as fields_of
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

import yaml

from fakturo.cli.sandbox.metadata import NUMBERS, TEXTS, Field, SObject, address_parts, relationship_name_of
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.validation import clean

FILES = ("org.yaml", "accounts.yaml", "products.yaml", "sales.yaml", "orders.yaml", "assets.yaml", "cpq.yaml")
_SHORT_WORDS = {"to", "child", "values", "readonly", "set_once"}
_KNOWN = {one.name for one in fields_of(Field)} - {"name", "reference_to", "child_relationship", "picklist"}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_FIRST: tuple[dict[str, Any], ...] = (
    {"name": "Id", "type": "id", "length": 18, "readonly": True, "in_event": False},
    {"name": "IsDeleted", "type": "boolean", "readonly": True, "in_event": False},
)
_OWNER: tuple[dict[str, Any], ...] = ({"name": "OwnerId", "type": "reference", "to": "User"},)
_CURRENCY: tuple[dict[str, Any], ...] = ({"name": "CurrencyIsoCode", "type": "picklist", "length": 3},)
_STAMPS: tuple[dict[str, Any], ...] = (
    {"name": "CreatedDate", "type": "datetime", "readonly": True},
    {"name": "CreatedById", "type": "reference", "to": "User", "readonly": True},
    {"name": "LastModifiedDate", "type": "datetime", "readonly": True},
    {"name": "LastModifiedById", "type": "reference", "to": "User", "readonly": True},
    {"name": "SystemModstamp", "type": "datetime", "readonly": True, "in_event": False},
)
_VIEWED: tuple[dict[str, Any], ...] = (
    {"name": "LastViewedDate", "type": "datetime", "readonly": True, "in_event": False},
    {"name": "LastReferencedDate", "type": "datetime", "readonly": True, "in_event": False},
)


def standard_objects() -> list[SObject]:
    """Return the objects of a new org, each time anew; an entry that `extends` one adds fields to it."""
    # Fields never change, so only the objects that hold them are new.
    return [replace(entity, fields=dict(entity.fields)) for entity in _read()]


@cache
def _read() -> list[SObject]:
    folder = resources.files(__package__)
    found: dict[str, SObject] = {}
    for spec in [spec for name in FILES for spec in yaml.safe_load((folder / name).read_text("utf-8"))]:
        if "extends" not in spec:
            found[spec["name"]] = read_object(spec)
            continue
        for name, words in spec["fields"].items():
            for field in read_field({"name": name, **words}):
                found[spec["extends"]].put(field)
    return list(found.values())


@cache
def born_with() -> dict[str, list[Row]]:
    """Return the records of a new org, as rows hold their values."""
    by_name = {entity.name: entity for entity in _read()}
    raw = yaml.safe_load((resources.files(__package__) / "born_with.yaml").read_text("utf-8"))
    return {
        name: [
            Row((key, clean(by_name[name], by_name[name].fields[key], value)) for key, value in values.items())
            for values in rows
        ]
        for name, rows in raw.items()
    }


def read_object(spec: dict[str, Any]) -> SObject:
    """Return the object that one entry of a file describes."""
    label = spec.get("label") or label_of(spec["name"])
    entity = SObject(
        name=spec["name"],
        label=label,
        label_plural=spec.get("plural") or f"{label}s",
        key_prefix=spec["prefix"],
        cdc=spec.get("cdc", True),
        createable=spec.get("createable", True),
    )
    groups = spec["system"]
    own = [{"name": name, **words} for name, words in spec["fields"].items()]
    after = (
        *(_CURRENCY if "currency" in groups else ()),
        *(_OWNER if "owner" in groups else ()),
        *_STAMPS,
        *(_VIEWED if "viewed" in groups else ()),
    )
    entity.put(*(field for words in (*_FIRST, *own, *after) for field in read_field(words)))
    return entity


def read_field(words: dict[str, Any]) -> list[Field]:
    """Return a field, and the parts of an address after it.

    Raises:
        ValueError: a word that is not known.
    """
    name, kind = words["name"], words["type"]
    unknown = words.keys() - _KNOWN - _SHORT_WORDS - {"name"}
    if unknown:
        raise ValueError(f"{name}: unknown words {sorted(unknown)}")
    values = {key: value for key, value in words.items() if key in _KNOWN}
    values.setdefault("label", label_of(name))
    if kind in TEXTS:
        values.setdefault("length", 255)
    if kind in NUMBERS:
        values.setdefault("precision", 18)
        values.setdefault("scale", 2)
    if kind == "reference":
        to = words["to"]
        values.update(reference_to=tuple(to) if isinstance(to, list) else (to,), length=18)
        values.setdefault("relationship_name", relationship_name_of(name))
        values["child_relationship"] = words.get("child")
    if isinstance(values.get("default"), float):
        values["default"] = Decimal(str(values["default"]))
    read_only = words.get("readonly") or words.get("auto_number") or kind == "address"
    field = Field(
        name=name,
        picklist=tuple(words.get("values", ())),
        createable=not read_only,
        updateable=not (read_only or words.get("set_once")),
        **values,
    )
    return [field, *address_parts(name)] if kind == "address" else [field]


def label_of(name: str) -> str:
    """Return a label for a name: `BillingStreet` -> `Billing Street`, `SBQQ__NetPrice__c` -> `Net Price`."""
    plain = name.removesuffix("__c").rsplit("__", 1)[-1].replace("_", " ")
    words = _WORDS.sub(" ", plain).removesuffix("2")
    return f"{words[:-3]} ID" if words.endswith(" Id") else words
