"""What objects and fields there are, as REST tells it.

Place     app.py -> [this] -> metadata.py
Source    REST API Developer Guide, "sObject Describe", "Describe Global"; SOAP API, "DescribeSObjectResult".
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import NUMBERS, TEXTS, Field, SObject
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.rest.answers import answer, org_of
from fakturo.cli.sandbox.rest.calls import version_of

DATA = "/services/data/v{version}"
_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
    "location": "urn:location",
}

_OF_EVERY_OBJECT: dict[str, Any] = {
    "activateable": False,
    "associateEntityType": None,
    "associateParentEntity": None,
    "customSetting": False,
    "deepCloneable": False,
    "deprecatedAndHidden": False,
    "feedEnabled": False,
    "hasSubtypes": False,
    "isInterface": False,
    "isSubtype": False,
    "queryable": True,
    "replicateable": True,
    "retrieveable": True,
}
"""What a sandbox's objects have in common."""
_OF_EVERY_FIELD: dict[str, Any] = {
    "aiPredictionField": False,
    "calculatedFormula": None,
    "controllerName": None,
    "defaultValueFormula": None,
    "dependentPicklist": False,
    "deprecatedAndHidden": False,
    "displayLocationInDecimal": False,
    "encrypted": False,
    "extraTypeInfo": None,
    "filteredLookupInfo": None,
    "formulaTreatNullNumberAsZero": False,
    "highScaleNumber": False,
    "htmlFormatted": False,
    "inlineHelpText": None,
    "mask": None,
    "maskType": None,
    "namePointing": False,
    "queryByDistance": False,
    "referenceTargetField": None,
    "restrictedDelete": False,
    "searchPrefilterable": False,
    "writeRequiresMasterRead": False,
}
"""What its fields have in common."""


def object_in(request: Request) -> SObject:
    """Return the object that the path names.

    Raises:
        OrgError: NOT_FOUND.
    """
    try:
        return org_of(request).object(request.path_params["sobject"])
    except OrgError:
        raise OrgError("NOT_FOUND", "The requested resource does not exist") from None


async def describe_global(request: Request) -> Response:
    """List every object."""
    org = org_of(request)
    listed = [_summary(one, version_of(request)) for one in sorted(org.objects.values(), key=lambda one: one.name)]
    return answer({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


async def describe_basic(request: Request) -> Response:
    """Describe one object in short, with the records that were last looked at (none here)."""
    entity = object_in(request)
    return answer({"objectDescribe": _summary(entity, version_of(request)), "recentItems": []})


async def describe(request: Request) -> Response:
    """Describe one object with its fields and children."""
    entity, version = object_in(request), version_of(request)
    return answer(
        _summary(entity, version)
        | {
            "actionOverrides": [],
            "childRelationships": _children(org_of(request), entity),
            "compactLayoutable": True,
            "fields": [_field(one) for one in entity.fields.values()],
            "listviewable": None,
            "lookupLayoutable": None,
            "namedLayoutInfos": [],
            "networkScopeFieldName": None,
            "recordTypeInfos": [],
            "searchLayoutable": True,
            "supportedScopes": [{"label": f"All {entity.label_plural}", "name": "everything"}],
        }
    )


def _summary(entity: SObject, version: str) -> dict[str, Any]:
    where = f"/services/data/v{version}/sobjects/{entity.name}"
    writable = entity.createable
    return _OF_EVERY_OBJECT | {
        "createable": writable,
        "custom": entity.custom,
        "deletable": writable,
        "keyPrefix": entity.key_prefix,
        "label": entity.label,
        "labelPlural": entity.label_plural,
        "layoutable": writable,
        "mergeable": entity.name in {"Account", "Contact"},
        "mruEnabled": writable,
        "name": entity.name,
        "searchable": writable,
        "triggerable": writable,
        "undeletable": writable,
        "updateable": writable,
        "urls": {
            "sobject": where,
            "describe": f"{where}/describe",
            "rowTemplate": f"{where}/{{ID}}",
        },
    }


def _field(one: Field) -> dict[str, Any]:
    textual = one.type in TEXTS or one.type in {"id", "reference"}
    number = one.type in NUMBERS
    return _OF_EVERY_FIELD | {
        "aggregatable": not one.is_compound and one.type != "textarea",
        "autoNumber": one.auto_number is not None,
        "byteLength": one.length * 3 if one.type in TEXTS else one.length,
        "calculated": one.calculated,
        "cascadeDelete": one.cascade,
        "caseSensitive": one.case_sensitive,
        "compoundFieldName": one.compound,
        "createable": one.createable and not one.is_compound,
        "custom": one.custom,
        "defaultValue": one.default if one.default is not None else _no_default(one),
        "defaultedOnCreate": _filled_at_creation(one),
        "digits": 9 if one.type == "int" else 0,
        "externalId": one.external_id,
        "filterable": not (one.is_compound or (one.type == "textarea" and one.length > 255)),
        "groupable": one.type not in {"currency", "double", "percent", "datetime"} and not one.is_compound,
        "idLookup": one.external_id or one.type == "id" or one.name_field,
        "label": one.label,
        "length": one.length if textual else 0,
        "name": one.name,
        "nameField": one.name_field,
        "nillable": one.nillable,
        "permissionable": not one.required,
        "picklistValues": _picklist(one),
        "polymorphicForeignKey": len(one.reference_to) > 1,
        "precision": one.precision if number else 0,
        "referenceTo": list(one.reference_to),
        "relationshipName": one.relationship_name,
        "relationshipOrder": 0 if one.cascade and one.custom else None,
        "restrictedPicklist": one.restricted,
        "scale": one.scale if number else 0,
        "soapType": _SOAP_TYPES.get(one.type, "xsd:string"),
        "sortable": not one.is_compound,
        "type": one.type,
        "unique": one.unique,
        "updateable": one.updateable and not one.is_compound,
    }


def _no_default(one: Field) -> bool | None:
    return False if one.type == "boolean" else None


def _filled_at_creation(one: Field) -> bool:
    system = one.name in {"Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"}
    owned = one.name in {"OwnerId", "CurrencyIsoCode", "SystemModstamp"}
    return system or owned or one.auto_number is not None or one.default is not None or one.type == "boolean"


def _picklist(one: Field) -> list[dict[str, Any]]:
    return [
        {"active": True, "defaultValue": value == one.default, "label": value, "validFor": None, "value": value}
        for value in one.picklist
    ]


def _children(org: SandboxOrg, entity: SObject) -> list[dict[str, Any]]:
    return [
        {
            "cascadeDelete": field.cascade,
            "childSObject": child.name,
            "deprecatedAndHidden": False,
            "field": field.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": field.child_relationship,
            "restrictedDelete": False,
        }
        for child in org.objects.values()
        for field in child.fields.values()
        if entity.name in field.reference_to
    ]


ROUTES = [
    Route(f"{DATA}/sobjects", describe_global, methods=["GET"]),
    Route(f"{DATA}/sobjects/{{sobject}}", describe_basic, methods=["GET"]),
    Route(f"{DATA}/sobjects/{{sobject}}/describe", describe, methods=["GET"]),
]
