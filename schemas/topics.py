"""The map of the system: every topic, who writes it, who reads it, its key and how long it is kept.

Place     `fakturo topics apply` creates these; agents and producers name topics only through this file, so a
          reader who wants to know where an event goes next looks here.
Flow      Salesforce -> bridge (and other people's topics -> crm_feed) -> sf.cdc.*; gaps -> sf.resync -> bridge
          sf.cdc.*, billing.catalog -> contracts -> billing.contracts -> usage, invoicing, kpi, crm_sync
          billing.usage -> usage -> billing.rated -> invoicing -> billing.invoices -> ledger, kpi
          billing.requests -> invoicing
          billing.payments -> ledger -> billing.ledger -> kpi -> billing.kpis
          billing.ledger -> invoicing, back: what was paid (feedback, so it does not hold invoicing's time)
          billing.invoices, billing.ledger, billing.kpis -> crm_sync -> Salesforce
"""

from dataclasses import dataclass

MEGABYTE = 1_048_576
BODY_BYTES_MAX = 4 * MEGABYTE
DEAD_LETTER_BODY_BYTES_MAX = 5 * MEGABYTE
DAY_SECONDS = 86_400

CLOCK_ADVANCED = "fakturo.clock.advanced.v1"
CLOCK_KEY = b"fakturo/clock"
"""Key of a tick in a compacted topic, which takes no record without one; elsewhere ticks have none."""
SEQUENCE_HEADER = "fakturo-sequence"
"""Gapless number, from 1, of a record among those of its topic and partition; ASCII digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic.

    `owner` is the agent that alone writes it, or None where others write it (then there is no sequence to check).
    `readers` are our agents' names; those among `feedback_readers` read what came of their own output, so its ticks do
    not hold their time (it would wait for itself). `retention_days` None keeps for ever; a compacted topic keeps the
    last record of each key, so its sequence may jump forward.
    """

    name: str
    key: str
    owner: str | None
    readers: tuple[str, ...]
    description: str
    feedback_readers: tuple[str, ...] = ()
    compacted: bool = False
    retention_days: int | None = 7
    body_bytes_max: int = BODY_BYTES_MAX


def _change_data(sobject: str) -> Topic:
    return Topic(
        name=f"sf.cdc.{sobject}",
        key="18-character record id",
        owner=None,
        readers=("contracts",),
        description=f"Salesforce Change Data Capture of {sobject}, one record a record id, canonical form.",
        retention_days=30,
    )


SF_ACCOUNT = _change_data("Account")
SF_ORDER = _change_data("Order")
SF_ORDER_ITEM = _change_data("OrderItem")
SF_PRODUCT = _change_data("Product2")
SF_CONTACT = _change_data("Contact")
SF_CONTRACT = _change_data("Contract")
SF_PRICEBOOK_ENTRY = _change_data("PricebookEntry")
SF_SELLING_MODEL = _change_data("ProductSellingModel")
SF_OPPORTUNITY = _change_data("Opportunity")
SF_ASSET = _change_data("Asset")
SF_TRANSACTION_JOURNAL = _change_data("TransactionJournal")
SF_CPQ_SUBSCRIPTION = _change_data("SBQQ__Subscription__c")
SF_OTHER = Topic(
    name="sf.cdc.other",
    key="18-character record id",
    owner=None,
    readers=("contracts",),
    description="Salesforce Change Data Capture of every object without a topic of its own: kept raw, and counted.",
    retention_days=30,
)
SF_TOPICS = (
    *(SF_ACCOUNT, SF_CONTACT, SF_CONTRACT, SF_ORDER, SF_ORDER_ITEM, SF_PRODUCT, SF_PRICEBOOK_ENTRY, SF_SELLING_MODEL),
    *(SF_OPPORTUNITY, SF_ASSET, SF_TRANSACTION_JOURNAL, SF_CPQ_SUBSCRIPTION, SF_OTHER),
)
_SF_BY_ENTITY = {topic.name.removeprefix("sf.cdc."): topic for topic in SF_TOPICS if topic is not SF_OTHER}


def change_data_topic(entity: str) -> Topic:
    """Return the topic on which the changes of the Salesforce object `entity` lie."""
    return _SF_BY_ENTITY.get(entity, SF_OTHER)


SF_RESYNC = Topic(
    name="sf.resync",
    key="Salesforce object",
    owner="salesforce",
    readers=(),
    description="What the bridge reads again: records after a gap, an object after an overflow or a lost position.",
    retention_days=30,
)
SF_PROGRESS = Topic(
    name="sf.progress",
    key="transactional id",
    owner="salesforce",
    readers=(),
    description="How far the bridge has published each stream, written in the same Kafka transaction.",
    compacted=True,
    retention_days=None,
)
BRIDGE_TOPICS = (SF_RESYNC, SF_PROGRESS)
"""The bridge's own: time does not pass there. It alone reads them, and writes them but for crm_feed's requests."""

