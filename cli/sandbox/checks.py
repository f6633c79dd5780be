"""What a write must hold: known and writable fields, required values, unique ones, references to what is there.

Place     writing.py -> [this] -> validation.py (one value), rows.py
Rules     The codes and words are Salesforce's. A parent may be named by its external id: `"Account__r": {"Ext__c": v}`.
Source    REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID", "Using Relationships".
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.validation import clean, field_of
from fakturo.schemas.salesforce_ids import long_id

if TYPE_CHECKING:
    from fakturo.cli.sandbox.org import SandboxOrg


def cleaned(org: "SandboxOrg", entity: SObject, values: Mapping[str, Any], *, new: bool) -> dict[str, Any]:
    """Return the values as rows hold them, by the fields' own names; None where one is set to null.

    Raises:
        OrgError: INVALID_FIELD, INVALID_FIELD_FOR_INSERT_UPDATE, or what is wrong with a value.
    """
    result: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in values.items():
        if name == "attributes":
            continue
        if isinstance(value, Mapping):
            reference, value = _parent(org, entity, name, value)
            result[reference.name] = value
            continue
        field = field_of(entity, name)
        if field.name == "Id":
            raise OrgError("INVALID_FIELD", "The Id field should not be specified in the sobject data.", ("Id",))
        if field.calculated or field.is_compound or not (field.createable if new else field.updateable):
            refused.append(field.name)
        else:
            result[field.name] = clean(entity, field, value)
    if refused:
        raise OrgError(
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {', '.join(sorted(refused))}. Please check the security settings of "
            "this field and verify that it is read/write for your profile or permission set.",
            tuple(refused),
        )
    return result


def external_field(entity: SObject, name: str) -> Field:
    """Return the external id field of that name.

    Raises:
        OrgError: NOT_FOUND, there is none.
    """
    field = entity.find(name)
    if field is None or not field.external_id:
        raise OrgError("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}")
    return field


def own_id(entity: SObject, record_id: str) -> str:
    """Return an id of this object in 18 characters.

    Raises:
        OrgError: MALFORMED_ID, no id or one of another object.
    """
    try:
        whole = long_id(record_id)
    except ValueError:
        raise OrgError("MALFORMED_ID", f"malformed id {record_id}", ("Id",)) from None
    if not whole.startswith(entity.key_prefix):
        raise OrgError("MALFORMED_ID", f"bad id {record_id}", ("Id",))
    return whole


def check_row(org: "SandboxOrg", entity: SObject, row: Row, before: Row | None) -> None:
    """Refuse a row that lacks what is required, doubles what is unique or refers to what is not there.

    Only what differs from `before` is looked at again.
    """
    _check_required(entity, row)
    table = org.tables[entity.name]
    for name in row:
        if before is not None and before[name] == row[name]:
            continue
        field = entity.fields.get(name)
        if field is None:
            continue
        if field.unique:
            others = [one for one in table.indexes[name].ids(row[name]) if one != row["Id"]]
            if others:
                raise OrgError(
                    "DUPLICATE_VALUE",
                    f"duplicate value found: {name} duplicates value on record with id: {others[0]}",
                )
        if field.type == "reference" and row[name] != row["Id"]:
            _check_reference(org, field, row[name])


def _check_required(entity: SObject, row: Row) -> None:
    missing = [name for name in entity.required_names if row[name] is None]
    if missing:
        raise OrgError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", tuple(missing))


def _check_reference(org: "SandboxOrg", field: Field, record_id: str) -> None:
    targets = [org.objects[name] for name in field.reference_to if name in org.objects]
    if not targets:
        return
    target = next((one for one in targets if record_id.startswith(one.key_prefix)), None)
    if target is None:
        raise OrgError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {record_id}", (field.name,))
    row = org.tables[target.name].get(record_id)
    if row is None:
        raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (field.name,))
    if row["IsDeleted"]:
        raise OrgError("ENTITY_IS_DELETED", "entity is deleted", (field.name,))


def _parent(org: "SandboxOrg", entity: SObject, name: str, value: Mapping[str, Any]) -> tuple[Field, str]:
    reference = entity.by_relationship(name)
    named = {key: one for key, one in value.items() if key != "attributes"}
    if reference is None or len(named) != 1:
        raise OrgError("INVALID_FIELD", f"No such column '{name}' on sobject of type {entity.name}")
    wanted = value.get("attributes", {}).get("type", reference.reference_to[0])
    target = org.object(wanted)
    ((field_name, key),) = named.items()
    if field_name.lower() == "id":
        return reference, own_id(target, str(key))
    field = external_field(target, field_name)
    found = org.by_external(target.name, field.name, key)
    if not found:
        raise OrgError(
            "INVALID_FIELD",
            f"Foreign key external ID: {key} not found for field {field.name} in entity {target.name}",
        )
    if len(found) > 1:
        raise OrgError("DUPLICATE_EXTERNAL_ID", f"More than one record found for external id field: {found}")
    return reference, found[0]
