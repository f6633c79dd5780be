"""The metadata package: everything of ours that an org needs, as an sfdx project ready for `sf project deploy start`.

Place     schemas/salesforce (written_fields, read_fields), the profile's objects -> [this] -> files, by path.
Holds     custom objects and fields, the permission set of the integration user, the selection of objects for Change
          Data Capture. Only what is ours: it can be deployed again and again, and into an org with other packages.
Source    Salesforce Metadata API guide: CustomObject, CustomField, PermissionSet, PlatformEventChannelMember.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree

from fakturo.schemas.salesforce.read_fields import READ_FIELDS
from fakturo.schemas.salesforce.written_fields import WRITTEN_OBJECTS, WrittenField, WrittenObject

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
SOURCE = "force-app/main/default"
PERMISSION_SET = "Fakturo_Integration"
STANDARD_CHANNEL = "ChangeEvents"
PARENT_OF = {"OrderItem": "Order", "PricebookEntry": "Pricebook2"}
"""Objects without permissions of their own: who reads the parent reads them."""

Tree = Mapping[str, "str | bool | int | Tree | Sequence[Tree]"]


def package_files(
    read_objects: Mapping[str, Iterable[str]], roles: Mapping[str, str], *, channel: str, api_version: str
) -> dict[str, str]:
    """Return the text of each file by its path in the project.

    `read_objects` are the objects that the mapping profile reads, each with the fields of an org that it names (those
    of ours among them are deployed), `roles` says which object is our account, subscription, item and product;
    `channel` is the channel that the bridge subscribes to, without `/data/`.
    """
    files = {"sfdx-project.json": _project(api_version), "README.md": _readme(channel)}
    read = _read_fields(read_objects, roles)
    files |= {_field_path(entity, field): _field_xml(field) for entity, field in read}
    for written in WRITTEN_OBJECTS:
        if written.is_ours:
            files[f"{SOURCE}/objects/{written.name}/{written.name}.object-meta.xml"] = _object_xml(written)
        files |= {_field_path(written.name, field): _field_xml(field) for field in _deployed(written)}
    files[f"{SOURCE}/permissionsets/{PERMISSION_SET}.permissionset-meta.xml"] = _permission_set_xml(read_objects, read)
    for entity in sorted(read_objects):
        member = f"{channel.removesuffix('__chn')}_{event_name(entity)}"
        files[f"{SOURCE}/platformEventChannelMembers/{member}.platformEventChannelMember-meta.xml"] = _xml(
            "PlatformEventChannelMember", {"eventChannel": channel, "selectedEntity": event_name(entity)}
        )
    if channel != STANDARD_CHANNEL:
        files[f"{SOURCE}/platformEventChannels/{channel}.platformEventChannel-meta.xml"] = _xml(
            "PlatformEventChannel", {"channelType": "data", "label": "Fakturo"}
        )
    return dict(sorted(files.items()))


def event_name(entity: str) -> str:
    """Return the name of an object's change event: AccountChangeEvent, SBQQ__Subscription__ChangeEvent."""
    return f"{entity.removesuffix('__c')}__ChangeEvent" if entity.endswith("__c") else f"{entity}ChangeEvent"


def _deployed(written: WrittenObject) -> list[WrittenField]:
    return [field for field in written.fields if field.kind != "Name"]


def _field_path(entity: str, field: WrittenField) -> str:
    return f"{SOURCE}/objects/{entity}/fields/{field.name}.field-meta.xml"


def _object_xml(written: WrittenObject) -> str:
    name = next(field for field in written.fields if field.kind == "Name")
    is_detail = any(field.kind == "MasterDetail" for field in written.fields)
    content: Tree = {
        "deploymentStatus": "Deployed",
        "description": "Written by Fakturo; changes made by hand are overwritten.",
        "enableReports": True,
        "enableSearch": True,
        "label": written.label,
        "nameField": {"label": name.label, "type": "Text"},
        "pluralLabel": written.plural_label,
        "sharingModel": "ControlledByParent" if is_detail else "ReadWrite",
    }
    return _xml("CustomObject", content)


def _field_xml(field: WrittenField) -> str:
    content: dict[str, str | bool | int | Tree | Sequence[Tree]] = {
        "fullName": field.name,
        "inlineHelpText": field.help,
        "label": field.label,
        "type": field.kind,
    }
    if field.kind == "Text":
        content |= {"length": field.length, "required": False, "unique": field.unique}
        content |= {"externalId": True, "caseSensitive": True} if field.external_id else {}
    elif field.kind == "LongTextArea":
        content |= {"length": field.length, "visibleLines": 5}
    elif field.kind in ("Number", "Percent"):
        content |= {"precision": field.precision, "scale": field.scale, "required": False}
    elif field.kind == "Checkbox":
        content["defaultValue"] = False
    elif field.kind == "Picklist":
        content["valueSet"] = _value_set(field.values)
    elif field.is_reference:
        content |= _reference(field)
    return _xml("CustomField", content)


