"""How far a relay has published, read back from Kafka, where it was written in the same transaction as the records.

Place     relay start, and after every producer that was thrown away -> [this] -> resume or stop.
Topic     `fakturo.relay.progress`, partition 0, compacted; key the transactional id, value `{"position": n}`.
"""

import msgspec
from aiokafka import TopicPartition

from fakturo.consumers.runtime.errors import ProgressLost
from fakturo.consumers.runtime.last_record import read_last_record
from fakturo.consumers.runtime.relay_outbox import RelayPosition
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.codec import encode
from fakturo.schemas.topics import RELAY_PROGRESS

PARTITION = 0


class Progress(msgspec.Struct, frozen=True):
    """The value of a progress record: everything up to this position is in Kafka."""

    position: int


def transactional_id(settings: Settings, agent: str) -> str:
    """Return the one transactional id of the agent's relay; it fences a predecessor that is still about."""
    return f"{settings.topic_prefix}fakturo-relay-{agent}"


def progress_topic(settings: Settings) -> str:
    """Return the physical name of the progress topic."""
    return settings.topic_prefix + RELAY_PROGRESS.name


def encode_progress(position: int) -> bytes:
    """Return the value of a progress record."""
    return encode(Progress(position))


async def read_progress(settings: Settings, agent: str) -> int | None:
    """Return the last committed position of the agent's relay, None where it has no record.

    To be called after the relay's producer has started, that is, when its predecessor's transaction has ended.
    """
    partition = TopicPartition(progress_topic(settings), PARTITION)
    key = transactional_id(settings, agent).encode()
    found = await read_last_record(settings, partition, key)
    return None if found is None else msgspec.json.decode(found.value, type=Progress).position


def check_progress(agent: str, progress: int | None, known: RelayPosition) -> int:
    """Return the position to resume after.

    Raises:
        ProgressLost: Kafka and Postgres do not belong together any more; publishing would lose or double events.
    """
    if progress is None:
        if known.published > 0:
            raise ProgressLost(
                f"relay of {agent}: the topic {RELAY_PROGRESS.name} has no record of it, but {known.published} events "
                "were published; is this another Kafka, or was the topic deleted?"
            )
        return 0
    if progress < known.published:
        raise ProgressLost(
            f"relay of {agent}: {RELAY_PROGRESS.name} says {progress}, Postgres knows of {known.published} published; "
            "Kafka has lost records or is an older copy"
        )
    if progress > known.stamped:
        raise ProgressLost(
            f"relay of {agent}: {RELAY_PROGRESS.name} says {progress}, Postgres has given out {known.stamped} only; "
            "this database is an older copy or a new one: give it another topic prefix, or restore it"
        )
    return progress
