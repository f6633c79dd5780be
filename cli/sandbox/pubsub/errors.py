"""What the bus refuses: a gRPC status, and the error code that stands in the trailers.

Place     bus, subscription, publishing, access -> [this] -> service (trailers and text, with the rpc id).
Source    Pub/Sub API guide, "Handle Errors"; reference 1.4.
"""

import grpc

PREFIX = "sfdc.platform.eventbus.grpc."


_UNAVAILABLE = (
    *("service.unavailable", "topic.api.unavailable", "schema.api.unavailable", "subscription.internal.error"),
)
_UNAUTHENTICATED = ("service.auth.error", "service.auth.headers.invalid", "service.auth.refresh.invalid")
_EXHAUSTED = (
    *("service.protection.stream.limit.triggered", "service.protection.triggered"),
    *("concurrent.client.limit.exceeded", "subscription.limit.exceeded"),
)
_DENIED = (
    *("service.tenant.license", "topic.meta.permission", "schema.meta.permission"),
    "subscription.topic.cannot.subscribe",
)
_INVALID = (
    *("topic.validation.empty", "schema.validation.failed", "subscription.fetch.replayid.corrupted"),
    *("subscription.fetch.replayid.validation.failed", "subscription.fetch.replay.repeated"),
    *("subscription.fetch.overflow", "subscription.fetch.requested.events.invalid"),
    *("subscription.fetch.topic.mismatch", "subscription.fetch.request.invalid", "publish.stream.sweeper.timeout"),
    *("publish.auth.refresh.invalid", "publish.event.count.invalid", "publish.topic.mismatch"),
    "publish.topic.validation.empty",
)
STATUS: dict[str, grpc.StatusCode] = {
    **dict.fromkeys(_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    **dict.fromkeys(_UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED),
    **dict.fromkeys(_EXHAUSTED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    **dict.fromkeys(_DENIED, grpc.StatusCode.PERMISSION_DENIED),
    **dict.fromkeys(_INVALID, grpc.StatusCode.INVALID_ARGUMENT),
    "topic.not.found": grpc.StatusCode.NOT_FOUND,
}
"""Error code (its last part) -> status. The table names the codes alone; the statuses are those that fit."""


class BusError(Exception):
    """One refusal: `suffix` of the error code, the status, and a sentence."""

    def __init__(self, status: grpc.StatusCode, suffix: str, message: str) -> None:
        super().__init__(f"{suffix}: {message}")
        self.status = status
        self.suffix = suffix
        self.message = message

    @property
    def code(self) -> str:
        """The whole error code."""
        return PREFIX + self.suffix


def told(suffix: str) -> BusError:
    """Return the refusal that a fault asks for; a code that is not in the table is an internal error."""
    return BusError(STATUS.get(suffix, grpc.StatusCode.INTERNAL), suffix, "The sandbox was told to refuse this call.")


def unavailable() -> BusError:
    """Return the refusal of a service that is away for a while."""
    return BusError(grpc.StatusCode.UNAVAILABLE, "service.unavailable", "The service is unavailable. Try again later.")


def auth_error(message: str) -> BusError:
    """Return the refusal of an access token that is not, or no longer, valid."""
    return BusError(grpc.StatusCode.UNAUTHENTICATED, "service.auth.error", message)


def invalid(suffix: str, message: str) -> BusError:
    """Return the refusal of a request that is wrong."""
    return BusError(grpc.StatusCode.INVALID_ARGUMENT, suffix, message)


def replay_id_lost() -> BusError:
    """Return the refusal of a replay id that was never given out, is too old, or is from before a reset."""
    return invalid(
        "subscription.fetch.replayid.corrupted",
        "The Replay ID validation failed. Ensure that the Replay ID is valid, and that its event is still retained.",
    )


def delivery_exceeded() -> BusError:
    """Return the refusal of an org whose events of the last 24 hours used up what it may be delivered."""
    return BusError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "subscription.limit.exceeded",
        "You have exceeded the event delivery limit for your org.",
    )


def topic_not_found(topic: str) -> BusError:
    """Return the refusal of a topic that the org does not have."""
    return BusError(grpc.StatusCode.NOT_FOUND, "topic.not.found", f"The topic {topic!r} does not exist in the org.")
