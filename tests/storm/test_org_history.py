"""What the Salesforce storm expects of the book, seen without a storm: the truth is told to the second."""

from datetime import UTC, datetime

from fakturo.cli.sandbox.clock import epoch_ms
from fakturo.cli.sandbox.org import SandboxOrg
from tests.storm.org_history import Fate, FieldTruth, OrgHistory

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
NOON_MS = epoch_ms(NOON)


class Desk:
    """An org whose commits are told, with one account that was made at noon without a phone."""

    def __init__(self) -> None:
        self.org = SandboxOrg(start=NOON)
        self.history = OrgHistory(self.org, fate=Fate.TOLD)
        with self.org.transaction() as writing:
            self.account = writing.insert("Account", {"Name": "A"})

    def call(self, phone: str | None) -> None:
        """Commit another phone."""
        with self.org.transaction() as writing:
            writing.update("Account", self.account, {"Phone": phone})

    def expected(self) -> tuple[FieldTruth, frozenset[int]]:
        """Return the phone's last change and when it may have taken effect."""
        found = {name: (truth, seconds) for name, truth, seconds in self.history.expected(("Account", self.account))}
        return found["Phone"]


def test_a_field_that_was_filled_and_emptied_within_a_second_may_have_been_empty_all_along() -> None:
    desk = Desk()
    desk.org.clock.advance(9)
    desk.call("555")
    desk.call(None)
    truth, seconds = desk.expected()
    assert (truth.value, truth.commit_ms) == (None, NOON_MS + 9_000)
    assert {NOON_MS, NOON_MS + 9_000} <= seconds


def test_a_field_that_was_filled_for_seconds_is_empty_since_it_was_emptied() -> None:
    desk = Desk()
    desk.org.clock.advance(9)
    desk.call("555")
    desk.org.clock.advance(5)
    desk.call(None)
    assert desk.expected()[1] == {NOON_MS + 14_000}
