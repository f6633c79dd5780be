"""The stream against a bus that says what the test wants: credit, keep-alives, transactions, the position."""

import asyncio

import grpc
from structlog.testing import capture_logs

from fakturo.producers.salesforce.position import ReplayPlace, StreamPosition
from fakturo.producers.salesforce.stream_session import Tempo
from tests.producers.salesforce.change_events import ACCOUNT_ID, account_schema, header, payload
from tests.producers.salesforce.fake_bus import refusal
from tests.producers.salesforce.running_stream import FakePublisher, at, filled, running


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
