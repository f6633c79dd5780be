"""When interim outputs are published: the longest pause, and the short one after a batch of an agent that hurries."""

from fakturo.consumers.runtime.flush_pacing import FlushPace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def flush(pace: FlushPace, clock: Clock, seconds: float) -> None:
    pace.began()
    clock.now += seconds
    pace.ended()


def test_without_haste_a_batch_changes_nothing() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=False, clock=clock)
    assert not pace.changed()
    assert pace.left_seconds == 1.0


def test_a_batch_brings_the_next_flush_forward_once() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=True, clock=clock)
    assert pace.left_seconds == 1.0
    assert [pace.changed(), pace.changed()] == [True, False]
    clock.now += 0.25
    assert pace.left_seconds < 0
    flush(pace, clock, 0.0)
    assert pace.left_seconds == 1.0  # nothing has come since


def test_after_a_flush_the_next_one_waits_as_long_as_that_took_but_never_longer_than_the_pause() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=True, clock=clock)
    flush(pace, clock, 0.125)
    pace.changed()
    assert pace.left_seconds == 0.125
    flush(pace, clock, 8.0)
    pace.changed()
    assert pace.left_seconds == 1.0


def test_an_agent_that_reads_much_more_than_it_says_waits_some_times_as_long() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=4.0, clock=clock)
    flush(pace, clock, 0.125)
    pace.changed(behind=True)
    assert pace.left_seconds == 0.5
    flush(pace, clock, 0.5)
    pace.changed(behind=True)
    assert pace.left_seconds == 1.0


def test_where_it_keeps_up_it_waits_as_long_as_the_flush_took() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=4.0, clock=clock)
    flush(pace, clock, 0.125)
    pace.changed()
    assert pace.left_seconds == 0.125
    pace.changed(behind=True)  # a large batch after a small one
    assert pace.left_seconds == 0.5
    flush(pace, clock, 0.125)
    pace.changed()
    assert pace.left_seconds == 0.125


def test_what_comes_while_a_flush_runs_is_for_the_next_one() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=True, clock=clock)
    pace.changed()
    pace.began()
    assert pace.changed()
    pace.ended()
    assert 0.04 < pace.left_seconds < 0.06


def test_a_replay_never_flushes_between_ticks() -> None:
    pace = FlushPace(0.0, soon=True, clock=Clock())
    assert not pace.changed()
    assert pace.left_seconds == float("inf")


def test_a_flush_that_knows_when_there_is_more_is_followed_by_one_then_though_nothing_comes() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=4.0, clock=clock)
    pace.began()
    clock.now += 0.125
    pace.ended(0.375)
    assert pace.left_seconds == 0.375
    pace.changed()
    assert pace.left_seconds == 0.125  # a batch brings it forward as ever
    flush(pace, clock, 0.125)
    assert pace.left_seconds == 1.0  # that one knew of nothing


def test_what_was_too_much_for_one_flush_waits_as_long_as_that_took_and_in_a_backlog_some_times_as_long() -> None:
    clock = Clock()
    pace = FlushPace(1.0, soon=4.0, clock=clock)
    pace.began()
    clock.now += 0.125
    pace.ended(0.0)
    assert pace.left_seconds == 0.125
    pace.changed(behind=True)
    assert pace.left_seconds == 0.5


def test_what_comes_later_than_the_pause_waits_no_longer_than_the_pause() -> None:
    pace = FlushPace(1.0, soon=1.0, clock=Clock())
    pace.began()
    pace.ended(30.0)
    assert pace.left_seconds == 1.0


def test_without_haste_it_makes_no_difference_that_there_is_more() -> None:
    pace = FlushPace(1.0, soon=0.0, clock=Clock())
    pace.began()
    pace.ended(0.0)
    assert pace.left_seconds == 1.0
