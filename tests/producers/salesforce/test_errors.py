"""Every error of the Pub/Sub API's table has the action that the reference (1.4) asks for; health follows progress."""

import grpc
import pytest

from fakturo.producers.salesforce.errors import ACTIONS, Action, BusFault, action_of
from fakturo.producers.salesforce.progress import StreamProgress

REFERENCE = {
    "service.unavailable, topic.api.unavailable, schema.api.unavailable, subscription.internal.error": Action.BACK_OFF,
    "service.auth.error, service.auth.headers.invalid, service.auth.refresh.invalid": Action.NEW_TOKEN,
    "service.protection.stream.limit.triggered, service.protection.triggered": Action.SLOW_DOWN,
    "concurrent.client.limit.exceeded, service.tenant.license": Action.WAIT,
    "topic.not.found, topic.meta.permission, topic.validation.empty, subscription.topic.cannot.subscribe, "
    "schema.meta.permission, schema.validation.failed": Action.STAND,
    "subscription.fetch.replayid.corrupted, subscription.fetch.replayid.validation.failed": Action.POSITION_LOST,
    "subscription.fetch.replay.repeated": Action.RESTART,
    "subscription.limit.exceeded": Action.WAIT,
    "subscription.fetch.overflow, subscription.fetch.requested.events.invalid, subscription.fetch.topic.mismatch, "
    "subscription.fetch.request.invalid": Action.BUG,
}
NEVER_CALLED = (
    *("publish.stream.sweeper.timeout", "publish.auth.refresh.invalid", "publish.topic.mismatch"),
    *("managed.subscription.already.active", "managed.subscription.config.deleted"),
)


def test_the_table_is_the_references() -> None:
    assert {suffix: action for names, action in REFERENCE.items() for suffix in names.split(", ")} == ACTIONS


@pytest.mark.parametrize("suffix", NEVER_CALLED)
def test_errors_of_calls_that_we_never_make_are_bugs(suffix: str) -> None:
    assert action_of(suffix, grpc.StatusCode.INTERNAL) is Action.BUG


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (grpc.StatusCode.UNAVAILABLE, Action.BACK_OFF),
        (grpc.StatusCode.INTERNAL, Action.BACK_OFF),
        (grpc.StatusCode.UNAUTHENTICATED, Action.NEW_TOKEN),
        (grpc.StatusCode.PERMISSION_DENIED, Action.STAND),
        (grpc.StatusCode.INVALID_ARGUMENT, Action.BUG),
    ],
)
def test_without_a_code_that_we_know_the_status_decides(status: grpc.StatusCode, action: Action) -> None:
    assert action_of("", status) is action
    assert action_of("something.new", status) is action
    assert BusFault("something.new", action, "text").label == "other"


def test_health_follows_what_is_heard_and_published_not_the_process() -> None:
    now = [0.0]
    progress = StreamProgress(lambda: now[0])
    assert progress.check()[0], "it has just started"
    now[0] = 301
    assert progress.check() == (False, "nothing of the org has been published for 301 s")
    progress.heard()
    assert not progress.check()[0], "heard, and nothing of it is in Kafka"
    progress.published(1793534400000)
    assert progress.check()[0]
    now[0] = 602
    progress.published(1793534300000)
    assert progress.passed_ms == 1793534400000, "what was passed stays passed"
    assert not progress.check()[0], "the org has been silent for 301 s"
    progress.heard()
    progress.stopped = "topic.not.found"
    assert progress.check() == (False, "the stream stands still: topic.not.found")