USAGE = Topic(
    name="billing.usage",
    key="any; the account id is best",
    owner=None,
    readers=("usage",),
    description="Usage events of upstream systems; `subject` is the account, `time` the event time.",
    retention_days=30,
)
PAYMENTS = Topic(
    name="billing.payments",
    key="account",
    owner=None,
    readers=("ledger",),
    description="Payments received, failed, refunded and charged back, from banks and payment providers.",
    retention_days=30,
)
REQUESTS = Topic(
    name="billing.requests",
    key="account",
    owner=None,
    readers=("invoicing",),
    description="What people ask of invoicing: credit, coupons, points, approvals, voids, write-offs, credit notes.",
    retention_days=30,
)
CATALOG = Topic(
    name="billing.catalog",
    key="catalog",
    owner=None,
    readers=("contracts",),
    description="Price lists as they were published, each whole.",
    retention_days=None,
)
CONTRACTS = Topic(
    name="billing.contracts",
    key="account/kind/id",
    owner="contracts",
    readers=("usage", "invoicing", "kpi", "crm_sync"),
    description="Accounts and subscriptions, each with all its effective-dated versions.",
    compacted=True,
    retention_days=None,
)
RATED = Topic(
    name="billing.rated",
    key="account/kind/id/period",
    owner="usage",
    readers=("invoicing",),
    description="The running usage statement of an item and period; `final` once, when the period is complete.",
    compacted=True,
    retention_days=None,
)
ALERTS = Topic(
    name="billing.alerts",
    key="account",
    owner="usage",
    readers=(),
    description="Thresholds of quantity or money that usage reached, each once an item and period.",
)
INVOICES = Topic(
    name="billing.invoices",
    key="account",
    owner="invoicing",
    readers=("ledger", "kpi", "crm_sync"),
    description="Invoices, credit notes, and what became of credit and points: what accounting consumes.",
    retention_days=None,
)
LEDGER = Topic(
    name="billing.ledger",
    key="account",
    owner="ledger",
    readers=("kpi", "invoicing", "crm_sync"),
    feedback_readers=("invoicing",),
    description="Journals posted, each in balance.",
    retention_days=None,
)
KPIS = Topic(
    name="billing.kpis",
    key="account/kind/id/period",
    owner="kpi",
    readers=("crm_sync",),
    description="The newest value of each KPI, window and account.",
    compacted=True,
    retention_days=None,
)
COLLECTIONS = Topic(
    name="billing.collections",
    key="account",
    owner="collections",
    readers=(),
    description="Reminders sent, instalment plans agreed, payers rated.",
    retention_days=None,
)
DOCUMENTS = Topic(
    name="billing.documents",
    key="account",
    owner="documents",
    readers=(),
    description="Where the rendered documents of an invoice lie.",
    retention_days=None,
)
RELAY_PROGRESS = Topic(
    name="fakturo.relay.progress",
    key="transactional id",
    owner="relay",
    readers=("relay",),
    description="How far each relay has published its outbox, written in the same Kafka transaction.",
    compacted=True,
    retention_days=None,
)

SF_RETRY = Topic(
    name="sf.retry",
    key="as received",
    owner=None,
    readers=(),
    description="Dead letters of other people's topics that `fakturo dlq replay` put back: those we never write.",
    retention_days=30,
)
"""Read by crm_feed beside the topics of its setting; time does not pass there. ORIGIN_HEADER names the topic."""
ORIGIN_HEADER = "fakturo-origin-topic"

INPUT_TOPICS = (*SF_TOPICS, CATALOG, USAGE, REQUESTS, PAYMENTS)
"""The topics that others write and that the clock driver ticks."""

OUTPUT_TOPICS = (CONTRACTS, RATED, ALERTS, INVOICES, LEDGER, KPIS)

RESERVED_TOPICS = (COLLECTIONS, DOCUMENTS)
"""Contracts that are fixed while no agent of ours writes them yet: in AsyncAPI, not created, not waited for."""

TOPICS: dict[str, Topic] = {
    topic.name: topic for topic in (*INPUT_TOPICS, *OUTPUT_TOPICS, *BRIDGE_TOPICS, SF_RETRY, RELAY_PROGRESS)
}


def read_by(agent: str) -> tuple[Topic, ...]:
    """Return the topics that `agent` reads, in the map's order."""
    return tuple(topic for topic in TOPICS.values() if agent in topic.readers)


def feedback_of(agent: str) -> tuple[Topic, ...]:
    """Return those of the topics that `agent` reads whose ticks do not hold its time, in the map's order."""
    return tuple(topic for topic in read_by(agent) if agent in topic.feedback_readers)


def written_by(agent: str) -> tuple[Topic, ...]:
    """Return the topics that `agent` alone writes, in the map's order (dead-letter topics apart)."""
    return tuple(topic for topic in TOPICS.values() if topic.owner == agent)


def dead_letter_topic(name: str) -> Topic:
    """Return the dead-letter topic of the topic `name`, ours or other people's."""
    return Topic(
        name=f"{name}.dlq",
        key="as received",
        owner=None,
        readers=(),
        description=f"What of {name} could not be processed: bytes and headers as received.",
        retention_days=None,
        body_bytes_max=DEAD_LETTER_BODY_BYTES_MAX,
    )


def dead_letter_topics() -> tuple[Topic, ...]:
    """Return the dead-letter topic of every topic of the map that an agent of ours reads."""
    read = [topic for topic in TOPICS.values() if topic.readers and topic is not RELAY_PROGRESS]
    return tuple(dead_letter_topic(topic.name) for topic in (*read, SF_RETRY))
