"""Which processes run: crm_feed only where another connector's topics are named."""

from typing import Any

import pytest

from fakturo.cli.agents import AGENTS, agents_of
from fakturo.cli.lifecycle import LIVE, _with_crm_feed
from fakturo.consumers.runtime.settings import Settings


def settings(**more: Any) -> Settings:
    return Settings(kafka="a:1", DATABASE_URL="postgresql://a", **more)


def test_the_relay_publishes_for_the_feed_where_topics_are_named() -> None:
    assert agents_of(settings()) == AGENTS
    assert agents_of(settings(crm_topics="sfdc")) == (*AGENTS, "crm_feed")


@pytest.mark.parametrize("agents", [LIVE, ("crm_feed", *LIVE)])
def test_up_starts_the_feed_once_and_only_where_topics_are_named(agents: tuple[str, ...]) -> None:
    assert _with_crm_feed(agents, {"FAKTURO_CRM_TOPICS": "sfdc"}) == ("crm_feed", *LIVE)
    assert _with_crm_feed(agents, {}) == agents
