"""Compares what we need of an org with what it has: objects, fields, permissions, Change Data Capture.

Place     profile + written_fields, the org's describe and channel -> [this] -> findings, each with what to do.
Required  a standard field that the profile reads, and every field that we write; a field of ours that people fill is
          only a note, for empty is one of its values. Of several alternatives for one value one is enough.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakturo.cli.salesforce.package import event_name
from fakturo.schemas.salesforce.compounds import dotted_to_flat
from fakturo.schemas.salesforce.written_fields import WRITTEN_OBJECTS, WrittenField, WrittenObject

Describes = Mapping[str, Mapping[str, Any] | None]
"""The describe of each object, None of one that the integration user cannot see."""

FEATURE_FIELDS = frozenset({"CurrencyIsoCode", "BillingCountryCode", "BillingAddress.CountryCode"})
"""Fields that an org has with several currencies, or with picklists of countries, switched on."""
SETUP = "deploy the package of `fakturo salesforce setup`"
_KINDS = {
    "Text": {"string", "textarea", "picklist"},
    "LongTextArea": {"textarea", "string"},
    "Name": {"string"},
    "Number": {"double", "int", "currency", "percent"},
    "Date": {"date"},
    "DateTime": {"datetime"},
    "Picklist": {"picklist", "string"},
    "Lookup": {"reference"},
    "MasterDetail": {"reference"},
}
"""Which types of describe hold what we write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as we need it: `is_error` where contracts or invoices would be wrong or missing."""

    entity: str
    field: str | None
    what: str
    mend: str
    is_error: bool = True

    @property
    def sentence(self) -> str:
        """Return the finding as one line."""
        place = f"{self.entity}.{self.field}" if self.field else self.entity
        return f"{place} {self.what}: {self.mend}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededValue:
    """One value that the profile reads: any of `fields` (dotted where compound) of `entity` is enough."""

    entity: str
    fields: tuple[str, ...]

    @property
    def is_optional(self) -> bool:
        """Return whether an org may do without it: all of its fields are ours, or need a feature to be switched on."""
        return all(name.startswith("Fakturo_") or name in FEATURE_FIELDS for name in self.fields)


def check_read(values: Iterable[NeededValue], describes: Describes) -> list[Finding]:
    """Return what is missing of the values that the profile reads."""
    findings: list[Finding] = []
    missing: set[str] = set()
    for value in values:
        describe = describes.get(value.entity)
        if describe is None:
            if value.entity not in missing:
                findings.append(_unseen(value.entity))
            missing.add(value.entity)
            continue
        names = _names_of(describe)
        if not any(dotted_to_flat(name) in names for name in value.fields):
            findings.append(_unread(value))
    return findings


def check_written(describes: Describes) -> list[Finding]:
    """Return what is missing of the objects and fields that we write."""
    findings: list[Finding] = []
    for written in WRITTEN_OBJECTS:
        describe = describes.get(written.name)
        if describe is None:
            if written.is_ours:
                findings.append(
                    Finding(entity=written.name, field=None, what="is not there, or not visible", mend=SETUP)
                )
            continue
        findings += _object_rights(written, describe)
        fields = {str(field["name"]): field for field in describe["fields"]}
        findings += [found for field in written.fields for found in _written_field(written, field, fields)]
    return findings


def check_channel(entities: Iterable[str], selected: frozenset[str], channel: str) -> list[Finding]:
    """Return the objects whose changes the channel does not tell; `selected` are names of change events."""
    return [
        Finding(
            entity=entity,
            field=None,
            what=f"is not selected for Change Data Capture on {channel}",
            mend=f"select it in Setup, Change Data Capture, or {SETUP}",
        )
        for entity in entities
        if event_name(entity) not in selected
    ]


def _unseen(entity: str) -> Finding:
    return Finding(
        entity=entity,
        field=None,
        what="cannot be seen",
        mend="give the integration user the permission set Fakturo Integration (Read and View All of the object), "
        "or use a profile without it",
    )


def _unread(value: NeededValue) -> Finding:
    first, *others = value.fields
    instead = f" (nor {', '.join(others)})" if others else ""
    mend = SETUP if value.is_optional else "make it visible to the integration user (field-level security)"
    if not value.is_optional and first.endswith("__c"):
        mend = f"create it if it is not there, and {mend}"
    return Finding(
        entity=value.entity,
        field=first,
        what=f"cannot be read{instead}",
        mend=mend,
        is_error=not value.is_optional,
    )


def _names_of(describe: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(str(field["name"]) for field in describe["fields"])


def _object_rights(written: WrittenObject, describe: Mapping[str, Any]) -> list[Finding]:
    needed = ("createable", "updateable") if written.is_ours else ("updateable",)
    denied = [right for right in needed if not describe.get(right)]
    if not denied:
        return []
    words = " and ".join("created" if right == "createable" else "updated" for right in denied)
    return [
        Finding(
            entity=written.name,
            field=None,
            what=f"cannot be {words} by the integration user",
            mend="give it the permission set Fakturo Integration",
        )
    ]


def _written_field(
    written: WrittenObject, field: WrittenField, fields: Mapping[str, Mapping[str, Any]]
) -> Sequence[Finding]:
    found = fields.get(field.name)
    if found is None:
        return [Finding(entity=written.name, field=field.name, what="is not there, or not visible", mend=SETUP)]
    what = _fault_of(field, found)
    return [Finding(entity=written.name, field=field.name, what=what, mend=SETUP)] if what else []


def _fault_of(field: WrittenField, found: Mapping[str, Any]) -> str | None:
    if str(found["type"]) not in _KINDS[field.kind]:
        return f"is of the type {found['type']}, where {field.kind} is needed"
    if field.external_id and not found.get("externalId"):
        return "is no external id"
    if field.external_id and not found.get("unique"):
        return "is not unique"
    if field.kind != "MasterDetail" and not found.get("updateable"):
        return "cannot be written by the integration user"
    return None
