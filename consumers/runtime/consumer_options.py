"""How every consumer of ours is set: the two runners differ in who calls it, not in what it promises.

Place     runner_bulk, faust_transport -> [this] -> AIOKafkaConsumer.
"""

from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from fakturo.consumers.runtime.settings import Settings

PARTITION_FETCH_BYTES = 4 * 1_048_576
FETCH_WAIT_MS = 100
POLL_SECONDS_MAX = 900
REBALANCE_SECONDS_MAX = 10
"""Short: nothing of ours is slow at a rebalance, and who comes too late meets the cursor."""


def group_of(settings: Settings, agent: str) -> str:
    """Return the consumer group of `agent`."""
    return f"{settings.topic_prefix}fakturo-{agent}"


def consumer_options(settings: Settings, agent: str) -> dict[str, Any]:
    """Return the arguments of AIOKafkaConsumer.

    `read_committed`, or a record of an aborted transaction would be billed. No automatic reset: a position that the
    broker does not have must be an error, not a jump. Range assignment keeps partition n of all inputs together.
    A static member that comes back within the session time causes no rebalance.
    """
    session_ms = int(settings.session_seconds * 1000)
    return {
        "bootstrap_servers": settings.kafka,
        "client_id": f"fakturo-{agent}-{settings.instance}",
        "group_id": group_of(settings, agent),
        "group_instance_id": f"{agent}-{settings.instance}",
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "partition_assignment_strategy": [RangePartitionAssignor],
        "max_partition_fetch_bytes": PARTITION_FETCH_BYTES,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": max(session_ms // 4, 100),
        "max_poll_interval_ms": POLL_SECONDS_MAX * 1000,
        "rebalance_timeout_ms": REBALANCE_SECONDS_MAX * 1000,
        "request_timeout_ms": max(20_000, session_ms + 5_000),
        "metadata_max_age_ms": 30_000,
        "retry_backoff_ms": 100,
    }
