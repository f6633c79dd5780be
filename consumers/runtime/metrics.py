"""Every metric of Fakturo in one table: name, kind, labels, help; the unit comes last in the name.

Place     runners, processor, relay and agents -> [this] -> `/metrics` (health.py) -> Prometheus.
Labels    closed sets alone: agent, topic, partition, outcome, reason, kind, currency; never an account.
Zeroes    `initialise` creates the known label sets at 0, so that a rate or an alert sees the first increment.
Source    Prometheus, "Metric and label naming" and "Instrumentation: avoid missing metrics".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from fakturo.schemas.dead_letters import DeadLetterReason

PREFIX = "fakturo_"
OUTCOMES = ("applied", "duplicate", "late", "parked", "released", "dead_lettered")
"""What can become of an event: the values of the label `outcome`."""

LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
END_TO_END_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table, as the documentation and the tests of the alert rules read it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


CATALOGUE: dict[str, Family] = {}
"""All families by their full name."""

disable_created_metrics()  # type: ignore[no-untyped-call]


def _row(name: str, kind: str, labels: tuple[str, ...], text: str) -> str:
    full = PREFIX + name
    CATALOGUE[full] = Family(full, kind, labels, text)
    return full


def _counter(name: str, labels: tuple[str, ...], text: str) -> Counter:
    return Counter(_row(name, "counter", labels, text), text, labels)


def _gauge(name: str, labels: tuple[str, ...], text: str) -> Gauge:
    return Gauge(_row(name, "gauge", labels, text), text, labels)


def _histogram(name: str, labels: tuple[str, ...], text: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(_row(name, "histogram", labels, text), text, labels, buckets=buckets)


_AGENT = ("agent",)
_PARTITION = ("agent", "topic", "partition")

EVENTS = _counter("events_total", ("agent", "topic", "outcome"), "Events processed, by what became of them.")
DEAD_LETTERS = _counter("dead_letters_total", ("agent", "topic", "reason"), "Events dead-lettered, by reason.")
BATCH_SECONDS = _histogram("batch_seconds", _AGENT, "Time from a batch's BEGIN to its COMMIT.", LATENCY_SECONDS)
END_TO_END_SECONDS = _histogram(
    "end_to_end_seconds", _AGENT, "Time from the broker's append to the COMMIT.", END_TO_END_BUCKETS_SECONDS
)
LAG_RECORDS = _gauge("consumer_lag_records", _PARTITION, "Offsets between the cursor and the end of the partition.")
LAG_SECONDS = _gauge("consumer_lag_seconds", _PARTITION, "How long the cursor has stood behind the partition's end.")
PARKED = _gauge("parked_events", _AGENT, "Events that wait for a reference.")
OLDEST_PARKED_AGE = _gauge("oldest_parked_age_seconds", _AGENT, "Age of the oldest parked event.")
OUTBOX_PENDING = _gauge("outbox_pending", _AGENT, "Outbox rows not yet known to be in Kafka.")
OUTBOX_OLDEST_AGE = _gauge("outbox_oldest_age_seconds", _AGENT, "Age of the oldest outbox row.")
RELAY_PUBLISHED = _counter("relay_published_total", _AGENT, "Records that the relay committed to Kafka.")
RELAY_TRANSACTION_SECONDS = _histogram(
    "relay_transaction_seconds", _AGENT, "Time of the relay's Kafka transaction, begin to commit.", LATENCY_SECONDS
)
RELAY_STOPPED = _gauge("relay_stopped", _AGENT, "1 while the relay of the agent has stopped and needs a person.")
REBALANCES = _counter("rebalances_total", _AGENT, "Assignments received from the group coordinator.")
ASSIGNED_PARTITIONS = _gauge("assigned_partitions", _AGENT, "Partitions that this worker reads now.")
PARTITIONS_STOPPED = _gauge("partitions_stopped", _AGENT, "Partitions stopped by an unknown exception.")
WATERMARK_TIMESTAMP = _gauge("watermark_timestamp_seconds", _AGENT, "What time has reached for the agent (Unix time).")
INVOICES = _counter("invoices_total", ("kind", "currency"), "Invoices and credit notes finalized.")
CRM_DRIFT = _counter("crm_drift_total", ("entity",), "Values of the CRM that only a reconciliation told us.")
CRM_UNMAPPED = _counter(
    "crm_unmapped_total", ("entity",), "Values of the CRM kept raw: the mapping profile reads none."
)
CRM_OBJECT_GAPS = _counter("crm_object_gaps_total", ("entity",), "Gaps of the CRM that name no record.")
LEDGER_IMBALANCE = _gauge("ledger_imbalance_minor", (), "Sum of all postings, in minor units: must be 0.")
BRIDGE_EVENTS = _counter(
    "salesforce_events_total", ("entity", "change_type"), "Change records taken from the org's stream."
)
BRIDGE_ECHOES = _counter("salesforce_echoes_dropped_total", (), "Change records of our own writes, dropped.")
BRIDGE_DUPLICATES = _counter("salesforce_duplicates_dropped_total", (), "Events that the bus told twice, dropped.")
BRIDGE_DECODE_FAILURES = _counter(
    "salesforce_decode_failures_total", ("entity",), "Events that could not be decoded: dead letters, read again."
)
BRIDGE_RESYNC_REQUESTS = _counter(
    "salesforce_resync_requests_total", ("reason",), "Requests to read records or objects again."
)
BRIDGE_RECONNECTS = _counter(
    "salesforce_reconnects_total", ("error",), "Streams that ended, by the error's suffix in the Pub/Sub API's table."
)
BRIDGE_POSITION_LOST = _counter(
    "salesforce_position_lost_total", ("policy",), "Stored positions that the org does not know (any more)."
)
BRIDGE_STOPPED = _gauge("salesforce_stream_stopped", (), "1 while the stream stands still and needs an administrator.")
BRIDGE_CREDIT = _gauge("salesforce_credit_events", (), "Events asked for and not yet received.")
BRIDGE_HEARD_AGE = _gauge(
    "salesforce_heard_age_seconds", (), "Time since the stream's last event or sign of life (every 270 s at most)."
)
BRIDGE_POSITION_AGE = _gauge(
    "salesforce_position_age_seconds", (), "Time since the stream's position was last published."
)
BRIDGE_ALLOCATION_USED = _gauge(
    "salesforce_allocation_used_ratio", ("limit",), "How much of a rolling limit of the org is used up, 0 to 1."
)
BRIDGE_ROWS_READ = _counter(
    "salesforce_rows_read_total", ("entity", "kind"), "Rows read again and published: resync, snapshot, reconcile."
)
BRIDGE_RESYNC_PENDING = _gauge("salesforce_resync_pending", (), "Requests to read again that are not answered yet.")
BRIDGE_RESYNC_REFUSED = _counter(
    "salesforce_resync_refused_total", ("entity",), "Requests to read again that were given up: the org refuses them."
)
BRIDGE_RECONCILED_AT = _gauge(
    "salesforce_reconciled_timestamp_seconds", ("entity",), "Up to which instant the object was compared with the org."
)
BRIDGE_PUBLISH_SECONDS = _histogram(
    "salesforce_publish_seconds", (), "Time of the stream's Kafka transaction, begin to commit.", LATENCY_SECONDS
)
CRM_FEED_MESSAGES = _counter(
    "crm_feed_messages_total", ("topic", "shape"), "Messages of other Salesforce connectors that were read, by form."
)
CRM_FEED_ECHOES = _counter("crm_feed_echoes_total", ("topic",), "Changes dropped: we had written them ourselves.")
CRM_WRITES = _counter("crm_writes_total", ("entity", "outcome"), "Records sent to the org, by what became of them.")
CRM_RECORDS = _gauge("crm_records", ("entity", "state"), "Records that the org does not hold yet, by why.")
CRM_OLDEST_AGE = _gauge(
    "crm_oldest_waiting_age_seconds", ("entity",), "For how long the oldest record that can be sent has waited."
)
BUILD_INFO = _gauge("build_info", ("version",), "1, labelled with the version that runs.")


def initialise(agent: str, topics: Iterable[str]) -> None:
    """Create at 0 the label sets that `agent`, which reads `topics`, can have, and say which version runs."""
    BUILD_INFO.labels(version("fakturo")).set(1)
    for family in (BATCH_SECONDS, END_TO_END_SECONDS, REBALANCES, ASSIGNED_PARTITIONS, PARTITIONS_STOPPED):
        family.labels(agent)
    for topic in topics:
        for outcome in OUTCOMES:
            EVENTS.labels(agent, topic, outcome)
        for reason in DeadLetterReason:
            DEAD_LETTERS.labels(agent, topic, reason.value)


def initialise_bridge(
    events: Iterable[tuple[str, str]], errors: Iterable[str], policies: Iterable[str], reasons: Iterable[str]
) -> None:
    """Create at 0 the label sets of the Salesforce bridge; `events` are pairs of object and change type."""
    BUILD_INFO.labels(version("fakturo")).set(1)
    for entity, change_type in events:
        BRIDGE_EVENTS.labels(entity, change_type)
        BRIDGE_DECODE_FAILURES.labels(entity)
    for family, values in ((BRIDGE_RECONNECTS, errors), (BRIDGE_POSITION_LOST, policies)):
        for value in values:
            family.labels(value)
    for reason in reasons:
        BRIDGE_RESYNC_REQUESTS.labels(reason)


def initialise_relay(agents: Iterable[str]) -> None:
    """Create at 0 the label sets of a relay process that serves `agents`."""
    BUILD_INFO.labels(version("fakturo")).set(1)
    for agent in agents:
        for family in (RELAY_PUBLISHED, RELAY_TRANSACTION_SECONDS, RELAY_STOPPED, OUTBOX_PENDING, OUTBOX_OLDEST_AGE):
            family.labels(agent)
        for family in (PARKED, OLDEST_PARKED_AGE):
            family.labels(agent)
