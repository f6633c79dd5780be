"""The switchboard of faults: what the sandbox org is told to do wrong, and how often still.

Place     tests and `POST /sandbox/faults` -> [this] -> REST, SOQL and Bulk, transactions, the event bus.
Rules     A count is used up by `take`; a switch stays until it is turned back; an action happens at once. Parts of the
          org register what an action does (`on`). Everything here imitates something that real orgs do.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

COUNTS = ("unavailable", "lock_rows", "duplicate", "overflow_changes")
ENTITY_COUNTS = ("gap", "overflow", "drop_events", "bus_error")
SWITCHES = ("merge", "stream_off", "enriched", "text_diff")
SETTINGS = ("retention_seconds", "keepalive_seconds", "idle_close_seconds", "api_allocation", "event_allocation")
ACTIONS = ("expired_token", "stream_reset", "schema_change", "disconnect", "field_conversion")


@dataclass
class Faults:
    """What is to go wrong.

    Counts of next things: `unavailable` calls answered 503 / UNAVAILABLE, `lock_rows` writes refused with
    UNABLE_TO_LOCK_ROW, `duplicate` events told twice. By object (`*` for any): `gap` next events lose their content,
    `overflow` next transactions become GAP_OVERFLOW, `drop_events` next events are never told. By error code (its last
    part): `bus_error` next calls of the bus fail with it.
    Switches: `merge` (on: equal changes of one transaction become one event with several ids), `stream_off` (an outage
    longer than retention: the bus is away, nothing is logged, and afterwards no older replay id is good), `enriched`
    (events are not merged, and those of one change share EventUuid and replay id), `text_diff` (a change of long text
    is told as a difference).
    Settings in seconds: retention of events, the empty keep-alive answer, closing a stream that holds no credit; and
    allocations a day: `api_allocation` calls, `event_allocation` delivered events (None: the edition's). A transaction
    of more than `overflow_changes` changes overflows.
    Actions: `expired_token` ends all sessions, `stream_reset` makes all replay ids invalid, `disconnect` ends the open
    streams, `schema_change` adds a field, `field_conversion` says of an object that any record may have changed.
    """

    unavailable: int = 0
    lock_rows: int = 0
    duplicate: int = 0
    gap: Counter[str] = field(default_factory=Counter)
    overflow: Counter[str] = field(default_factory=Counter)
    drop_events: Counter[str] = field(default_factory=Counter)
    bus_error: Counter[str] = field(default_factory=Counter)
    merge: bool = True
    stream_off: bool = False
    enriched: bool = False
    text_diff: bool = False
    retention_seconds: float = 72 * 3600.0
    keepalive_seconds: float = 270.0
    idle_close_seconds: float = 60.0
    api_allocation: int | None = None
    event_allocation: int | None = None
    overflow_changes: int = 100_000

    def __post_init__(self) -> None:
        self._actions: dict[str, Callable[[Any], None]] = {}

    def on(self, action: str, act: Callable[[Any], None]) -> None:
        """Register what `action` does; it is given the value that the switchboard was told."""
        self._actions[action] = act

    def take(self, count: str, entity: str | None = None) -> bool:
        """Use up one of a count and return True; False when there is none left."""
        if entity is None:
            left: int = getattr(self, count)
            if left > 0:
                setattr(self, count, left - 1)
            return left > 0
        counter: Counter[str] = getattr(self, count)
        for key in (entity, "*"):
            if counter[key] > 0:
                counter[key] -= 1
                return True
        return False

    def apply(self, wanted: Mapping[str, Any]) -> None:
        """Set faults by name, as JSON gives them; an entity count is `{"Account": 2}`.

        Raises:
            ValueError: an unknown name or a value of the wrong kind, before anything is set.
        """
        for name, value in wanted.items():
            _check(name, value)
            if name in ACTIONS and name not in self._actions:
                raise ValueError(f"{name}: this sandbox has no part that does it")
        for name, value in wanted.items():
            if name in ACTIONS:
                self._actions[name](value)
            elif name in ENTITY_COUNTS:
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)

    def clear(self) -> None:
        """Turn everything back to how a healthy org behaves."""
        fresh = Faults()
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))

    def state(self) -> dict[str, Any]:
        """Return every count, switch and setting as JSON can say it."""
        shown = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(+value) if isinstance(value, Counter) else value for name, value in shown.items()}


def _check(name: str, value: object) -> None:
    if name in ACTIONS:
        return
    if name in ENTITY_COUNTS:
        if not isinstance(value, dict) or not all(_is_count(count) for count in value.values()):
            raise ValueError(f'{name}: expected objects and counts, as {{"Account": 1}}, not {value!r}')
    elif name in SWITCHES:
        if not isinstance(value, bool):
            raise ValueError(f"{name}: expected true or false, not {value!r}")
    elif name in COUNTS:
        if not _is_count(value):
            raise ValueError(f"{name}: expected a count, not {value!r}")
    elif name in SETTINGS:
        if not (value is None and name.endswith("allocation")) and not _is_number(value):
            raise ValueError(f"{name}: expected a number, not {value!r}")
    else:
        known = ", ".join((*COUNTS, *ENTITY_COUNTS, *SWITCHES, *SETTINGS, *ACTIONS))
        raise ValueError(f"{name}: no such fault; there are {known}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
