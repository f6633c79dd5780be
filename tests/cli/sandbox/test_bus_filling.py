"""Many events at once, for a bench: each is a real event of a record of its own."""

import pytest

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.cli.sandbox.pubsub.filling import fill
from tests.cli.sandbox.bus_world import NOW_MS, logged, small_org


def test_each_event_has_a_record_and_a_uuid_of_its_own() -> None:
    org = small_org()
    bus = EventBus(org)
    first, last = fill(bus, "OrderItem", {"UnitPrice": "49.90", "ServiceDate": "2026-11-01"}, 300)
    fill(bus, "OrderItem", {"UnitPrice": "1.00"}, 5, first=301)
    events = logged(bus)
    assert (len(events), events[0].record_ids, events[299].record_ids) == (305, [first], [last])
    assert len({event.uuid for event in events}) == 305
    assert len({event.replay_id for event in events}) == 305
    assert len({event.record_ids[0] for event in events}) == 305
    assert {event.kind for event in events} == {"UPDATE"}
    assert events[7].changed == ["UnitPrice", "ServiceDate", "LastModifiedDate"]
    assert (events[7].body["UnitPrice"], events[7].body["LastModifiedDate"]) == (49.9, NOW_MS)
    assert len(org.tables["OrderItem"]) == 0


def test_what_the_object_does_not_have_is_refused() -> None:
    with pytest.raises(OrgError, match="INVALID_FIELD"):
        fill(EventBus(small_org()), "OrderItem", {"Nope": 1}, 3)
