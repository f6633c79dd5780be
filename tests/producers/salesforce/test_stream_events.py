"""What the stream makes of single events: gaps, echoes, repeats, what cannot be decoded, schemas, money."""

import json

from fakturo.producers.salesforce.position import StreamPosition
from tests.producers.salesforce.change_events import ACCOUNT_ID, account_schema, header, payload
from tests.producers.salesforce.fake_bus import SCHEMA_ID, FakeBus
from tests.producers.salesforce.running_stream import filled, running


async def test_gaps_are_published_as_they_are_and_asked_for_in_the_same_transaction() -> None:
    bus = filled()
    bus.add(payload(account_schema(), header(changeType="GAP_UPDATE")), event_id="gap")
    bus.add(payload(account_schema(), header(changeType="GAP_UPDATE", recordIds=["001*"])), event_id="wild")
    bus.add(
        payload(account_schema(), header(changeType="GAP_OVERFLOW", recordIds=["000000000000000AAA"])), event_id="flow"
    )
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: len(run.publisher.requests()) == 3)
        gap, wild, flow = run.publisher.requests()
        assert (gap.record_ids, gap.gap_ms, gap.reason, gap.request_id) == ((ACCOUNT_ID,), 1793534400000, "gap", "gap")
        assert (wild.record_ids, wild.reason) == (None, "gap")
        assert (flow.record_ids, flow.reason) == (None, "overflow")
        kinds = [dict(one.headers)["sf-change-type"] for one in run.publisher.records if one.topic == "sf.cdc.Account"]
        assert kinds == [b"GAP_UPDATE", b"GAP_UPDATE", b"GAP_OVERFLOW"]


async def test_echoes_and_what_the_bus_tells_twice_are_dropped_but_their_position_is_kept() -> None:
    schema = account_schema(("Fakturo_MRR__c", ["null", "double"], "Data:Double:00N"))
    bus = FakeBus(schemas={SCHEMA_ID: schema})
    ours = header(changedFields=["0x100000"], changeOrigin="com/salesforce/api/rest/67.0;client=fakturo")
    bus.add(payload(schema, ours, Fakturo_MRR__c=1.0))
    bus.add_fax("once")
    bus.log.append(bus.log[-1].__class__(event=bus.log[-1].event, replay_id=(2).to_bytes(8, "big")))
    bus.add_fax("last")
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: "last" in run.publisher.faxes())
        assert run.publisher.faxes() == ["once", "last"]
        position = run.publisher.position
    async with running(bus, position) as again:
        await again.until(lambda: bool(again.publisher.transactions))
        assert again.publisher.faxes() == [], "what comes again after a restart is known"


async def test_events_that_share_a_replay_id_are_not_lost_where_the_stream_breaks_between_them() -> None:
    bus = filled("1", "2")
    bus.keepalive_seconds = 3600
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["1", "2"])
        position = run.publisher.position
    bus.add(payload(account_schema(), header(changedFields=["0x80"]), Fax="shares"), event_id="event-1b", shared=True)
    async with running(bus, position) as run:
        await run.until(lambda: run.publisher.faxes() == ["shares"])


async def test_an_event_that_cannot_be_decoded_is_a_dead_letter_and_the_stream_goes_on() -> None:
    bus = filled()
    bus.add(b"\xff\xff\xff", event_id="broken")
    bus.add(payload(account_schema(), header(changedFields=["0xZZ"])), event_id="bits")
    bus.add_fax("goes on")
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["goes on"])
        letters = [one for one in run.publisher.records if one.topic == "sf.cdc.other.dlq"]
        assert [one.key for one in letters] == [b"broken", b"bits"]
        assert json.loads(letters[0].value)["payload"] == "////"
        headers = dict(letters[0].headers)
        assert headers["fakturo-dlq-reason"] == b"unknown_shape"
        assert headers["__dlq.errors.topic"] == b"sf.cdc.Account"
        whole, one = run.publisher.requests()
        assert (whole.entity, whole.record_ids, whole.reason) == ("Account", None, "undecodable")
        assert (one.record_ids, one.gap_ms) == ((ACCOUNT_ID,), 1793534400000)


async def test_a_schema_that_changes_in_mid_stream_is_read_once_each() -> None:
    wider = account_schema(("New__c", ["null", "string"], "Data:Text:00N"))
    bus = FakeBus(schemas={SCHEMA_ID: account_schema(), "schema-2": wider})
    bus.add_fax("old")
    bus.add(payload(wider, header(changedFields=["0x100080"]), Fax="new", New__c="here"), schema_id="schema-2")
    bus.add_fax("old again")
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["old", "new", "old again"])
        assert bus.schema_requests == [SCHEMA_ID, "schema-2"]


async def test_a_schema_that_nobody_may_read_stands_still_before_the_event() -> None:
    bus = filled("1")
    bus.add(payload(account_schema(), header()), schema_id="unknown")
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        assert "schema.validation.failed" in (run.progress.stopped or "")
        bus.schemas["unknown"] = account_schema()
        bus.add_fax("after it")
        await run.until(lambda: "after it" in run.publisher.faxes())
        assert run.publisher.faxes() == ["1", "after it"]


async def test_money_is_rounded_to_the_scale_that_describe_tells() -> None:
    bus = filled()
    bus.add(payload(account_schema(), header(changedFields=["0x0180"]), AnnualRevenue=49.9, Fax="x"))
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["x"])
        assert json.loads(run.publisher.records[0].value)["values"]["AnnualRevenue"] == "49.90"
