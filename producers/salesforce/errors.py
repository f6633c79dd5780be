"""Every error of the Pub/Sub API as data: the suffix of its code, and what is to be done about it.

Place     subscriber (a failed call) -> [this] -> stream.py, which does it.
Form      gRPC status and, in the trailers, `error-code: sfdc.platform.eventbus.grpc.<suffix>`; without it, the status.
Source    Salesforce Pub/Sub API, "Handle Errors" (reference 1.4); a test walks the reference's table.
"""

from collections.abc import Iterable
from enum import StrEnum

import grpc

PREFIX = "sfdc.platform.eventbus.grpc."
TEXT_CHARACTERS_MAX = 300


class Action(StrEnum):
    """What is to be done about an error."""

    BACK_OFF = "back_off"
    """Gone by itself: open again from the stored position, later and later."""
    NEW_TOKEN = "new_token"  # noqa: S105 - no secret
    """Ask for another token and open again; where that does not help either, an administrator must look."""
    SLOW_DOWN = "slow_down"
    """Too many requests: fewer, from now on."""
    WAIT = "wait"
    """A limit of the org is used up: say so, wait for long, open again."""
    STAND = "stand"
    """The org is not set up as it must be: say so, stand still, and look again at long intervals."""
    POSITION_LOST = "position_lost"
    """The org does not know our position: do what the setting says, and never ask with the same one again."""
    RESTART = "restart"
    """Open again at once."""
    BUG = "bug"
    """We have asked for what nobody should ask: say so, stand still, and look again at long intervals."""


_TABLE = {
    Action.BACK_OFF: (
        *("service.unavailable", "topic.api.unavailable", "schema.api.unavailable", "subscription.internal.error"),
    ),
    Action.NEW_TOKEN: ("service.auth.error", "service.auth.headers.invalid", "service.auth.refresh.invalid"),
    Action.SLOW_DOWN: ("service.protection.stream.limit.triggered", "service.protection.triggered"),
    Action.WAIT: ("concurrent.client.limit.exceeded", "service.tenant.license", "subscription.limit.exceeded"),
    Action.STAND: (
        *("topic.not.found", "topic.meta.permission", "topic.validation.empty"),
        *("subscription.topic.cannot.subscribe", "schema.meta.permission", "schema.validation.failed"),
    ),
    Action.POSITION_LOST: (
        *("subscription.fetch.replayid.corrupted", "subscription.fetch.replayid.validation.failed"),
    ),
    Action.RESTART: ("subscription.fetch.replay.repeated",),
    Action.BUG: (
        *("subscription.fetch.overflow", "subscription.fetch.requested.events.invalid"),
        *("subscription.fetch.topic.mismatch", "subscription.fetch.request.invalid"),
    ),
}
ACTIONS: dict[str, Action] = {suffix: action for action, suffixes in _TABLE.items() for suffix in suffixes}
"""Suffix -> action. Those of `publish.` and `managed.` belong to calls that we never make (see `action_of`)."""

_BY_STATUS = {
    grpc.StatusCode.UNAUTHENTICATED: Action.NEW_TOKEN,
    grpc.StatusCode.PERMISSION_DENIED: Action.STAND,
    grpc.StatusCode.NOT_FOUND: Action.STAND,
    grpc.StatusCode.UNIMPLEMENTED: Action.STAND,
    grpc.StatusCode.INVALID_ARGUMENT: Action.BUG,
}
OTHER = "other"
"""Label of an error that has no suffix of the table."""


class BusFault(Exception):
    """A call of the Pub/Sub API that failed, and what is to be done; the text holds no secret."""

    def __init__(self, suffix: str, action: Action, message: str) -> None:
        super().__init__(f"{suffix or OTHER}: {message}")
        self.suffix = suffix
        self.action = action

    @property
    def label(self) -> str:
        """Return the suffix as a metric's label: a closed set."""
        return self.suffix if self.suffix in ACTIONS else OTHER


def action_of(suffix: str, status: grpc.StatusCode) -> Action:
    """Return what is to be done about an error with this suffix ("" where it has none) and this gRPC status."""
    if suffix.startswith(("publish.", "managed.")):
        return Action.BUG
    return ACTIONS.get(suffix) or _BY_STATUS.get(status, Action.BACK_OFF)


def bus_fault(error: grpc.aio.AioRpcError, *secrets: str) -> BusFault:
    """Return what a failed call means; `secrets` are cut out of what the server said."""
    pairs: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    trailers = {name.lower(): value for name, value in pairs}
    code = trailers.get("error-code", "")
    suffix = (code.decode("utf-8", "replace") if isinstance(code, bytes) else str(code)).removeprefix(PREFIX)
    text = error.details() or "no details"
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    status = error.code()
    return BusFault(suffix, action_of(suffix, status), f"{status.name}: {text[:TEXT_CHARACTERS_MAX]}")
