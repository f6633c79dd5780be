"""Change events as Salesforce's bus has them, built by hand from the reference's schema (1.7)."""

import json
from io import BytesIO
from typing import Any

import fastavro

from fakturo.producers.salesforce.decoding import RawEvent

ORG = "00D000000000001EAA"
ACCOUNT_ID = "0015f00002AbCdEAAV"

CHANGE_TYPES = (
    *("CREATE", "UPDATE", "DELETE", "UNDELETE"),
    *("GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT"),
)
STRINGS = {"type": "array", "items": "string"}


def header_field(symbols: tuple[str, ...] = CHANGE_TYPES) -> dict[str, Any]:
    kinds: list[tuple[str, Any]] = [
        ("entityName", "string"),
        ("recordIds", STRINGS),
        ("changeType", {"type": "enum", "name": "ChangeType", "symbols": list(symbols)}),
        ("changeOrigin", "string"),
        ("transactionKey", "string"),
        ("sequenceNumber", "int"),
        ("commitTimestamp", "long"),
        ("commitNumber", "long"),
        ("commitUser", "string"),
        ("nulledFields", STRINGS),
        ("diffFields", STRINGS),
        ("changedFields", STRINGS),
    ]
    fields = [{"name": name, "type": kind} for name, kind in kinds]
    return {"name": "ChangeEventHeader", "type": {"type": "record", "name": "ChangeEventHeader", "fields": fields}}


def record(name: str, *parts: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": part, "type": ["null", kind], "default": None} for part, kind in parts],
    }


PERSON = record("Switchable_PersonName", ("Salutation", "string"), ("FirstName", "string"), ("LastName", "string"))
ADDRESS = record(
    "Address",
    *((name, "string") for name in ("Street", "City", "State", "PostalCode", "Country", "StateCode", "CountryCode")),
    ("Latitude", "double"),
    ("Longitude", "double"),
    ("GeocodeAccuracy", "string"),
)
ACCOUNT_FIELDS: list[tuple[str, Any, str]] = [
    ("Name", ["null", "string", PERSON], "Data:Switchable_PersonName"),
    ("Type", ["null", "string"], "Data:DynamicEnum"),
    ("ParentId", ["null", "string"], "ForeignKey:EntityId"),
    ("BillingAddress", ["null", ADDRESS], "Data:Address"),
    ("ShippingAddress", ["null", "Address"], "Data:Address"),
    ("Phone", ["null", "string"], "Data:Phone"),
    ("Fax", ["null", "string"], "Data:Phone"),
    ("AnnualRevenue", ["null", "double"], "Data:Currency"),
    ("NumberOfEmployees", ["null", "int"], "Data:Integer"),
    ("OwnerId", ["null", "string"], "ForeignKey:EntityId"),
    ("Industry", ["null", "string"], "Data:DynamicEnum"),
    ("CreatedDate", ["null", "long"], "CreatedDate:DateTime"),
    ("My_Date__c", ["null", "long"], "Data:DateOnly:00N5f000001AbCd"),
    ("My_Flag__c", ["null", "boolean"], "Data:Boolean:00N5f000001AbCe"),
    ("My_Time__c", ["null", "long"], "Data:TimeOnly:00N5f000001AbCf"),
    ("Description", ["null", "string"], "Data:StringPlusClob"),
    ("My_Rate__c", ["null", "double"], "Data:Double:00N5f000001AbCg"),
    ("My_Odd__c", ["null", "long"], "Data:SomethingNew"),
    ("LastModifiedDate", ["null", "long"], "Data:DateTime"),
]
"""Positions from 1: Name 1, ... BillingAddress 4, ShippingAddress 5, ... Fax 7, ... Industry 11, Description 16."""


def account_schema(*more: tuple[str, Any, str], symbols: tuple[str, ...] = CHANGE_TYPES) -> dict[str, Any]:
    fields = [{"name": n, "type": kind, "doc": doc, "default": None} for n, kind, doc in (*ACCOUNT_FIELDS, *more)]
    return {
        "type": "record",
        "name": "AccountChangeEvent",
        "namespace": "com.sforce.eventbus",
        "fields": [header_field(symbols), *fields],
    }


def header(**values: Any) -> dict[str, Any]:
    return {
        "entityName": "Account",
        "recordIds": [ACCOUNT_ID],
        "changeType": "UPDATE",
        "changeOrigin": "com/salesforce/api/rest/67.0;client=SfdcInternalAPI/",
        "transactionKey": "000046c7-aab1-b42d-23b2-0f3ed4b9dbd4",
        "sequenceNumber": 1,
        "commitTimestamp": 1793534400000,
        "commitNumber": 1652977933433528300,
        "commitUser": "0055f000005mc66AAA",
        "nulledFields": [],
        "diffFields": [],
        "changedFields": [],
        **values,
    }


def payload(schema: dict[str, Any], head: dict[str, Any], **fields: Any) -> bytes:
    stream = BytesIO()
    names = [field["name"] for field in schema["fields"]][1:]
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)), named_schemas={})
    fastavro.schemaless_writer(stream, parsed, {"ChangeEventHeader": head, **dict.fromkeys(names), **fields})
    return stream.getvalue()


def event(body: bytes, *, event_id: str = "f1e0", schema_id: str = "schema-1", replay_id: bytes = b"\x01") -> RawEvent:
    return RawEvent(event_id=event_id, schema_id=schema_id, payload=body, replay_id=replay_id)
