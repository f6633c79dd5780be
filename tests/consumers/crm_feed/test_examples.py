"""Each foreign form, as it was recorded or as its source code writes it, and the change records that it must become.

Where each message comes from stands in its file, `source`; the expected records were written from the reference.
An expected record without `eventId` has an id that is derived: test_identity.py says what it must be like.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakturo.consumers.crm_feed.reading import Reader
from fakturo.consumers.crm_feed.registry import SchemaRegistry
from fakturo.consumers.crm_feed.schema_folder import load_event_schemas
from fakturo.consumers.runtime.records import Record

EXAMPLES = Path(__file__).parent / "examples"
CASES = sorted(path.name.removesuffix(".expected.json") for path in EXAMPLES.glob("*.expected.json"))
RECORDED_AT = datetime(2026, 11, 1, 12, 1, tzinfo=UTC)


def record_of(case: str) -> Record:
    text = (EXAMPLES / f"{case}.json").read_bytes()
    found = json.loads(text)
    value = None if found["value"] is None else bytes(msgspec.json.decode(text, type=dict[str, msgspec.Raw])["value"])
    key = None if found["key"] is None else found["key"].encode()
    headers = tuple((name, text.encode()) for name, text in found["headers"].items())
    return Record(found["topic"], 0, 7, key, value, headers, RECORDED_AT)


async def read(record: Record) -> list[dict[str, Any]]:
    reader = Reader(SchemaRegistry(""), load_event_schemas(EXAMPLES / "schemas"))
    return [msgspec.to_builtins(change) for change in (await reader.read(record)).changes]


@pytest.mark.parametrize("case", CASES)
async def test_a_message_of_another_connector_becomes_the_change_records_it_tells(case: str) -> None:
    expected = json.loads((EXAMPLES / f"{case}.expected.json").read_text())
    found = await read(record_of(case))
    for got, wanted in zip(found, expected, strict=True):
        if "eventId" not in wanted:
            assert got.pop("eventId").startswith("feed/")
        assert plain(got) == wanted


def plain(change: dict[str, Any]) -> dict[str, Any]:
    """Return a record as JSON has it: tuples are lists."""
    found: dict[str, Any] = json.loads(json.dumps(change))
    return found
