"""Reads one file of a metadata package: an object, a platform event, a field, a member of a change channel.

Place     packages.py -> [this] -> metadata.py
Rules     Both forms: sfdx source (`objects/X__c/X__c.object-meta.xml`, `objects/X/fields/Y__c.field-meta.xml`) and the
          Metadata API's (`objects/X__c.object` with its fields inside). A field type that the sandbox does not know is
          refused, not guessed. A formula is a field that stays null.
Source    Metadata API Developer Guide: CustomField ("FieldType"), CustomObject, PlatformEventChannelMember.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.objects.loading import read_field, read_object

ALL_CHANGES = "ChangeEvents"
"""The channel of all objects that are selected for change data capture; every other one is a custom channel."""

TYPES: dict[str, dict[str, Any]] = {
    "Text": {"type": "string"},
    "TextArea": {"type": "textarea", "length": 255},
    "LongTextArea": {"type": "textarea", "length": 32_768},
    "Html": {"type": "textarea", "length": 32_768},
    "EncryptedText": {"type": "encryptedstring"},
    "Currency": {"type": "currency"},
    "Number": {"type": "double"},
    "Percent": {"type": "percent"},
    "Checkbox": {"type": "boolean"},
    "Date": {"type": "date"},
    "DateTime": {"type": "datetime"},
    "Email": {"type": "email", "length": 80},
    "Phone": {"type": "phone", "length": 40},
    "Url": {"type": "url", "length": 255},
    "Picklist": {"type": "picklist", "length": 255},
    "MultiselectPicklist": {"type": "multipicklist", "length": 4_099},
    "Lookup": {"type": "reference"},
    "MasterDetail": {"type": "reference", "required": True, "cascade": True, "set_once": True},
    "AutoNumber": {"type": "string", "length": 30},
}
"""Metadata's field type -> describe's, and what follows from it."""


class PackageFault(Exception):
    """A package that can't be deployed: where, and why."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


@dataclass(slots=True)
class Parts:
    """What files hold: objects without key prefixes, fields with their object's name, objects in change channels."""

    objects: list[SObject] = field(default_factory=list)
    fields: list[tuple[str, Field]] = field(default_factory=list)
    captured: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: "Parts") -> None:
        """Take in what another file holds."""
        self.objects.extend(other.objects)
        self.fields.extend(other.fields)
        self.captured.extend(other.captured)


def read_file(path: str, content: bytes) -> Parts | None:
    """Return what a file holds, None when the sandbox has no use for files of its kind.

    Raises:
        PackageFault: it is no XML, or names what the sandbox does not know.
    """
    name = PurePosixPath(path)
    for ending, read in _READERS.items():
        if name.name.endswith(ending):
            try:
                root = ElementTree.fromstring(content)
            except (ParseError, DefusedXmlException) as error:
                raise PackageFault(path, f"this is no XML: {error}") from None
            return read(path, name.name.removesuffix(ending), root)
    return None


def _read_object(path: str, name: str, root: Element) -> Parts:
    parts = Parts(fields=[(name, _field(path, one)) for one in _all(root, "fields")])
    if name.endswith("__e"):
        parts.objects.append(_platform_event(name, root))
        return parts
    if not name.endswith("__c"):
        return parts  # a standard object: the org has it, the file may bring fields
    named = _one(root, "nameField")
    words: dict[str, Any] = {"type": "string", "length": 80, "name_field": True}
    if named is not None and _text(named, "type") == "AutoNumber":
        words["auto_number"] = _text(named, "displayFormat") or "{0}"
    controlled = _text(root, "sharingModel") == "ControlledByParent"
    parts.objects.append(
        read_object(
            {
                "name": name,
                "label": _text(root, "label"),
                "plural": _text(root, "pluralLabel"),
                "prefix": "",
                "cdc": False,
                "system": ["viewed", "currency"] if controlled else ["viewed", "currency", "owner"],
                "fields": {"Name": words},
            }
        )
    )
    return parts


def _platform_event(name: str, root: Element) -> SObject:
    words: dict[str, Any] = {"name": name, "label": _text(root, "label"), "plural": _text(root, "pluralLabel")}
    return read_object(words | {"prefix": "", "cdc": False, "system": [], "fields": {}})


def _read_field(path: str, name: str, root: Element) -> Parts:
    folders = PurePosixPath(path.replace("\\", "/")).parts
    if len(folders) < 3 or folders[-2] != "fields":
        raise PackageFault(path, "a field's file lies in objects/<Object>/fields/")
    return Parts(fields=[(folders[-3], _field(path, root))])


def _read_member(path: str, name: str, root: Element) -> Parts:
    selected = _text(root, "selectedEntity") or ""
    entity = selected.removesuffix("ChangeEvent")
    channel = _text(root, "eventChannel") or ALL_CHANGES
    return Parts(captured=[(f"{entity}c" if entity.endswith("__") else entity, channel)])


def _field(path: str, root: Element) -> Field:
    name, kind = _text(root, "fullName"), _text(root, "type")
    if not name or not name.endswith("__c"):
        raise PackageFault(path, f"fullName: a custom field's name ends in __c, not {name!r}")
    if kind not in TYPES:
        raise PackageFault(path, f"type: the sandbox knows {', '.join(TYPES)}, not {kind}")
    words = dict(TYPES[kind]) | {"name": name, "label": _text(root, "label") or name}
    for key in ("length", "precision", "scale"):
        given = _text(root, key)
        if given is not None:
            words[key] = int(given)
    for key, its_name in _FLAGS.items():
        if _text(root, key) == "true":
            words[its_name] = True
    words.update(_of_kind(path, kind, root))
    if _text(root, "formula") is not None:
        words.update(calculated=True, readonly=True)
    return read_field(words)[0]


_FLAGS = {
    "externalId": "external_id",
    "unique": "unique",
    "caseSensitive": "case_sensitive",
    "required": "required",
}


def _of_kind(path: str, kind: str, root: Element) -> dict[str, Any]:
    if kind in {"Lookup", "MasterDetail"}:
        target, child = _text(root, "referenceTo"), _text(root, "relationshipName")
        if not target:
            raise PackageFault(path, "referenceTo: a relationship names its object")
        return {"to": target, "child": f"{child}__r" if child else None}
    if kind == "AutoNumber":
        return {"auto_number": _text(root, "displayFormat") or "{0}"}
    if kind == "Checkbox":
        return {"default": _text(root, "defaultValue") == "true"}
    if kind in {"Picklist", "MultiselectPicklist"}:
        return _picklist(root)
    return {}


def _picklist(root: Element) -> dict[str, Any]:
    values = [one for one in root.iter() if _local(one) == "value" and _text(one, "fullName")]
    default = next((_text(one, "fullName") for one in values if _text(one, "default") == "true"), None)
    restricted = any(_local(one) == "restricted" and one.text == "true" for one in root.iter())
    return {"values": [_text(one, "fullName") for one in values], "default": default, "restricted": restricted}


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _all(root: Element, name: str) -> list[Element]:
    return [one for one in root if _local(one) == name]


def _one(root: Element, name: str) -> Element | None:
    return next(iter(_all(root, name)), None)


def _text(root: Element, name: str) -> str | None:
    found = _one(root, name)
    return found.text.strip() if found is not None and found.text else None


_READERS: dict[str, Callable[[str, str, Element], Parts]] = {
    ".field-meta.xml": _read_field,
    ".object-meta.xml": _read_object,
    ".object": _read_object,
    ".platformEventChannelMember-meta.xml": _read_member,
    ".platformEventChannelMember": _read_member,
}
