"""A foreign record whose bytes have been read (Message), and what a shape found that it tells (Told).

Place     reading.py -> [Message] -> detection -> one of the shapes -> [Told] -> canonical.py -> change records. Pure.
Refusal   a shape raises SchemaError with a reason, a sentence and a place: the message goes to the dead letters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchema
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record of another connector.

    `body` is what the value decodes to: numbers with a point are Decimal (from JSON) or float (from Avro); dates and
    instants are text where the message came with a schema that says so. `key` is the decoded key, an object, a text or
    None. `event_schema` is the writer's, where Salesforce's own Avro came in wire format.
    """

    topic: str
    recorded_ms: int
    key: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    event_schema: EventSchema | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """Return the body where it is an object, else an empty one."""
        return self.body if isinstance(self.body, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one message tells, in its own names: flat or nested fields, ids of 15 or 18 characters.

    `changed` None: the form does not say what changed, so null means unchanged, unless `null_is_value`. `full`: the
    values are the whole row, whose version is `commit.ts`.
    """

    src: str
    entity: str
    record_ids: tuple[str, ...]
    kind: str
    commit: Commit
    values: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] | None = None
    nulled: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()
    null_is_value: bool = False
    full: bool = False
    event_uuid: str | None = None
    replay_id: str | None = None
    schema_id: str | None = None
    org: str | None = None


def missing(what: str, path: str) -> SchemaError:
    """Return the refusal of a message in which `what` is missing at `path`."""
    return SchemaError(Reason.VALUE_MISSING, f"{what} is missing", path)


def misshapen(sentence: str, path: str = "$") -> SchemaError:
    """Return the refusal of a message that has another shape than it seemed to have."""
    return SchemaError(Reason.UNKNOWN_SHAPE, sentence, path)
