"""The format of segments: what goes in comes out, and every event is where its account is looked for."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.usage import segments
from fakturo.consumers.usage.claiming import grouped
from fakturo.consumers.usage.matching import Counted
from fakturo.consumers.usage.reading import UsageEvent
from fakturo.consumers.usage.segments import (
    BUCKET_BITS_MAX,
    Bucket,
    PackedEvent,
    StoredEvent,
    bucket_bits,
    bucket_number,
    buckets_of_account,
    month_number,
    month_of,
    pack,
    same_payload,
    segment_id,
    unpack,
    utc,
)

AT = datetime(2026, 2, 10, 10, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
VALUES = st.one_of(TEXTS, st.integers(-(2**63), 2**63), st.booleans(), st.none(), st.lists(TEXTS, max_size=3))
TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@st.composite
def events(draw: st.DrawFn) -> PackedEvent:
    """Return an event that may stand in a segment."""
    return PackedEvent(
        draw(st.sampled_from(["A", "B", "Ö", ""])),
        draw(TEXTS),
        draw(TIMES),
        draw(TEXTS),
        draw(TEXTS),
        draw(st.dictionaries(TEXTS, VALUES, max_size=4)),
        draw(TIMES),
        draw(st.integers(0, 1023)),
        draw(st.integers(0, 2**62)),
        draw(st.booleans()),
        draw(st.none() | TIMES),
    )


def facts(event: StoredEvent | PackedEvent) -> tuple[object, ...]:
    """Return what an event says, its data as an object."""
    data = msgspec.json.decode(event.data) if isinstance(event.data, bytes) else event.data
    place = (event.partition, event.offset, event.late, event.recorded_at, event.watermark_at)
    return (event.account_id, event.type, event.at, event.source, event.id, repr(data), *place)


@given(st.lists(events(), min_size=1, max_size=30))
def test_what_is_packed_is_unpacked_by_account_and_time(given_events: list[PackedEvent]) -> None:
    found = unpack(pack(list(given_events)))
    assert sorted(map(facts, found), key=repr) == sorted(map(facts, given_events), key=repr)
    keys = [(event.account_id, event.at) for event in found]
    assert keys == sorted(keys)


@given(st.lists(events(), min_size=1, max_size=30), st.sampled_from(["A", "B", "Ö", "nobody"]))
def test_one_account_and_type_are_unpacked_alone(given_events: list[PackedEvent], account_id: str) -> None:
    wanted = given_events[0].type
    found = unpack(pack(list(given_events)), account_id, frozenset({wanted}))
    expected = [one for one in given_events if one.account_id == account_id and one.type == wanted]
    assert sorted(map(facts, found), key=repr) == sorted(map(facts, expected), key=repr)


@given(TEXTS, st.integers(0, 10_000_000))
def test_an_account_is_looked_for_wherever_a_batch_of_any_size_may_have_put_it(account_id: str, count: int) -> None:
    bits = bucket_bits(count)
    assert 0 <= bits <= BUCKET_BITS_MAX
    assert (bits, bucket_number(account_id, bits)) in buckets_of_account(account_id)
    assert bucket_number(account_id, bits) < 2**bits


def test_a_batch_is_cut_into_as_many_buckets_as_leave_some_256_events_in_each() -> None:
    assert [bucket_bits(count) for count in (0, 1, 511, 512, 1024, 40_000)] == [0, 0, 0, 1, 2, 7]  # 40,000 / 128 = 312


def test_the_id_of_a_segment_says_its_month() -> None:
    month = month_number(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert month_of(segment_id(Bucket(month, 3, 5), 2**40 - 1)) == date(2026, 12, 1)


def test_a_time_of_another_offset_belongs_to_the_month_that_it_has_in_utc() -> None:
    new_year_in_tokyo = datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=9)))
    assert utc(new_year_in_tokyo) == new_year_in_tokyo
    assert month_number(utc(new_year_in_tokyo)) == 2025 * 12 + 11


def stored(data: bytes, **given_facts: object) -> StoredEvent:
    """Return an event with `data`."""
    fields: dict[str, Any] = {"account_id": "A", "type": "t", "at": AT, "source": "s", "id": "1", "recorded_at": AT}
    return StoredEvent(data=data, partition=0, offset=0, **{**fields, **given_facts})


def test_the_order_of_keys_makes_no_other_payload_and_everything_else_does() -> None:
    one = stored(b'{"a":1,"b":{"c":"x","d":2}}')
    assert same_payload(one, stored(b'{ "b": {"d":2, "c":"x"}, "a": 1 }', id="other", recorded_at=AT + timedelta(1)))
    others = [
        stored(b'{"a":2,"b":{"c":"x","d":2}}'),
        stored(b'{"a":true,"b":{"c":"x","d":2}}'),  # in Python 1 == True
        stored(b'{"a":1.0,"b":{"c":"x","d":2}}'),
        stored(one.data, at=AT + timedelta(microseconds=1)),
        stored(one.data, type="u"),
        stored(one.data, account_id="B"),
    ]
    assert not any(same_payload(one, other) for other in others)


@given(st.lists(events(), max_size=30), st.sampled_from([1, 256]))
def test_a_batch_is_cut_into_segments_by_month_and_bucket_each_by_account_and_time(
    given_events: list[PackedEvent], segment_events: int
) -> None:
    rows = [
        Counted(
            UsageEvent(Record("t", 0, number, None, None, (), AT), "s", str(number), "t", "x", one.at, {}, number),
            one.account_id,
            (),
        )
        for number, one in enumerate(given_events)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_EVENTS", segment_events)
        groups = grouped(rows)
    assert sorted(one.event.id for found in groups.values() for one in found) == sorted(one.event.id for one in rows)
    for bucket, found in groups.items():
        assert {(month_number(one.event.at), bucket_number(one.account_id, bucket.bits)) for one in found} == {
            (bucket.month, bucket.number)
        }
        keys = [(one.account_id, one.event.at, one.event.record.offset) for one in found]
        assert keys == sorted(keys)  # of the same time as they came
