"""A member that was given nothing asks again, at growing pauses, and only once it has joined."""

from itertools import pairwise

from fakturo.consumers.runtime.empty_seats import SECONDS_MAX, EmptySeats


class Coordinator:
    """What the rule sees of aiokafka's coordinator."""

    def __init__(self, generation: int = 3) -> None:
        self.generation = generation
        self.asked = 0

    def request_rejoin(self) -> None:
        """Count."""
        self.asked += 1


def asked_at(seats: EmptySeats, coordinator: Coordinator, seconds: int, *, has_partitions: bool = False) -> list[int]:
    """Return in which of so many seconds the member asked."""
    found = []
    for second in range(seconds):
        before = coordinator.asked
        seats.look(coordinator, has_partitions=has_partitions, now=float(second))
        if coordinator.asked > before:
            found.append(second)
    return found


def test_a_member_without_partitions_asks_after_5_seconds_and_then_after_twice_as_long_each_time() -> None:
    # 5, then 10, 20 and 40 seconds later.
    assert asked_at(EmptySeats(), Coordinator(), 100) == [5, 15, 35, 75]


def test_who_has_partitions_or_has_not_joined_asks_nothing() -> None:
    assert asked_at(EmptySeats(), Coordinator(), 100, has_partitions=True) == []
    assert asked_at(EmptySeats(), Coordinator(generation=-1), 100) == []


def test_the_pause_begins_anew_once_something_was_assigned() -> None:
    seats, coordinator = EmptySeats(), Coordinator()
    asked_at(seats, coordinator, 40)
    seats.look(coordinator, has_partitions=True, now=0.0)
    assert asked_at(seats, coordinator, 6) == [5]


def test_the_pause_grows_to_five_minutes_and_no_further() -> None:
    asked = asked_at(EmptySeats(), Coordinator(), 3_000)
    assert {later - earlier for earlier, later in pairwise(asked[6:])} == {int(SECONDS_MAX)}
