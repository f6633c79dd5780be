"""What the bus refuses: a gRPC status, and the error code that stands in the trailers.

Place     bus, subscription, publishing, access -> [this] -> service (trailers and text, with the rpc id).
Source    Pub/Sub API guide, "Handle Errors"; reference 1.4.
"""

import grpc

PREFIX = "sfdc.platform.eventbus.grpc."


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
