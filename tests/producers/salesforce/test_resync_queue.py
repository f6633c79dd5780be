"""Which requests are pending, and from where they are read after a restart."""

from hypothesis import given
from hypothesis import strategies as st

from fakturo.producers.salesforce.resync_queue import ResyncQueue, earliest_gap, wanted_records
from fakturo.producers.salesforce.resync_requests import ResyncRequest


def request(name: str, *record_ids: str, entity: str = "Account", gap_ms: int | None = None) -> ResyncRequest:
    return ResyncRequest(
        org="00D000000000001EAA",
        entity=entity,
        record_ids=record_ids or None,
        reason="gap",
        requested_at_ms=1,
        request_id=name,
        gap_ms=gap_ms,
    )


def test_of_several_gaps_of_one_record_the_earliest_counts() -> None:
    wanted = wanted_records(
        {
            3: request("late", "a", "b", gap_ms=300),
            5: request("early", "a", gap_ms=100),
            7: request("asked", "a", "c"),
        }
    )
    assert {name: (one.gap_ms, one.request_id) for name, one in wanted.items()} == {
        "a": (100, "early"),
        "b": (300, "late"),
        "c": (None, "asked"),
    }  # fmt: skip
    assert earliest_gap({1: request("x", gap_ms=9), 2: request("y"), 3: request("z", gap_ms=4)}) == 4


def test_a_snapshot_that_takes_long_holds_back_the_position_and_nothing_else() -> None:
    queue = ResyncQueue()
    queue.add(0, request("whole"))
    queue.add(2, request("record", "a"))
    queue.add(4, None)  # another org's
    queue.answer([2])
    assert (queue.offset, queue.answered) == (0, (2,))
    again = ResyncQueue(queue.offset, queue.answered)
    for offset, one in ((0, request("whole")), (2, request("record", "a"))):
        again.add(offset, one)
    assert again.entities(whole=False) == []
    assert again.entities(whole=True) == ["Account"]
    again.answer([0])
    assert (again.offset, again.answered, len(again)) == (3, (), 0)


def test_records_and_objects_are_asked_for_apart() -> None:
    queue = ResyncQueue()
    queue.add(0, request("one", "a", entity="Order"))
    queue.add(1, request("two", entity="Account"))
    queue.add(2, request("three", "b", entity="Account"))
    assert queue.entities(whole=False) == ["Order", "Account"]
    assert list(queue.of_records("Account")) == [2]
    assert list(queue.of_whole("Account")) == [1]
    assert queue.is_asked("Order")
    assert not queue.is_asked("Asset")


def test_about_a_thousand_records_are_answered_at_once() -> None:
    queue = ResyncQueue()
    for offset in range(5):
        queue.add(offset, request(str(offset), *(f"{offset}-{number}" for number in range(400))))
    assert list(queue.of_records("Account")) == [0, 1, 2]


@given(st.lists(st.booleans(), max_size=30), st.data())
def test_after_a_restart_exactly_what_was_not_answered_is_pending(ours: list[bool], data: st.DataObject) -> None:
    requests = {offset: request(str(offset), "a") if is_ours else None for offset, is_ours in enumerate(ours)}
    queue = ResyncQueue()
    for offset, one in requests.items():
        queue.add(offset, one)
    pending = {offset for offset, one in requests.items() if one is not None}
    done = set(data.draw(st.lists(st.sampled_from(sorted(pending)), unique=True))) if pending else set()
    queue.answer(done)
    again = ResyncQueue(queue.offset, queue.answered)
    for offset, one in requests.items():
        if offset >= queue.offset:
            again.add(offset, one)
    assert set(again.of_records("Account")) == pending - done
