"""The event log: opaque ids, positions, retention, reset."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.cli.sandbox.pubsub.log import EventLog
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb

MANY = 1_000_000


def event(name: str, payload: bytes = b"x") -> pb.ProducerEvent:
    return pb.ProducerEvent(id=name, schema_id="s", payload=payload)


def filled(count: int, topic: str = "Account") -> tuple[EventLog, list[bytes]]:
    log = EventLog()
    return log, [log.append(topic, at_ms=at, event=event(f"e{at}")) for at in range(count)]


def names(log: EventLog, position: int, topics: frozenset[str] | None = None, limit: int = MANY) -> list[str]:
    batch = log.read(position, topics, limit, MANY)
    return [one.event.id for one in pb.FetchResponse.FromString(b"".join(batch.events)).events]


def test_a_replay_id_is_eight_bytes_and_two_of_zero_and_ids_have_holes() -> None:
    _, ids = filled(50)
    assert {len(one) for one in ids} == {10}
    assert {one[8:] for one in ids} == {b"\0\0"}
    steps = {int.from_bytes(b[:8], "big") - int.from_bytes(a[:8], "big") for a, b in itertools.pairwise(ids)}
    assert min(steps) >= 1
    assert len(steps) > 5


def test_reading_from_an_id_gives_what_came_after_it() -> None:
    log, ids = filled(5)
    position = log.position_after(ids[2])
    assert position is not None
    assert names(log, position) == ["e3", "e4"]
    assert log.position_after(ids[4]) == log.end


@pytest.mark.parametrize(
    "wrong",
    [b"", b"\0" * 10, b"12345678", b"not an id at all"],
    ids=["empty", "never given out", "without its end", "text"],
)
def test_an_id_that_was_never_given_out_has_no_position(wrong: bytes) -> None:
    log, _ = filled(5)
    assert log.position_after(wrong) is None


def test_an_id_that_somebody_computed_has_no_position() -> None:
    log, ids = filled(200)
    known = set(ids)
    computed = [(int.from_bytes(one[:8], "big") + 1).to_bytes(8, "big") + b"\0\0" for one in ids]
    guesses = [one for one in computed if one not in known]
    assert len(guesses) > 100
    assert all(log.position_after(one) is None for one in guesses)


def test_what_is_older_than_the_retention_cannot_be_read_and_its_id_is_lost() -> None:
    log, ids = filled(5)
    log.expire(before_ms=3)
    assert names(log, 0) == ["e3", "e4"]
    assert log.position_after(ids[2]) is None
    assert log.position_after(ids[3]) is not None


def test_a_position_without_an_event_can_be_resumed_from_and_is_never_read() -> None:
    log, _ = filled(2)
    mark = log.mark(at_ms=2)
    log.append("Account", 3, event("later"))
    position = log.position_after(mark)
    assert position is not None
    assert names(log, position) == ["later"]
    assert names(log, 0) == ["e0", "e1", "later"]


def test_events_may_share_an_id_and_resuming_from_it_skips_all_of_them() -> None:
    log = EventLog()
    first = log.append("Account", 0, event("a"))
    second = log.append("Account", 0, event("b"), shared_id=True)
    log.append("Account", 0, event("c"))
    assert first == second
    position = log.position_after(first)
    assert position is not None
    assert names(log, position) == ["c"]


def test_a_reset_forgets_events_and_ids_and_new_ids_have_no_relation_to_old_ones() -> None:
    log, ids = filled(1000)
    known = set(ids)
    order = []
    for _ in range(6):
        log.reset()
        assert all(log.position_after(one) is None for one in known)
        fresh = [log.append("Account", 0, event("new")) for _ in range(50)]
        assert not known & set(fresh)
        known |= set(fresh)
        order.append(fresh[0])
    assert order != sorted(order)
    assert names(log, 0) == ["new"] * 50


def test_a_topic_has_its_own_events_and_platform_events_are_no_change_events() -> None:
    log = EventLog()
    for number, topic in enumerate(["Account", "Order", "/event/Ping__e", "Account"]):
        log.append(topic, number, event(f"{number}"))
    assert names(log, 0) == ["0", "1", "3"]
    assert names(log, 0, frozenset({"Account"})) == ["0", "3"]
    assert names(log, 0, frozenset({"/event/Ping__e"})) == ["2"]
    assert names(log, 0, frozenset({"Product2"})) == []


def test_a_response_keeps_below_its_size_but_always_has_one_event() -> None:
    log = EventLog()
    for number in range(4):
        log.append("Account", number, event(f"{number}", b"x" * 1000))
    assert len(log.read(0, None, 100, max_bytes=2_500).events) == 2
    assert len(log.read(0, None, 100, max_bytes=10).events) == 1


def test_copies_for_a_bench_differ_in_id_and_in_the_bytes_that_change() -> None:
    log = EventLog()
    changes = [{b"AAAA": f"{number:04d}".encode()} for number in range(3)]
    assert log.append_like("Account", 7, event("u-AAAA", b"record AAAA"), changes) == 3
    response = pb.FetchResponse.FromString(b"".join(log.read(0, None, MANY, MANY).events))
    assert [one.event.payload for one in response.events] == [b"record 0000", b"record 0001", b"record 0002"]
    assert [one.event.id for one in response.events] == ["u-0000", "u-0001", "u-0002"]
    assert log.position_after(response.events[1].replay_id) == 2


@given(
    st.lists(st.sampled_from(["Account", "Order", "mark", "expire", "reset"]), max_size=60),
    st.integers(min_value=1, max_value=7),
)
def test_reading_in_parts_gives_every_readable_event_once_in_order(steps: list[str], limit: int) -> None:
    log, model = EventLog(), list[tuple[int, str, str]]()
    for at, step in enumerate(steps):
        if step == "mark":
            log.mark(at)
        elif step == "expire":
            log.expire(before_ms=at - 5)
            model = [one for one in model if one[0] >= at - 5]
        elif step == "reset":
            log.reset()
            model = []
        else:
            log.append(step, at, event(f"{at}"))
            model.append((at, step, f"{at}"))
    for topics in (None, frozenset({"Order"})):
        position, read = log.earliest, list[str]()
        while position < log.end:
            batch = log.read(position, topics, limit, MANY)
            read += [one.event.id for one in pb.FetchResponse.FromString(b"".join(batch.events)).events]
            assert len(batch.events) <= limit
            assert batch.position > position
            position = batch.position
        assert read == [name for _, topic, name in model if topics is None or topic in topics]
