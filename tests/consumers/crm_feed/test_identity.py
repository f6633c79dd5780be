"""Who is told of, and by which id the same message is known again; properties of explosion, ids and values."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakturo.consumers.crm_feed.shapes.canonical import records_of
from fakturo.consumers.crm_feed.shapes.field_kinds import FieldKinds
from fakturo.consumers.crm_feed.shapes.message import Message, Told
from fakturo.consumers.crm_feed.shapes.times import day_text, in_utc, milliseconds_of
from fakturo.consumers.crm_feed.shapes.values import canonical_value
from fakturo.schemas.codec import encode
from fakturo.schemas.events.change_data import ChangeRecord, Commit, decode_change
from fakturo.schemas.salesforce.avro_fields import INEXACT
from fakturo.schemas.salesforce_ids import long_id

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
short_ids = st.text(ALPHABET, min_size=15, max_size=15)
numbers = st.decimals(allow_nan=False, allow_infinity=False)
values = st.dictionaries(
    st.sampled_from(["Name", "Phone", "Fax", "Amount__c", "BillingCity"]),
    st.none()
    | st.booleans()
    | st.text(max_size=5)
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False),
    min_size=1,
)
KINDS = FieldKinds()


def told(record_ids: tuple[str, ...], found: dict[str, Any], **more: Any) -> Told:
    commit = more.pop("commit", Commit(ts=1_700_000_000_000, tx="t", seq=1))
    return Told(
        src="cometd",
        entity="Account",
        record_ids=record_ids,
        kind=more.pop("kind", "UPDATE"),
        commit=commit,
        values=found,
        null_is_value=True,
        **more,
    )


def read(what: Told, topic: str = "sfdc") -> tuple[ChangeRecord, ...]:
    return records_of(what, Message(topic=topic, recorded_ms=5), KINDS)


@given(st.lists(short_ids, min_size=1, max_size=20), values, st.randoms())
def test_one_record_is_told_once_for_each_of_its_ids_however_they_are_written(
    ids: list[str], found: dict[str, Any], chance: Any
) -> None:
    written = tuple(long_id(one) if chance.random() < 0.5 else one for one in ids)
    records = read(told(written, found))
    assert [one.recordId for one in records] == list(dict.fromkeys(long_id(one) for one in ids))
    assert len({(one.eventId, one.recordId) for one in records}) == len(records)
    assert len({encode(one.values) for one in records}) == 1


@given(st.lists(short_ids, min_size=1, max_size=5), values)
def test_what_is_published_can_be_read_by_the_contracts_agent(ids: list[str], found: dict[str, Any]) -> None:
    for record in read(told(tuple(ids), found)):
        assert decode_change(encode(record)) == record


@given(short_ids, values, st.text(max_size=8), st.text(max_size=8))
def test_the_same_message_has_the_same_id_wherever_it_lies(
    record_id: str, found: dict[str, Any], one: str, other: str
) -> None:
    first = read(told((record_id,), found, replay_id=one))[0]
    second = read(told((record_id,), found, replay_id=other))[0]
    assert first.eventId == second.eventId


@given(short_ids, values)
def test_another_content_commit_or_topic_has_another_id(record_id: str, found: dict[str, Any]) -> None:
    base = read(told((record_id,), found))[0].eventId
    later = Commit(ts=1_700_000_001_000, tx="t", seq=1)
    second = Commit(ts=1_700_000_000_000, tx="t", seq=2)
    others = {
        read(told((record_id,), found, commit=later))[0].eventId,
        read(told((record_id,), found, commit=second))[0].eventId,
        read(told((record_id,), found), topic="another")[0].eventId,
        read(told((record_id,), {**found, "Website": "w"}))[0].eventId,
        read(told((record_id,), found, kind="CREATE"))[0].eventId,
    }
    assert len({base, *others}) == 6


def test_an_events_own_uuid_is_its_id() -> None:
    assert read(told(("001D000000IRFma",), {"Fax": "1"}, event_uuid="u-1"))[0].eventId == "u-1"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_a_number_becomes_decimal_text_of_the_same_value(number: Decimal) -> None:
    assert Decimal(str(canonical_value(number, "", "x"))) == number


@given(st.integers(-(10**13) + 1, 10**13 - 1))
def test_cents_survive_their_way_through_a_double(cents: int) -> None:
    amount = Decimal(cents) / 100
    assert Decimal(str(canonical_value(float(amount), "", "x"))) == amount


def test_a_double_that_may_have_lost_digits_is_left_out_and_named() -> None:
    assert canonical_value(12345678901234.56, "", "x") is INEXACT
    record = read(told(("001D000000IRFma",), {"Amount__c": 12345678901234.56, "Fax": "1"}))[0]
    assert (record.values, record.diff, record.changed) == ({"Fax": "1"}, ("Amount__c",), ("Amount__c", "Fax"))


def test_days_and_midnights_are_the_same_date() -> None:
    # 20605 days after 1970-01-01 are 2026-06-01; 86400000 ms a day.
    assert day_text(20605) == day_text(20605 * 86_400_000) == "2026-06-01"
    assert day_text(-1) == day_text(-86_400_000) == "1969-12-31"


def test_an_instant_is_the_same_in_every_way_of_writing_it() -> None:
    written = (1793534400000, "1793534400000", "2026-11-01T12:00:00Z", "2026-11-01T13:00:00.000+0100")
    assert {milliseconds_of(one, "$") for one in written} == {1793534400000}
    assert in_utc("2026-11-01T13:00:00.000+0100") == in_utc("2026-11-01T12:00:00+00:00") == "2026-11-01T12:00:00.000Z"
    assert in_utc("2026-11-01") == "2026-11-01"
    assert datetime.fromtimestamp(1793534400, UTC).isoformat() == "2026-11-01T12:00:00+00:00"
