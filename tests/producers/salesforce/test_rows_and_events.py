"""A row that is read and the event of its creation say the same, to the letter: else a reading would be a change."""

from typing import Any

import pytest

from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce.decoding import RawEvent, decode_event, read_schema
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.producers.salesforce.row_values import plan_rows
from fakturo.producers.salesforce.subscriber import scales_of

ALL = "/data/ChangeEvents"
TOLD_APART = {"IsDeleted"}
"""What only a row has."""
ROWS: dict[str, dict[str, Any]] = {
    "Account": {
        "Name": "Käse & Söhne",
        "AnnualRevenue": 1_234_567,
        "NumberOfEmployees": 12,
        "BillingCity": "Berlin",
        "BillingStreet": "Allee 1\n2. Stock",
        "BillingLatitude": 52.520008,
        "ShippingPostalCode": "08001",
    },
    "Contact": {"FirstName": "Ada", "LastName": "Lovelace", "Email": "ada@example.org", "MailingCity": "London"},
    "Opportunity": {"Name": "Big", "StageName": "Prospecting", "CloseDate": "2026-12-31", "Amount": 1999.9},
    "Product2": {"Name": "Seat", "ProductCode": "SEAT", "IsActive": True},
    "ProductSellingModel": {"Name": "Monthly", "SellingModelType": "TermDefined", "PricingTerm": 1},
}


@pytest.mark.parametrize("entity", sorted(ROWS))
async def test_a_row_and_the_event_of_its_creation_say_the_same(sandbox: RunningSandbox, org: Org, entity: str) -> None:
    with sandbox.org.transaction() as writing:
        record_id = writing.insert(entity, ROWS[entity])
    sandbox.org.clock.advance(10)
    described = await org.describe(entity)
    plan = plan_rows(described)
    read = [plan.read(row) async for page in org.query(plan.soql(f"WHERE Id = '{record_id}'")) for row in page]
    event = _creation_of(sandbox, described)
    common = event.keys() & read[0].values.keys()
    assert {name: read[0].values[name] for name in common} == {name: event[name] for name in common}
    told = {name for name, value in read[0].values.items() if value is not None}
    assert told - event.keys() <= TOLD_APART | {"Name"}  # a person's Name is told by its parts


def _creation_of(sandbox: RunningSandbox, described: dict[str, Any]) -> dict[str, Any]:
    bus = sandbox.bus.bus
    batch = bus.read(bus.topic(ALL), bus.log.earliest, 100)
    for data in batch.events:
        consumer = pb.ConsumerEvent.FromString(_inner(data))
        schema = bus.schema(consumer.event.schema_id)
        assert schema is not None
        if schema.entity != described["name"]:
            continue
        known = read_schema(schema.schema_id, schema.text, scales_of(described))
        raw = RawEvent(
            event_id=consumer.event.id,
            schema_id=schema.schema_id,
            payload=consumer.event.payload,
            replay_id=consumer.replay_id,
        )
        return dict(decode_event(raw, known, "00D000000000001EAA").changes[0].values)
    raise AssertionError("no event was told")


def _inner(data: bytes) -> bytes:
    """Return the event of a FetchResponse's bytes, as the bus keeps them ready to be sent."""
    return bytes(pb.FetchResponse.FromString(data).events[0].SerializeToString())
