"""The bus beside REST, in a whole sandbox: writes over HTTP are told, schemas are shown, a bench fills the log."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc

from fakturo.cli.sandbox.packages import deploy_folder
from fakturo.cli.sandbox.running import RunningSandbox, run_sandbox
from fakturo.producers.salesforce.pubsub_api.pubsub_api_pb2_grpc import PubSubStub
from tests.cli.sandbox.avro_by_hand import read_record
from tests.cli.sandbox.bus_world import Client, Decoded


async def call(sandbox: RunningSandbox, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    token = sandbox.org.sessions.issue(sandbox.org.user_id).token
    headers = {"Authorization": f"Bearer {token}", "Sforce-Call-Options": "client=acme"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(sandbox.rest_url + path, data, headers, method=method)
    trust = ssl.create_default_context(cafile=sandbox.ca_file) if sandbox.ca_file else None

    def send() -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, context=trust) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    return await asyncio.to_thread(send)


def client_of(sandbox: RunningSandbox, channel: grpc.aio.Channel) -> Client:
    token = sandbox.org.sessions.issue(sandbox.org.user_id).token
    headers = (("accesstoken", token), ("instanceurl", sandbox.rest_url), ("tenantid", sandbox.org_id))
    return Client(PubSubStub(channel), headers)


async def first_events(sandbox: RunningSandbox, channel: grpc.aio.Channel, count: int) -> list[Decoded]:
    stream = await client_of(sandbox, channel).earliest(100)
    return await stream.events(count)


async def test_what_is_written_over_rest_is_told_over_grpc_both_with_tls() -> None:
    async with run_sandbox() as sandbox:
        assert sandbox.ca_file is not None
        trust = grpc.ssl_channel_credentials(Path(sandbox.ca_file).read_bytes())
        status, told = await call(sandbox, "POST", "/services/data/v66.0/sobjects/Account", {"Name": "Acme"})
        assert status == 201
        async with grpc.aio.secure_channel(sandbox.pubsub_target, trust) as channel:
            (event,) = await first_events(sandbox, channel, 1)
        assert event.record_ids == [told["id"]]
        assert event.body["Name"] == "Acme"
        assert event.header["changeOrigin"] == "com/salesforce/api/rest/66.0;client=acme"


async def test_a_schema_is_shown_by_id_and_by_name_compact_and_expanded() -> None:
    async with run_sandbox(plain=True) as sandbox:
        async with grpc.aio.insecure_channel(sandbox.pubsub_target) as channel:
            entity = sandbox.org.objects["OrderItem"]
            schema_id = sandbox.bus.bus.schemas.of(entity).schema_id
            over_grpc = json.loads(await client_of(sandbox, channel).schema(schema_id))
        by_id = f"/services/data/v67.0/event/eventSchema/{schema_id}"
        by_name = "/services/data/v67.0/sobjects/OrderItemChangeEvent/eventSchema"
        for path in (by_id, by_name):
            status, compact = await call(sandbox, "GET", f"{path}?payloadFormat=COMPACT")
            assert (status, compact) == (200, {**over_grpc, "uuid": schema_id})
        status, expanded = await call(sandbox, "GET", by_id)
        assert (status, expanded["type"]) == (200, "expanded-record")
        assert [field["name"] for field in expanded["fields"]] == ["data", "channel"]
        data = expanded["fields"][0]["type"]["fields"]
        assert [field["name"] for field in data] == ["schema", "payload", "event"]
        payload = {field["name"]: field["type"] for field in data[1]["type"]["fields"]}
        assert payload["ServiceDate"] == payload["LastModifiedDate"] == ["null", "string"]
        assert payload["UnitPrice"] == ["null", "double"]


async def test_a_schema_that_is_not_there_and_an_unknown_form_are_refused() -> None:
    async with run_sandbox(plain=True) as sandbox:
        for path in ("event/eventSchema/nope", "sobjects/Account/eventSchema"):
            status, told = await call(sandbox, "GET", f"/services/data/v67.0/{path}")
            assert (status, told[0]["errorCode"]) == (404, "NOT_FOUND")
        name = "/services/data/v67.0/sobjects/AccountChangeEvent/eventSchema?payloadFormat=XML"
        assert (await call(sandbox, "GET", name))[0] == 400


async def test_a_bench_fills_the_bus_over_rest() -> None:
    async with run_sandbox(plain=True) as sandbox:
        body = {"object": "OrderItem", "count": 70, "values": {"UnitPrice": 49.9}}
        status, told = await call(sandbox, "POST", "/sandbox/events", body)
        assert (status, told["told"]) == (200, 70)
        async with grpc.aio.insecure_channel(sandbox.pubsub_target) as channel:
            events = await first_events(sandbox, channel, 70)
        assert (events[0].record_ids, events[-1].record_ids) == ([told["firstId"]], [told["lastId"]])
        for wrong in ({}, {**body, "count": 0}, {**body, "object": "Nope"}, {**body, "values": {"Nope": 1}}):
            assert (await call(sandbox, "POST", "/sandbox/events", wrong))[0] == 400


async def test_every_standard_object_has_a_schema_that_an_avro_library_takes() -> None:
    async with run_sandbox(plain=True) as sandbox, grpc.aio.insecure_channel(sandbox.pubsub_target) as channel:
        client = client_of(sandbox, channel)
        names = {name: sandbox.bus.bus.schemas.of(one) for name, one in sandbox.org.objects.items()}
        for name, schema in names.items():
            fields = [field["name"] for field in json.loads(await client.schema(schema.schema_id))["fields"]]
            assert fields[0] == "ChangeEventHeader"
            assert len(set(fields)) == len(fields)
            assert not {"Id", "IsDeleted", "SystemModstamp"} & set(fields), name
    # Reference 5: these objects have the field, their change events do not.
    absent = {"Quote": {"AccountId", "GrandTotal", "Discount"}, "OrderItem": {"TotalPrice"}}
    absent |= {"QuoteLineItem": {"ListPrice", "Subtotal", "TotalPrice"}, "PricebookEntry": {"Name", "ProductCode"}}
    for name, missing in absent.items():
        assert not missing & {field["name"] for field in json.loads(names[name].text)["fields"]}


MEMBER = """<?xml version="1.0" encoding="UTF-8"?>
<PlatformEventChannelMember xmlns="http://soap.sforce.com/2006/04/metadata">
  <eventChannel>{channel}</eventChannel><selectedEntity>{entity}ChangeEvent</selectedEntity>
