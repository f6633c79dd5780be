"""The stream against a bus that ends it: what passes, what a person must look at, a position that is lost."""

import asyncio

import grpc
import pytest
from prometheus_client import REGISTRY

from fakturo.producers.salesforce.stream_session import Tempo
from tests.producers.salesforce.fake_bus import refusal
from tests.producers.salesforce.running_stream import at, filled, running


async def test_a_stream_that_says_nothing_is_opened_again() -> None:
    bus = filled("1")
    bus.keepalive_seconds = 3600
    async with running(bus, at(0), tempo=Tempo(silence=0.2, watch=0.05)) as run:
        await run.until(lambda: len(bus.opened) >= 3)
        bus.add_fax("2")
        await run.until(lambda: run.publisher.faxes() == ["2"])


@pytest.mark.parametrize(
    ("suffix", "status"),
    [
        ("service.unavailable", grpc.StatusCode.UNAVAILABLE),
        ("subscription.internal.error", grpc.StatusCode.INTERNAL),
        ("subscription.fetch.replay.repeated", grpc.StatusCode.ABORTED),
        ("service.protection.triggered", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_what_passes_is_tried_again_from_the_stored_position(suffix: str, status: grpc.StatusCode) -> None:
    bus = filled("1", "2")
    bus.script = [(status, suffix)] * 3
    label = suffix or "other"
    before = REGISTRY.get_sample_value("fakturo_salesforce_reconnects_total", {"error": label}) or 0
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert len(bus.opened) == 4
        assert {one.replay_id for one in bus.opened} == {(0).to_bytes(8, "big")}
    assert REGISTRY.get_sample_value("fakturo_salesforce_reconnects_total", {"error": label}) == before + 3


async def test_a_refused_token_is_renewed_and_the_stream_goes_on() -> None:
    bus = filled("1", "2")
    bus.script = [refusal("service.auth.error", grpc.StatusCode.UNAUTHENTICATED)]
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert run.org.tokens_given == 2
        assert bus.tokens[-1] == "planted-token-2"
        assert run.progress.stopped is None


async def test_tokens_that_never_help_make_it_unready_and_it_recovers_by_itself() -> None:
    bus = filled("1", "2")
    bus.script = [refusal("service.auth.error", grpc.StatusCode.UNAUTHENTICATED)] * 6
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        assert run.progress.check()[0] is False
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert run.progress.check()[0] is True


@pytest.mark.parametrize(
    "suffix",
    [
        "topic.not.found",
        "subscription.limit.exceeded",
        "concurrent.client.limit.exceeded",
        "subscription.fetch.overflow",
    ],
)
async def test_what_a_person_must_look_at_stands_still_unready_and_is_looked_at_again(suffix: str) -> None:
    bus = filled("1", "2")
    bus.script = [refusal(suffix)] * 2
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        ready, says = run.progress.check()
        assert not ready
        assert suffix in says
        await run.until(lambda: run.publisher.faxes() == ["2"])
        assert run.progress.check()[0] is True


async def test_a_channel_that_cannot_be_subscribed_to_is_a_configuration_error() -> None:
    bus = filled("1", "2")
    bus.can_subscribe = False
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        assert "can't be subscribed to" in (run.progress.stopped or "")
        assert bus.opened == []


async def test_a_lost_position_asks_for_everything_again_and_never_for_the_same_position_twice() -> None:
    bus = filled("1", "2", "3")
    bus.first_known = 2
    async with running(bus, at(0)) as run:
        await run.until(lambda: bool(run.publisher.transactions))
        assert {one.reason for one in run.publisher.requests()} == {"position_lost"}
        assert [one.entity for one in run.publisher.requests()] == ["Account", "Order"]
        bus.add_fax("4")
        await run.until(lambda: run.publisher.faxes() == ["4"])
        lost = [one for one in bus.opened if one.replay_id == (0).to_bytes(8, "big")]
        assert len(lost) == 1


@pytest.mark.parametrize(("policy", "faxes"), [("latest", ["4"]), ("earliest", ["3", "4"])])
async def test_a_lost_position_does_what_the_setting_says(policy: str, faxes: list[str]) -> None:
    bus = filled("1", "2", "3")
    bus.first_known = 2
    async with running(bus, at(0), replay_policy=policy) as run:
        await run.until(lambda: bool(run.publisher.transactions))
        bus.add_fax("4")
        await run.until(lambda: run.publisher.faxes() == faxes)
        assert run.publisher.requests() == []


async def test_policy_fail_stands_still_and_asks_for_nothing() -> None:
    bus = filled("1", "2", "3")
    bus.first_known = 2
    async with running(bus, at(0), replay_policy="fail") as run:
        await run.until(lambda: run.progress.stopped is not None)
        await asyncio.sleep(0.3)
        assert len(bus.opened) == 1
        assert "FAKTURO_SALESFORCE_REPLAY_POLICY" in run.progress.check()[1]
        assert run.publisher.transactions == []


async def test_a_stream_reset_that_refuses_latest_too_is_no_loop_of_lost_positions() -> None:
    bus = filled("1")
    bus.script = [refusal("subscription.fetch.replayid.corrupted")] * 3
    async with running(bus, at(0)) as run:
        await run.until(lambda: run.progress.stopped is not None)
        await run.until(lambda: bool(run.publisher.transactions))
        assert {one.reason for one in run.publisher.requests()} == {"position_lost"}