def _value_set(values: Sequence[str]) -> Tree:
    listed: list[Tree] = [{"fullName": value, "default": False, "label": value} for value in values]
    return {"restricted": True, "valueSetDefinition": {"sorted": False, "value": listed}}


def _reference(field: WrittenField) -> dict[str, str | bool | int]:
    shared: dict[str, str | bool | int] = {
        "referenceTo": field.target,
        "relationshipLabel": field.relationship.replace("_", " "),
        "relationshipName": field.relationship,
    }
    if field.kind == "Lookup":
        return {**shared, "deleteConstraint": "SetNull", "required": False}
    return {**shared, "relationshipOrder": 0, "reparentableMasterDetail": False, "writeRequiresMasterRead": False}


def _read_fields(read_objects: Mapping[str, Iterable[str]], roles: Mapping[str, str]) -> list[tuple[str, WrittenField]]:
    """Return (object, field) of the fields of ours that the profile names, each once."""
    found: dict[tuple[str, str], WrittenField] = {}
    for role, fields in READ_FIELDS.items():
        entity = roles.get(role, "")
        named = frozenset(read_objects.get(entity, ()))
        found |= {(entity, field.name): field for field in fields if field.name in named}
    return [(entity, field) for (entity, _), field in found.items()]


def _permission_set_xml(read_objects: Iterable[str], read: Sequence[tuple[str, WrittenField]]) -> str:
    """Return the permission set: read all of what is read, write what is written.

    A field that is required, or the child's reference to its master, has no field permission of its own.
    """
    fields = {f"{entity}.{field.name}": False for entity, field in read}
    for written in WRITTEN_OBJECTS:
        fields |= {f"{written.name}.{field.name}": True for field in _deployed(written) if field.kind != "MasterDetail"}
    content: Tree = {
        "description": "For the integration user of Fakturo: reads contracts, writes invoices and KPIs.",
        "fieldPermissions": [
            {"editable": editable, "field": name, "readable": True} for name, editable in sorted(fields.items())
        ],
        "hasActivationRequired": False,
        "label": "Fakturo Integration",
        "objectPermissions": [_object_permission(entity) for entity in _permitted(read_objects)],
        "userPermissions": [{"enabled": True, "name": "ApiEnabled"}],
    }
    return _xml("PermissionSet", content)


def _permitted(read_objects: Iterable[str]) -> list[str]:
    return sorted({PARENT_OF.get(entity, entity) for entity in (*read_objects, *_written_names())})


def _written_names() -> set[str]:
    return {written.name for written in WRITTEN_OBJECTS}


def _object_permission(entity: str) -> Tree:
    ours = any(written.name == entity and written.is_ours for written in WRITTEN_OBJECTS)
    return {
        "allowCreate": ours,
        "allowDelete": ours,
        "allowEdit": entity in _written_names(),
        "allowRead": True,
        "modifyAllRecords": ours,
        "object": entity,
        "viewAllRecords": True,
    }


def _xml(root: str, content: Tree) -> str:
    element = ElementTree.Element(root, {"xmlns": NAMESPACE})
    _fill(element, content)
    ElementTree.indent(element, "    ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(element, encoding="unicode")}\n'


def _fill(element: ElementTree.Element, content: Tree) -> None:
    """Add the children: fullName first, the others by name, as the Salesforce CLI writes them."""
    for name in sorted(content, key=lambda name: (name != "fullName", name)):
        value = content[name]
        for one in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
            child = ElementTree.SubElement(element, name)
            if isinstance(one, Mapping):
                _fill(child, one)
            else:
                child.text = str(one).lower() if isinstance(one, bool) else str(one)


def _project(api_version: str) -> str:
    document = {
        "packageDirectories": [{"path": "force-app", "default": True}],
        "name": "fakturo",
        "sourceApiVersion": api_version,
    }
    return json.dumps(document, indent=2) + "\n"


def _readme(channel: str) -> str:
    return f"""# Fakturo in your org

    sf project deploy start --target-org YOUR_ORG
    sf org assign permset --name {PERMISSION_SET} --on-behalf-of INTEGRATION_USER --target-org YOUR_ORG

Then `fakturo salesforce check` says whether anything is still missing. Objects are selected for Change Data Capture on
the channel {channel}; without the add-on an org may select five.
"""
