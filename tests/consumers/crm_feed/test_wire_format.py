"""Confluent's wire format through a registry: real Avro bytes, JSON Schema, a registry that is away or does not know.

`examples/registry/confluent_v2_lead.bin` holds the recorded message of kafka-docker-playground's
connect-salesforce-source-v2 (schema id 100106, most of its empty columns left out) as Avro.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from fakturo.consumers.crm_feed.reading import Reader, Reading
from fakturo.consumers.crm_feed.registry import SchemaRegistry
from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchemas
from fakturo.consumers.runtime.database_errors import is_transient
from fakturo.consumers.runtime.errors import WorldAway
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from tests.consumers.crm_feed.foreign_registry import ForeignRegistry, avro_framed, framed, running_registry

EXAMPLES = Path(__file__).parent / "examples"
AT = datetime(2026, 11, 1, tzinfo=UTC)
LEAD: dict[str, Any] = json.loads((EXAMPLES / "registry" / "Lead.avsc").read_text())
LEAD_HEADERS = {
    "source.system": "salesforce",
    "source.entity": "Lead",
    "source.operation": "INSERT",
    "source.loading.mode": "Event-Driven Sync",
    "source.connector": "salesforce-source-v2",
    "source.task": "2364315",
    "source.transaction.key": "0003c81d-9cdf-a681-7a68-dd7b564772b5",
    "source.sequence.number": "1",
    "source.commit.timestamp": "1780996181000",
}


async def read(
    url: str, value: bytes, key: bytes | None = None, headers: dict[str, str] | None = None, auth: str | None = None
) -> Reading:
    reader = Reader(SchemaRegistry(url, SecretStr(auth) if auth else None), EventSchemas())
    stored = tuple((name, text.encode()) for name, text in (headers or {}).items())
    return await reader.read(Record("salesforce.Lead", 0, 0, key, value, stored, AT))


async def test_the_recorded_v2_message_is_read_from_its_avro_bytes() -> None:
    value = (EXAMPLES / "registry" / "confluent_v2_lead.bin").read_bytes()
    async with running_registry() as registry:
        registry.add(100106, LEAD)
        reading = await read(registry.url, value, b'{"Id":"00QKB000002vPqN2AU"}', LEAD_HEADERS)
    (change,) = reading.changes
    assert (reading.shape, change.entity, change.recordId) == ("confluent_v2", "Lead", "00QKB000002vPqN2AU")
    assert change.changeType == "CREATE"
    assert (change.commit.ts, change.commit.seq) == (1780996181000, 1)
    assert {name: value for name, value in change.values.items() if value is not None} == {
        "Name.FirstName": "John_2445",  # the name came as JSON in a text, its flat columns were empty
        "Name.LastName": "Doe_12848",
        "Company": "Confluent",
        "OwnerId": "0052X00000AJGNCQA5",
        "IsConverted": False,
        "CreatedDate": "2026-06-09T09:09:41.000Z",  # 1780996181 s, by date -u -d @1780996181
        "LastModifiedDate": "2026-06-09T09:09:41.000Z",
    }


async def test_logical_types_and_doubles_of_avro_become_dates_and_exact_decimals() -> None:
    row = {field["name"]: None for field in LEAD["fields"]} | {
        "Id": "00QKB000002vPqN2AU",
        "ConvertedDate": 20605,  # days: 2026-06-01
        "NumberofLocations__c": 49.9,  # the nearest double is 49.89999999999999857891452847979962825775146484375
        "NumberOfEmployees": 40,
        "AnnualRevenue": "5000.10",
        "SystemModstamp": 1780996181000,
    }
    headers = LEAD_HEADERS | {"source.loading.mode": "Historical Snapshot"}
    async with running_registry() as registry:
        registry.add(7, LEAD)
        reading = await read(registry.url, avro_framed(7, LEAD, row), None, headers)
    values = reading.changes[0].values
    assert values["ConvertedDate"] == "2026-06-01"
    assert values["NumberofLocations__c"] == "49.9"
    assert values["NumberOfEmployees"] == "40"
    assert values["AnnualRevenue"] == "5000.10"
    assert reading.changes[0].changeType == "SYNC"


async def test_salesforces_own_avro_through_a_registry_brings_the_schema_its_bitmaps_need() -> None:
    schema = json.loads((EXAMPLES / "schemas" / "AccountChangeEvent.avsc").read_text())
    header = json.loads((EXAMPLES / "redpanda_update.json").read_text())["value"]["ChangeEventHeader"]
    body = {field["name"]: None for field in schema["fields"]} | {
        "ChangeEventHeader": header,
        "BillingAddress": {"Street": "1 Main", "City": None, "State": None},
        "Industry": "Energy",
        "LastModifiedDate": 1793534400000,
    }
    expected = json.loads((EXAMPLES / "redpanda_update.expected.json").read_text())[0]
    async with running_registry() as registry:
        registry.add(9, schema)
        reading = await read(registry.url, avro_framed(9, schema, body))
    assert reading.shape == "tagged_avro"
    assert reading.changes[0].values == expected["values"]
    assert list(reading.changes[0].changed) == expected["changed"]


async def test_json_schema_tells_days_milliseconds_and_decimals() -> None:
    logical = "org.apache.kafka.connect.data."
    schema = {
        "type": "object",
        "title": "io.confluent.salesforce.Lead",
        "properties": {
            "ConvertedDate": {"oneOf": [{"type": "null"}, {"type": "integer", "title": f"{logical}Date"}]},
            "SystemModstamp": {"oneOf": [{"type": "null"}, {"type": "integer", "title": f"{logical}Timestamp"}]},
            "Price__c": {"type": "string", "title": f"{logical}Decimal", "connect.parameters": {"scale": "2"}},
        },
    }
    # 4990 is 0x137E; in base64 "E34="; with scale 2 it is 49.90.
    body = {"Id": "00QKB000002vPqN2AU", "ConvertedDate": 20605, "SystemModstamp": 1780996181000, "Price__c": "E34="}
    headers = LEAD_HEADERS | {"source.loading.mode": "Periodic Polling"}
    async with running_registry() as registry:
        registry.add(5, schema, "JSON")
        reading = await read(registry.url, framed(5, json.dumps(body).encode()), None, headers)
    values = reading.changes[0].values
    assert values == {
        "ConvertedDate": "2026-06-01",
        "SystemModstamp": "2026-06-09T09:09:41.000Z",
        "Price__c": "49.9",
    }


async def refused(registry: ForeignRegistry, value: bytes) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        await read(registry.url, value, headers=LEAD_HEADERS)
    assert caught.value.reason is Reason.UNKNOWN_SHAPE
    return caught.value


async def test_what_the_registry_does_not_know_or_we_do_not_read_is_refused() -> None:
    async with running_registry() as registry:
        registry.add(1, LEAD)
        registry.add(2, {"syntax": "proto3"}, "PROTOBUF")
        registry.add(3, LEAD, references=[{"name": "Address", "subject": "address", "version": 1}])
        assert "does not know schema 8" in str(await refused(registry, framed(8, b"abc")))
        assert "schema 2 is PROTOBUF" in str(await refused(registry, framed(2, b"abc")))
        assert "refers to other schemas" in str(await refused(registry, framed(3, b"abc")))
        assert "not of schema 1" in str(await refused(registry, framed(1, b"\xff")))
        whole = (EXAMPLES / "registry" / "confluent_v2_lead.bin").read_bytes()[5:]
        assert "go on after its end" in str(await refused(registry, framed(1, whole + b"x")))


async def test_a_schema_is_asked_for_once_and_an_unknown_one_again() -> None:
    async with running_registry() as registry:
        registry.add(1, LEAD)
        known = SchemaRegistry(registry.url)
        for _ in range(3):
            await known.schema(1)
        for _ in range(2):
            with pytest.raises(SchemaError):
                await known.schema(4)
    assert registry.asked == [1, 4, 4]  # a schema may be registered later; one that is there never changes
    assert (await known.schema(1)).kind == "AVRO"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_registry_that_does_not_answer_is_waited_for(status: int) -> None:
    async with running_registry() as registry:
        registry.status = status
        with pytest.raises(WorldAway, match=f"answers {status}") as caught:
            await SchemaRegistry(registry.url).schema(1)
    assert is_transient(caught.value)
    with pytest.raises(WorldAway) as gone:
        await SchemaRegistry(registry.url).schema(1)
    assert is_transient(gone.value)
    assert registry.url in gone.value.what


async def test_credentials_are_sent_and_never_said() -> None:
    async with running_registry() as registry:
        registry.credentials = ("me", "pass:word")
        registry.add(1, LEAD)
        assert (await SchemaRegistry(registry.url, SecretStr("me:pass:word")).schema(1)).kind == "AVRO"
        with pytest.raises(WorldAway) as caught:
            await SchemaRegistry(registry.url, SecretStr("me:wrong")).schema(1)
    assert "wrong" not in f"{caught.value!r} {caught.value} {caught.value.what}"


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="FAKTURO_CRM_REGISTRY_AUTH") as caught:
        Settings(kafka="a:1", DATABASE_URL="postgresql://a", crm_registry_url="http://me:hush@registry:8081")
    problems = [problem["msg"] for problem in caught.value.errors()]  # type: ignore[attr-defined]
    assert "hush" not in msgspec.json.encode(problems).decode()


async def test_a_key_in_wire_format_names_the_record_of_a_tombstone() -> None:
    key_schema = {"type": "record", "name": "Key", "fields": [{"name": "Id", "type": "string"}]}
    key = avro_framed(3, key_schema, {"Id": "801D000000AbcdeIAB"})
    async with running_registry() as registry:
        registry.add(3, key_schema)
        reader = Reader(SchemaRegistry(registry.url), EventSchemas())
        reading = await reader.read(Record("salesforce.Order", 0, 0, key, None, (), AT))
    (change,) = reading.changes
    assert (change.entity, change.recordId, change.changeType) == ("Order", "801D000000AbcdeIAB", "DELETE")
