"""Profile files: the shipped ones, and a customer's own that extends one of them; every fault at once.

Place     `FAKTURO_PROFILE` -> [this] -> profile. Read once, at start.
Extends   `extends: core` starts from that profile. A slot that the file names replaces the alternatives; `...` among
          them stands for those of the profile that is extended, so `[Acme_Seller__c, ...]` looks there first.
          `values` are merged value by value. A section set to null (`usage`, `opportunity`) is taken out.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import yaml

from fakturo.consumers.contracts import profile as forms
from fakturo.consumers.contracts.field_paths import derived_of
from fakturo.consumers.contracts.formulas import FormulaFault
from fakturo.consumers.contracts.profile import Profile, Section
from fakturo.consumers.runtime.errors import SettingsFault

SHIPPED = ("core", "cpq", "rlm")
EXTENDED = "..."
EXTENSIONS_MAX = 5
SECTIONS: Mapping[str, type[Section]] = {
    "account": forms.AccountFields,
    "subscription": forms.SubscriptionFields,
    "item": forms.ItemFields,
    "product": forms.ProductFields,
    "usage": forms.UsageFields,
    "opportunity": forms.OpportunityFields,
}
OPTIONAL = frozenset({"usage", "opportunity"})
_TOP = ("name", "extends", *SECTIONS, "values", "also_read")
_KINDS = {"str": "a text", "int": "a whole number", "bool": "true or false"}

Document = dict[str, Any]


@dataclass(slots=True)
class _Faults:
    """What is wrong with a file: sentences that begin with its name."""

    file: str
    texts: list[str] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        self.texts.append(f"{self.file}: {where} {text}" if where else f"{self.file}: {text}")


def load_profile(name: str = "core") -> Profile:
    """Return the profile that is shipped under `name`, or the one in the file of this path.

    Raises:
        SettingsFault: there is none, or it is faulty; the text lists every fault.
    """
    document = _extended(name, ())
    faults = _Faults(name)
    _check_sections(document, faults)
    _refuse(faults)
    try:
        return msgspec.convert(document, Profile)
    except msgspec.ValidationError as error:
        raise SettingsFault(f"FAKTURO_PROFILE: {name}: {error}") from error


def _refuse(faults: _Faults) -> None:
    if faults.texts:
        raise SettingsFault("FAKTURO_PROFILE is refused:\n" + "\n".join(faults.texts))


def _extended(name: str, via: tuple[str, ...]) -> Document:
    """Return the document of `name` on top of what it extends."""
    if name in via or len(via) >= EXTENSIONS_MAX:
        raise SettingsFault(f"FAKTURO_PROFILE: {' -> '.join((*via, name))}: profiles extend each other in a circle")
    document = _read(name)
    faults = _Faults(name)
    _check_form(document, faults)
    parent = document.pop("extends", None)
    if parent is None:
        _refuse(faults)
        return document
    if parent not in SHIPPED:
        near = Path(name).parent / str(parent)
        if not near.is_file():
            faults.add("extends", f"{parent!r} is none of {', '.join(SHIPPED)}, nor a file beside this one")
            _refuse(faults)
        parent = str(near)
    _refuse(faults)
    return _merged(_extended(parent, (*via, name)), document)


def _read(name: str) -> Document:
    try:
        if name in SHIPPED:
            folder = resources.files(__package__ or "fakturo.consumers.contracts")
            text = folder.joinpath(f"profiles/{name}.yaml").read_text()
        else:
            text = Path(name).read_text()
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(SHIPPED)
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsFault(f"FAKTURO_PROFILE: {name} cannot be read ({reason}); give {known} or a file") from error
    except yaml.YAMLError as error:
        raise SettingsFault(f"FAKTURO_PROFILE: {name} is no YAML: {error}") from error
    if not isinstance(document, dict):
        raise SettingsFault(f"FAKTURO_PROFILE: {name} must be a mapping with name, extends, account, ...")
    return document


def _merged(base: Document, own: Document) -> Document:
    merged = dict(base)
    for key, value in own.items():
        if key in SECTIONS and isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merged_section(base[key], value)
        elif key == "values":
            merged[key] = _merged_values(base.get(key, {}), value)
        else:
            merged[key] = value
    return merged


def _merged_section(base: Document, own: Document) -> Document:
    merged = dict(base)
    for slot, value in own.items():
        if slot == "data" and isinstance(value, dict):
            merged[slot] = {**base.get(slot, {}), **value}
        elif isinstance(value, list):
            known = base.get(slot, [])
            merged[slot] = [name for one in value for name in (known if one == EXTENDED else [one])]
        else:
            merged[slot] = value
    return merged


def _merged_values(base: Document, own: Document) -> Document:
    merged = {entity: dict(fields) for entity, fields in base.items()}
    for entity, fields in own.items():
        for name, values in fields.items():
            known = merged.setdefault(entity, {}).get(name, {})
            merged[entity][name] = {**known, **_texts(values)}
    return merged


def _texts(values: Document) -> dict[str, str]:
    """Return both sides as texts: YAML reads 1 and true as what they look like."""
    return {_text(key): _text(value) for key, value in values.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_form(document: Document, faults: _Faults) -> None:
    """Note what has another form than a profile file."""
    for key in document:
        if key not in _TOP:
            faults.add(str(key), f"is not known{_meant(str(key), _TOP)}")
    if not isinstance(document.get("name"), str):
        faults.add("name", "must be a text that names the profile")
    for key, kind in SECTIONS.items():
        if key not in document or (document[key] is None and key in OPTIONAL):
            continue
        if not isinstance(document[key], dict):
            faults.add(key, f"must be a mapping of {', '.join(kind.__struct_fields__[:3])}, ...")
            continue
        for slot, value in document[key].items():
            _check_slot(f"{key}.{slot}", str(slot), value, kind, faults)
    _check_values(document, faults)
    if not _are_texts(document.get("also_read", [])):
        faults.add("also_read", "must be a list of objects")


def _check_slot(where: str, slot: str, value: Any, kind: type[Section], faults: _Faults) -> None:
    types = {one.name: one.type for one in msgspec.structs.fields(kind)}
    if slot not in types:
        faults.add(where, f"is not known{_meant(slot, tuple(types))}")
        return
    wanted = types[slot]
    if wanted in (str, int, bool):
        if type(value) is not wanted:
            faults.add(where, f"must be {_KINDS[wanted.__name__]}, not {value!r}")
    elif slot == "data":
        if not isinstance(value, dict) or not all(map(_are_texts, value.values())):
            faults.add(where, "must be a mapping of names to lists of fields")
            return
        for part, names in value.items():
            _check_fields(f"{where}.{part}", slot, names, kind, faults)
    elif not _are_texts(value):
        faults.add(where, f"must be a list of fields, [A__c, B__c], not {value!r}")
    elif slot not in kind.SETTINGS:
        _check_fields(where, slot, value, kind, faults)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _check_values(document: Document, faults: _Faults) -> None:
    values = document.get("values", {})
    if not isinstance(values, dict):
        faults.add("values", "must be a mapping: object, field, value of Salesforce, value of ours")
        document["values"] = {}
        return
    for entity, fields in values.items():
        good = isinstance(fields, dict) and all(isinstance(one, dict) for one in fields.values())
        if not good:
            faults.add(f"values.{entity}", "must be a mapping: field, value of Salesforce, value of ours")
            continue
        for name in fields:
            fields[name] = _texts(fields[name])


def _meant(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


def _check_sections(document: Document, faults: _Faults) -> None:
    """Note what is missing in a profile as a whole."""
    for key, kind in SECTIONS.items():
        section = document.get(key)
        if section is None:
            if key not in OPTIONAL:
                faults.add(key, "is missing; write it, or extend a profile that has it: extends: core")
            continue
        for one in msgspec.structs.fields(kind):
            if one.required and one.name not in section:
                faults.add(f"{key}.{one.name}", "is missing")


def _check_fields(where: str, slot: str, names: list[str], kind: type[Section], faults: _Faults) -> None:
    for name in names:
        if name != EXTENDED:
            _check_field(where, slot, name, kind, faults)


def _check_field(where: str, slot: str, name: str, kind: type[Section], faults: _Faults) -> None:
    try:
        derived = derived_of(name)
    except FormulaFault as error:
        faults.add(where, f"{name!r}, column {error.column}: {error.message}")
        return
    except ValueError as error:
        faults.add(where, f"{name!r} {error}")
        return
    if derived is not None and slot in kind.REFERENCES:
        faults.add(where, f"{name!r} must be a field of the record itself: it is how records are found")
