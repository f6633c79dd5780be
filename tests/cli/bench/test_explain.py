"""The bench of `explain` explains what it filled: the line whole, by all of its events, and no one else's."""

from fakturo.cli.bench.explain import fill, measure
from fakturo.cli.bench.explain_book import BATCH_EVENTS, OWN_EVENTS
from tests.journey.journey import settings_of


async def test_a_line_among_the_events_of_others_is_explained_by_its_own(database_url: str) -> None:
    line, segments = await fill(settings_of(database_url), 12 * BATCH_EVENTS)
    figures = await measure(database_url, line)
    assert figures["events_stored"] == 12 * BATCH_EVENTS + OWN_EVENTS
    # A batch of 10,000 makes 32 buckets: the greatest power of two that leaves 256 events in each.
    assert segments == 12 * 32
