"""The agent over a transaction in memory: what goes out, to which partition, and what is dropped or asked for."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from fakturo.consumers.crm_feed.app import create
from fakturo.consumers.crm_feed.handler import CrmFeedAgent
from fakturo.consumers.crm_feed.reading import Reader
from fakturo.consumers.crm_feed.registry import SchemaRegistry
from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchemas
from fakturo.consumers.runtime.errors import SettingsFault, WorldAway
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.salesforce.resync_requests import decode_request

ORG = "00D000000000062EAA"
RECORD = "801D000000AbcdeIAB"
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
HEADER = {
    "entityName": "Order",
    "recordIds": [RECORD],
    "changeType": "UPDATE",
    "changedFields": ["Status"],
    "commitTimestamp": 1793534400000,
    "changeOrigin": "com/salesforce/api/rest/67.0;client=Astro",
}
PARTITIONS = 4


def message(values: dict[str, Any] | None = None, *, offset: int = 0, topic: str = "sfdc", **header: Any) -> Record:
    body = {"ChangeEventHeader": HEADER | header, **({"Status": "Activated"} if values is None else values)}
    return Record(topic, 0, offset, None, json.dumps(body).encode(), (), AT)


def agent(org: str | None = ORG, registry: str = "") -> CrmFeedAgent:
    return CrmFeedAgent(Reader(SchemaRegistry(registry), EventSchemas()), org=org, client_name="fakturo")


async def handled(*records: Record, by: CrmFeedAgent | None = None) -> Transaction:
    tx = Transaction("crm_feed", None, None, PARTITIONS)  # type: ignore[arg-type]
    await (by or agent()).handle(records, tx)
    return tx


async def test_a_change_goes_to_its_objects_topic_in_the_partition_of_its_record() -> None:
    tx = await handled(message(), message(entityName="Case", recordIds=["500D000000AbcdeIAB"]))
    order, case = tx.outbox
    assert (order.topic, order.key, order.partition) == (
        "sf.cdc.Order",
        RECORD.encode(),
        partition_for(RECORD, PARTITIONS),
    )
    assert order.headers == (("sf-entity", b"Order"), ("sf-change-type", b"UPDATE"), ("sf-org", ORG.encode()))
    assert decode_change(order.value).values == {"Status": "Activated"}
    assert decode_change(order.value).org == ORG
    assert case.topic == "sf.cdc.other"


async def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on() -> None:
    bad = Record("sfdc", 2, 5, b"k", b"{}", (("h", b"1"),), AT)
    tx = await handled(message(), bad, message(offset=2))
    assert [row.topic for row in tx.outbox] == ["sf.cdc.Order", "sfdc.dlq", "sf.cdc.Order"]
    assert tx.outbox[1].partition == 2
    assert (tx.outbox[1].key, tx.outbox[1].value) == (b"k", b"{}")
    assert [(rejection.record.offset, rejection.reason) for rejection in tx.rejections] == [(5, "unknown_shape")]


async def test_a_gap_is_passed_on_as_it_is_and_read_again() -> None:
    tx = await handled(message({}, changeType="GAP_UPDATE", changedFields=[], recordIds=[RECORD, "801D000000AbcdfIAB"]))
    first, second, asked = tx.outbox
    assert decode_change(first.value).changeType == decode_change(second.value).changeType == "GAP_UPDATE"
    assert (asked.topic, asked.partition, asked.key) == ("sf.resync", 0, b"Order")
    request = decode_request(asked.value or b"")
    assert (request.org, request.entity, request.reason) == (ORG, "Order", "gap")
    assert request.record_ids == (RECORD, "801D000000AbcdfIAB")
    assert request.gap_ms == 1793534400000
    assert request.request_id == f"crm_feed/{decode_change(first.value).eventId}"


@pytest.mark.parametrize(("kind", "record_id"), [("GAP_OVERFLOW", "000000000000000AAA"), ("GAP_UPDATE", "801*")])
async def test_where_nobody_or_everybody_is_named_the_whole_object_is_read_again(kind: str, record_id: str) -> None:
    tx = await handled(message({}, changeType=kind, changedFields=[], recordIds=[record_id]))
    change, asked = tx.outbox
    assert decode_change(change.value).recordId == record_id
    assert decode_request(asked.value or b"").record_ids is None


async def test_a_text_diff_is_read_again_too_and_an_ordinary_change_is_not() -> None:
    tx = await handled(message({"Description": {"diff": "--- \n+++"}}, changedFields=["Description"]), message())
    assert [row.topic for row in tx.outbox] == ["sf.cdc.Order", "sf.resync", "sf.cdc.Order"]
    assert decode_request(tx.outbox[1].value or b"").reason == "text_diff"


async def test_without_an_org_nobody_can_be_asked() -> None:
    tx = await handled(message({}, changeType="GAP_UPDATE", changedFields=[]), by=agent(org=None))
    assert [row.topic for row in tx.outbox] == ["sf.cdc.Order"]
    assert ("sf-org", b"") in tx.outbox[0].headers


async def test_an_echo_of_our_own_write_is_dropped_and_counted() -> None:
    ours = {"changeOrigin": "com/salesforce/api/rest/67.0;client=fakturo", "entityName": "Account"}
    fields = {"Fakturo_MRR__c": 5, "LastModifiedDate": "2026-11-01T12:00:00.000Z"}
    record = "001D000000IRFmaIAH"
    echo = message(fields, changedFields=list(fields), recordIds=[record], topic="echoes", **ours)
    mixed = message(fields | {"Name": "A"}, changedFields=[*fields, "Name"], recordIds=[record], topic="echoes", **ours)
    tx = await handled(echo, mixed)
    assert [decode_change(row.value).changed for row in tx.outbox] == [("Fakturo_MRR__c", "LastModifiedDate", "Name")]
    tx.tell_committed()
    assert REGISTRY.get_sample_value("fakturo_crm_feed_echoes_total", {"topic": "echoes"}) == 1


async def test_a_replayed_dead_letter_is_known_as_the_message_it_was() -> None:
    first = message()
    again = msgspec.structs.replace(first, topic="sf.retry", offset=99, headers=(("fakturo-origin-topic", b"sfdc"),))
    tx = await handled(first, again)
    assert tx.outbox[0].value == tx.outbox[1].value


async def test_a_registry_that_is_away_stops_the_batch_and_loses_nothing() -> None:
    framed = Record("sfdc", 0, 1, None, b"\x00\x00\x00\x00\x07abc", (), AT)
    with pytest.raises(WorldAway):
        await handled(message(), framed, by=agent(registry="http://127.0.0.1:1"))


def settings(**more: Any) -> Settings:
    return Settings(kafka="a:1", DATABASE_URL="postgresql://a", **more)


def test_it_is_not_started_without_topics_or_with_one_of_ours() -> None:
    with pytest.raises(SettingsFault, match="names no topic"):
        create(settings())
    with pytest.raises(SettingsFault, match=r"sf\.cdc\.Order is ours"):
        create(settings(crm_topics="sfdc,sf.cdc.Order"))


def test_it_reads_the_foreign_topics_and_what_people_put_back() -> None:
    app = create(settings(crm_topics="sfdc, sfdc.Order"))
    assert app.feed.topics == ["sf.retry", "sfdc", "sfdc.Order"]
    assert app.feed.foreign_topics == {"sfdc", "sfdc.Order"}