</PlatformEventChannelMember>"""
OBJECT = """<?xml version="1.0" encoding="UTF-8"?>
<CustomObject xmlns="http://soap.sforce.com/2006/04/metadata"><label>{label}</label>
  <fields><fullName>Text__c</fullName><label>Text</label><type>Text</type><length>80</length></fields>
</CustomObject>"""


async def test_a_package_brings_channels_and_platform_events_and_rest_publishes_them(tmp_path: Path) -> None:
    files = {
        "objects/Secret__c.object": OBJECT.format(label="Secret"),
        "objects/Ping__e.object": OBJECT.format(label="Ping"),
        "members/a.platformEventChannelMember": MEMBER.format(channel="Sales__chn", entity="Secret__"),
        "members/b.platformEventChannelMember": MEMBER.format(channel="Sales__chn", entity="Account"),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    async with run_sandbox(plain=True) as sandbox:
        deploy_folder(sandbox.org, tmp_path)
        records = "/services/data/v67.0/sobjects"
        for path, body in (("Account", {"Name": "A"}), ("Secret__c", {"Text__c": "s"}), ("Ping__e", {"Text__c": "p"})):
            assert (await call(sandbox, "POST", f"{records}/{path}", body))[0] == 201
        assert (await call(sandbox, "POST", f"{records}/Pricebook2", {"Name": "P"}))[0] == 201
        async with grpc.aio.insecure_channel(sandbox.pubsub_target) as channel:
            client = client_of(sandbox, channel)
            told = {"/data/ChangeEvents": ["Account", "Pricebook2"], "/data/Sales__chn": ["Account", "Secret__c"]}
            for topic, names in told.items():
                stream = await client.earliest(10, topic)
                assert [event.header["entityName"] for event in await stream.events(2)] == names
            pings = await client.earliest(10, "/event/Ping__e")
            event = (await pings.response()).events[0].event
            record = read_record(await client.schema(event.schema_id), event.payload)
        assert record["Text__c"] == "p"
        assert record["CreatedById"] == sandbox.org.user_id
        assert len(sandbox.org.tables["Ping__e"]) == 0
