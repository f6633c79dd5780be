"""The stream against a bus that says what the test wants: credit, keep-alives, every kind of end, the position."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from fakturo.producers.salesforce.position import ReplayPlace, StreamPosition, decode_position
from fakturo.producers.salesforce.progress import StreamProgress
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.resync_requests import decode_request
from fakturo.producers.salesforce.stream import Pauses, Stream
from fakturo.producers.salesforce.stream_session import Tempo
from tests.producers.salesforce.change_events import ACCOUNT_ID, account_schema, header, payload
from tests.producers.salesforce.fake_bus import SCHEMA_ID, FakeBus, FakeOrg, refusal, serving

QUICK = Pauses(first=0.01, most=0.05, slow_down=0.02, administrator=0.05)


@dataclass
class FakePublisher:
    """Takes transactions; `gate` holds them back while it is not set."""

    transactions: list[tuple[list[Outgoing], StreamPosition]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, records: Any, position: bytes) -> None:
        await self.gate.wait()
        self.transactions.append((list(records), decode_position(position)))

    @property
    def records(self) -> list[Outgoing]:
        return [record for records, _ in self.transactions for record in records]

    def faxes(self) -> list[str]:
        changes = [json.loads(one.value) for one in self.records if one.topic == "sf.cdc.Account"]
        return [change["values"]["Fax"] for change in changes if change["values"]]

    def requests(self) -> list[Any]:
        return [decode_request(one.value) for one in self.records if one.topic == "sf.resync"]

    @property
    def position(self) -> StreamPosition:
        return self.transactions[-1][1]


@dataclass
class Running:
    bus: FakeBus
    org: FakeOrg
    publisher: FakePublisher
    stream: Stream
    progress: StreamProgress
    task: asyncio.Task[None]

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(
    bus: FakeBus,
    position: StreamPosition | None = None,
    *,
    tempo: Tempo | None = None,
    publisher: FakePublisher | None = None,
    org_setting: Callable[[FakeOrg], None] = lambda org: None,
    **settings: Any,
) -> AsyncIterator[Running]:
    async with serving(bus) as target:
        org, progress = FakeOrg(target, **settings), StreamProgress()
        org_setting(org)
        if publisher is None:
            publisher = FakePublisher()
            publisher.gate.set()
        stream = Stream(
            org,  # type: ignore[arg-type]
            publisher,  # type: ignore[arg-type]
            progress,
            position,
            partitions=2,
            entities=("Account", "Order"),
            tempo=tempo,
            pauses=QUICK,
        )
        task = asyncio.create_task(stream.run())
        try:
            yield Running(bus, org, publisher, stream, progress, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def at(number: int) -> StreamPosition:
    return StreamPosition(replay_id=base64.b64encode(number.to_bytes(8, "big")).decode(), at_ms=0)


def filled(*faxes: str) -> FakeBus:
    bus = FakeBus()
    for fax in faxes:
        bus.add_fax(fax)
    return bus


async def test_a_first_start_asks_for_every_object_with_the_first_position_and_streams_on_from_there() -> None:
    bus = filled("before the start")
    async with running(bus) as run:
        await run.until(lambda: bool(run.publisher.transactions))
        assert [one.entity for one in run.publisher.requests()] == ["Account", "Order"]
        assert {one.record_ids for one in run.publisher.requests()} == {None}
        assert {one.reason for one in run.publisher.requests()} == {"first_start"}
        assert len(run.publisher.transactions[0][0]) == 2, "the requests lie in the transaction of the first position"
        bus.add_fax("after")
        await run.until(lambda: run.publisher.faxes() == ["after"])
        assert len(run.publisher.requests()) == 2
    assert [one.replay_preset for one in bus.opened] == [0]  # LATEST


async def test_it_goes_on_from_the_stored_position_and_keeps_the_positions_of_silence_too() -> None:
    bus = filled("1", "2", "3")
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["2", "3"])
        kept = len(run.publisher.transactions)
        await run.until(lambda: len(run.publisher.transactions) > kept)
        assert run.publisher.transactions[-1][0] == []
        assert run.publisher.position.replay_bytes == (2).to_bytes(8, "big")
        assert run.publisher.requests() == []
        # What the org's clock said when it had nothing more to tell: 2026-11-01T13:00Z.
        assert run.progress.passed_ms == 1793538000000
    assert bus.opened[0].replay_preset == 2  # CUSTOM


async def test_records_are_partitioned_by_record_id_and_carry_the_headers_to_route_by() -> None:
    bus = filled()
    bus.add(
        payload(account_schema(), header(recordIds=[ACCOUNT_ID, "0015f00002AbCdFAAV"], changedFields=["0x80"]), Fax="1")
    )
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["1", "1"])
        first, second = run.publisher.records
        assert (first.key, second.key) == (ACCOUNT_ID.encode(), b"0015f00002AbCdFAAV")
        assert dict(first.headers) == {
            "sf-entity": b"Account",
            "sf-change-type": b"UPDATE",
            "sf-org": b"00D000000000001EAA",
        }
        assert first.timestamp_ms == 1793534400000


async def test_credit_never_passes_100_and_grows_only_after_kafka_has_acknowledged() -> None:
    bus = filled(*(str(number) for number in range(250)))
    publisher = FakePublisher()
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0), publisher=publisher) as run:
        await asyncio.sleep(0.5)
        assert bus.opened[0].num_requested == 100
        assert bus.fetched == [], "Kafka has not acknowledged anything"
        publisher.gate.set()
        await run.until(lambda: len(publisher.faxes()) == 250)
        assert publisher.faxes() == [str(number) for number in range(250)]
        assert all(0 < number <= 100 for number in bus.fetched)
        assert 100 + sum(bus.fetched) <= 250 + 100


async def test_several_responses_go_into_one_transaction_while_kafka_is_slow() -> None:
    bus = filled("1")
    publisher = FakePublisher()
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0), publisher=publisher) as run:
        for number in range(2, 6):
            await asyncio.sleep(0.1)
            bus.add_fax(str(number))
        await asyncio.sleep(0.2)
        publisher.gate.set()
        await run.until(lambda: len(publisher.faxes()) == 5)
        assert len(publisher.transactions) <= 3


async def test_a_stream_without_credit_is_closed_on_purpose_and_opened_again_when_kafka_is_back() -> None:
    bus = filled(*(str(number) for number in range(150)))
    publisher = FakePublisher()
    tempo = Tempo(no_credit=0.2, watch=0.05)
    async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0), publisher=publisher, tempo=tempo) as run:
        with capture_logs() as logs:
            await run.until(lambda: any("closed on purpose" in entry["event"] for entry in logs))
        await asyncio.sleep(0.2)
        assert len(bus.opened) == 1, "not opened again while Kafka is away"
        publisher.gate.set()
        await run.until(lambda: len(publisher.faxes()) == 150)
        assert publisher.faxes() == [str(number) for number in range(150)], "nothing lost, nothing twice"
        assert len(bus.opened) == 2


async def test_a_stream_that_says_nothing_is_opened_again() -> None:
    bus = filled("1")
    bus.keepalive_seconds = 3600
    async with running(bus, at(0), tempo=Tempo(silence=0.2, watch=0.05)) as run:
        await run.until(lambda: len(bus.opened) >= 3)
        bus.add_fax("2")
        await run.until(lambda: run.publisher.faxes() == ["2"])


@pytest.mark.parametrize(
    ("suffix", "status"),
    [
        ("service.unavailable", grpc.StatusCode.UNAVAILABLE),
        ("subscription.internal.error", grpc.StatusCode.INTERNAL),
        ("subscription.fetch.replay.repeated", grpc.StatusCode.ABORTED),
        ("service.protection.triggered", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_what_passes_is_tried_again_from_the_stored_position(suffix: str, status: grpc.StatusCode) -> None:
    bus = filled("1", "2")
    bus.script = [(status, suffix)] * 3
    label = suffix or "other"
    before = REGISTRY.get_sample_value("fakturo_salesforce_reconnects_total", {"error": label}) or 0
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert len(bus.opened) == 4
        assert {one.replay_id for one in bus.opened} == {(0).to_bytes(8, "big")}
    assert REGISTRY.get_sample_value("fakturo_salesforce_reconnects_total", {"error": label}) == before + 3


async def test_a_refused_token_is_renewed_and_the_stream_goes_on() -> None:
    bus = filled("1", "2")
    bus.script = [refusal("service.auth.error", grpc.StatusCode.UNAUTHENTICATED)]
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert run.org.tokens_given == 2
        assert bus.tokens[-1] == "planted-token-2"
        assert run.progress.stopped is None


async def test_tokens_that_never_help_make_it_unready_and_it_recovers_by_itself() -> None:
    bus = filled("1", "2")
    bus.script = [refusal("service.auth.error", grpc.StatusCode.UNAUTHENTICATED)] * 6
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        assert run.progress.check()[0] is False
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert run.progress.check()[0] is True


@pytest.mark.parametrize(
    "suffix",
    [
        "topic.not.found",
        "subscription.limit.exceeded",
        "concurrent.client.limit.exceeded",
        "subscription.fetch.overflow",
    ],
)
async def test_what_a_person_must_look_at_stands_still_unready_and_is_looked_at_again(suffix: str) -> None:
    bus = filled("1", "2")
    bus.script = [refusal(suffix)] * 2
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        ready, says = run.progress.check()
        assert not ready
        assert suffix in says
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert run.progress.check()[0] is True


async def test_a_channel_that_cannot_be_subscribed_to_is_a_configuration_error() -> None:
    bus = filled("1", "2")
    bus.can_subscribe = False
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        assert "can't be subscribed to" in (run.progress.stopped or "")
        assert bus.opened == []


async def test_a_lost_position_asks_for_everything_again_and_never_for_the_same_position_twice() -> None:
    bus = filled("1", "2", "3")
    bus.first_known = 2
    async with running(bus, at(0)) as run:
        await run.until(lambda: bool(run.publisher.transactions))
        assert {one.reason for one in run.publisher.requests()} == {"position_lost"}
        assert [one.entity for one in run.publisher.requests()] == ["Account", "Order"]
        bus.add_fax("4")
        await run.until(lambda: run.publisher.faxes() == ["4"])
        lost = [one for one in bus.opened if one.replay_id == (0).to_bytes(8, "big")]
        assert len(lost) == 1


@pytest.mark.parametrize(("policy", "faxes"), [("latest", ["4"]), ("earliest", ["3", "4"])])
async def test_a_lost_position_does_what_the_setting_says(policy: str, faxes: list[str]) -> None:
    bus = filled("1", "2", "3")
    bus.first_known = 2
    async with running(bus, at(0), replay_policy=policy) as run:
        await run.until(lambda: bool(run.publisher.transactions))
        bus.add_fax("4")
        await run.until(lambda: run.publisher.faxes() == faxes)
        assert run.publisher.requests() == []


async def test_policy_fail_stands_still_and_asks_for_nothing() -> None:
    bus = filled("1", "2", "3")
    bus.first_known = 2
    async with running(bus, at(0), replay_policy="fail") as run:
        await run.until(lambda: run.progress.stopped is not None)
        await asyncio.sleep(0.3)
        assert len(bus.opened) == 1
        assert "FAKTURO_SALESFORCE_REPLAY_POLICY" in run.progress.check()[1]
        assert run.publisher.transactions == []


async def test_a_stream_reset_that_refuses_latest_too_is_no_loop_of_lost_positions() -> None:
    bus = filled("1")
    bus.script = [refusal("subscription.fetch.replayid.corrupted")] * 3
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        await run.until(lambda: bool(run.publisher.transactions))
        assert {one.reason for one in run.publisher.requests()} == {"position_lost"}


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


async def test_no_secret_reaches_a_log_a_record_a_position_or_a_health_sentence() -> None:
    bus = filled("1")
    bus.add(b"\xff", event_id="broken")
    bus.script = [refusal("topic.not.found"), refusal("service.auth.error", grpc.StatusCode.UNAUTHENTICATED)]
    told: list[str] = []
    with capture_logs() as logs:
        async with running(bus, StreamPosition(replay_id="AHN0YXJ0", at_ms=0)) as run:
            await run.until(lambda: run.progress.stopped is not None)
            told.append(run.progress.check()[1])
            await run.until(lambda: run.publisher.faxes() == ["1"])
            told += [repr(one) for one in run.publisher.transactions]
            told += [repr(run.stream), repr(run.org.settings), repr(await run.org.token())]
    told.append(repr(logs))
    assert any("***" in text for text in told), "the server did quote the token"
    assert [text for text in told if "planted" in text] == []


def test_the_safe_replay_id_is_the_last_before_the_newest_until_the_org_has_nothing_more() -> None:
    place = ReplayPlace()
    assert place.safe is None
    place.passed(b"1")
    assert place.safe == b"1", "there is no other"
    place.passed(b"2")
    place.passed(b"2")
    assert place.safe == b"1"
    place.passed(b"9")
    assert place.safe == b"2"
    place.settled(b"11")
    assert place.safe == b"11"
