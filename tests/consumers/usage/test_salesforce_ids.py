"""Two accounts that name one Salesforce id: whose usage under it is, wherever a batch of contracts ends."""

import itertools
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import AccountChanged
from tests.consumers.usage.conftest import BEGINNING, TOKENS, Desk, account, all_events, item, settings_of, subscription

NAMES = ("A", "B", "C")
IDS = ("001NY0000000002YAA", "001NY0000000009YAA")
BOUNDED = settings(
    deadline=None,
    derandomize=True,
    max_examples=60,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def word(name: str, salesforce_id: str, minute: int) -> AccountChanged:
    return account(name, salesforce_id=salesforce_id, recorded_at=BEGINNING + timedelta(minutes=minute))


def owner_of(salesforce_id: str, words: list[AccountChanged]) -> str | None:
    """Return whose id it is by the last words: of those who name it, the one recorded last; of equals the greater."""
    last = {one.account: one for one in words}
    named = [(one.recorded_at, name) for name, one in last.items() if one.salesforce_id == salesforce_id]
    return max(named)[1] if named else None


words = st.lists(
    st.builds(word, st.sampled_from(NAMES), st.sampled_from(IDS), st.integers(0, 4)), min_size=1, max_size=7
)


@BOUNDED
@given(words=words, ends=st.sets(st.integers(1, 6)))
async def test_any_cut_of_the_words_of_accounts_into_batches_gives_the_id_to_the_same_one(
    desk: Desk, words: list[AccountChanged], ends: set[int]
) -> None:
    desk.agent = UsageAgent(settings_of())  # one that knows nothing of the example before, which was rolled back
    opened = desk.connection.transaction()
    await opened.start()
    try:
        await desk.sign(*(subscription(item(f"calls-{name}"), account_id=name) for name in NAMES))
        edges = [0, *sorted(end for end in ends if end < len(words)), len(words)]
        for first, after in itertools.pairwise(edges):
            await desk.sign(*words[first:after])
            await desk.hand_in(desk.usage("early", subject=words[0].account))  # so the worker knows accounts by then
        await desk.hand_in(*(desk.usage(one, subject=one) for one in IDS))
        found = {event.id: event.account_id for event in await all_events(desk.connection) if event.id in IDS}
        expected = {one: owner_of(one, words) for one in IDS}
        assert found == {one: name for one, name in expected.items() if name is not None}
        assert await desk.parked() == [one for one in IDS if expected[one] is None]
    finally:
        await opened.rollback()


async def test_an_id_that_the_newer_of_two_gives_up_is_the_others_again_with_what_waited_for_it(desk: Desk) -> None:
    """B took the id of A and has no meter of tokens; when B gives it up, A has it, and what waited counts for A."""
    await desk.sign(word("A", IDS[0], 0), subscription(item("tokens", TOKENS), account_id="A"))
    await desk.sign(word("B", IDS[0], 1))
    await desk.hand_in(desk.usage("1", subject=IDS[0]))
    assert await desk.parked() == [IDS[0]]
    await desk.sign(word("B", IDS[1], 2))
    assert await desk.parked() == []
    assert [(event.id, event.account_id) for event in await all_events(desk.connection)] == [("1", "A")]
