"""What can't be read without guessing is refused with a reason, and says where and how to mend it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakturo.consumers.crm_feed.reading import Reader
from fakturo.consumers.crm_feed.registry import SchemaRegistry
from fakturo.consumers.crm_feed.schema_folder import load_event_schemas
from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchemas
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.records import Record
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

EXAMPLES = Path(__file__).parent / "examples"
AT = datetime(2026, 11, 1, tzinfo=UTC)
HEADER = {
    "entityName": "Account",
    "recordIds": ["001D000000IRFmaIAH"],
    "changeType": "UPDATE",
    "changedFields": ["Fax"],
    "commitTimestamp": 1712694387000,
}


def bare(values: dict[str, Any] | None = None, **header: Any) -> bytes:
    return json.dumps({"ChangeEventHeader": HEADER | header, **(values or {"Fax": "1"})}).encode()


async def refusal(
    value: bytes | None,
    *,
    key: bytes | None = None,
    topic: str = "sfdc",
    headers: dict[str, str] | None = None,
    schemas: EventSchemas | None = None,
    pinned: str = "",
) -> SchemaError:
    reader = Reader(SchemaRegistry(""), schemas or EventSchemas(), pinned)
    stored = tuple((name, text.encode()) for name, text in (headers or {}).items())
    with pytest.raises(SchemaError) as caught:
        await reader.read(Record(topic, 0, 1, key, value, stored, AT))
    return caught.value


@pytest.mark.parametrize(
    ("value", "reason", "sentence"),
    [
        (b"no json", Reason.MALFORMED_JSON, "not JSON"),
        (b"[1]", Reason.UNKNOWN_SHAPE, "it is no JSON object"),
        (b'{"a": 1, "b": 2}', Reason.UNKNOWN_SHAPE, "its fields are a, b"),
        (bare(recordIds=[]), Reason.VALUE_MISSING, "record id"),
        (bare(recordIds=["001"]), Reason.UNKNOWN_SHAPE, "'001' is no Salesforce record id"),
        (bare(recordIds=["001D000000IRFmaIAA"]), Reason.UNKNOWN_SHAPE, "wrong checksum"),
        (bare(entityName=None), Reason.VALUE_MISSING, "$.ChangeEventHeader.entityName"),
        (bare(commitTimestamp="yesterday"), Reason.INVALID_TIME, "'yesterday' is no instant"),
        (bare(commitTimestamp=-1), Reason.INVALID_TIME, "$.ChangeEventHeader.commitTimestamp"),
        (bare(changedFields="Fax"), Reason.UNKNOWN_SHAPE, "a list of texts"),
        (bare({"Fax": [1]}), Reason.UNKNOWN_SHAPE, "$.Fax"),
        (b"\x00\x00\x00\x00\x07abc", Reason.UNKNOWN_SHAPE, "FAKTURO_CRM_REGISTRY_URL"),
    ],
)
async def test_a_message_that_is_none_is_refused_with_reason_and_place(
    value: bytes, reason: Reason, sentence: str
) -> None:
    found = await refusal(value)
    assert found.reason is reason
    assert sentence in str(found)


async def test_bitmaps_without_the_writers_schema_are_refused_and_say_which_is_missing() -> None:
    found = await refusal(bare(changedFields=["0x40"]))
    assert "a change of Account in Avro's form" in str(found)
    assert "FAKTURO_CRM_SCHEMAS" in str(found)
    named = await refusal(json.dumps({"payload": json.loads(bare(changedFields=["0x40"])), "schema": "other"}).encode())
    assert "schema other is needed" in str(named)


async def test_a_schema_of_the_same_name_with_other_fields_is_not_taken_for_the_writers() -> None:
    schemas = load_event_schemas(EXAMPLES / "schemas")
    message = json.loads((EXAMPLES / "redpanda_update.json").read_text())["value"]
    assert "exactly these 21 fields" in str(
        await refusal(json.dumps({k: v for k, v in message.items() if k != "Site"}).encode(), schemas=schemas)
    )


async def test_a_value_that_the_bitmaps_do_not_name_shows_that_the_schema_is_another() -> None:
    schemas = load_event_schemas(EXAMPLES / "schemas")
    message = json.loads((EXAMPLES / "redpanda_update.json").read_text())["value"]
    found = await refusal(json.dumps(message | {"Phone": {"string": "5"}}).encode(), schemas=schemas)
    assert "Phone has a value, but the bitmaps do not name it" in str(found)


async def test_a_bit_beyond_the_schema_is_refused() -> None:
    schemas = load_event_schemas(EXAMPLES / "schemas")
    message = json.loads((EXAMPLES / "redpanda_update.json").read_text())["value"]
    message["ChangeEventHeader"]["changedFields"] = ["0x01000000"]
    assert "beyond the 23" in str(await refusal(json.dumps(message).encode(), schemas=schemas))


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        ("salesforce.Account", b"802D000000AbcdeIAB"),  # an OrderItem's id
        ("salesforce.everything", b"001D000000IRFmaIAH"),
        ("salesforce.My__c", b"001D000000IRFmaIAH"),  # a custom object's ids begin with a
        ("salesforce.Account", b"17"),
        ("salesforce.Account", b'{"id": "001D000000IRFmaIAH"}'),
    ],
)
async def test_a_tombstone_whose_object_is_not_certain_is_refused(topic: str, key: bytes) -> None:
    assert (await refusal(None, key=key, topic=topic)).reason in (Reason.UNKNOWN_SHAPE, Reason.VALUE_MISSING)


async def test_a_record_with_neither_value_nor_key_is_refused() -> None:
    assert "neither value nor key" in str(await refusal(None))


async def test_a_row_without_a_stamp_is_refused() -> None:
    headers = {"source.entity": "Order", "source.operation": "INSERT", "source.loading.mode": "Periodic Polling"}
    found = await refusal(b'{"Id": "801D000000AbcdeIAB", "Status": "Draft"}', headers=headers)
    assert found.reason is Reason.VALUE_MISSING
    assert "SystemModstamp" in str(found)


async def test_an_operation_that_is_not_known_is_refused() -> None:
    headers = {"source.entity": "Order", "source.operation": "MERGE"}
    assert "operation 'MERGE'" in str(await refusal(b'{"Id": "801D000000AbcdeIAB"}', headers=headers))


async def test_where_one_form_is_pinned_another_is_refused() -> None:
    assert "FAKTURO_CRM_SHAPE says osodevops" in str(await refusal(bare(), pinned="osodevops"))


def test_a_folder_of_schemas_that_holds_something_else_is_a_clear_setting_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsFault, match="FAKTURO_CRM_SCHEMAS"):
        load_event_schemas(tmp_path / "none")
    (tmp_path / "a.json").write_text('{"name": "Account"}')
    with pytest.raises(SettingsFault, match=r"a\.json"):
        load_event_schemas(tmp_path)
