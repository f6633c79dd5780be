"""What is compared of the usage agent's books; the stored events are compared decoded (books.EVENTS).

Place     table -> [this] -> compared.py.
"""

from tests.storm.tables.table import APPENDED, INPUT, MOVED, ON_THE_WAY, Table

COMPARED: tuple[Table, ...] = (
    Table(
        name="usage.event_rated",
        columns=("account_id", "type", "at", "partition", "source", "id", "data", "watermark_at"),
        left_out={"offset": MOVED},
    ),
    Table(
        name="usage.correction",
        columns=(
            "source",
            "id",
            "payload_hash",
            "at",
            "corrects_source",
            "corrects_id",
            "root_source",
            "root_id",
            "replacement_source",
            "replacement_id",
            "known_watermark_at",
            "recorded_at",
            "partition",
        ),
        left_out={"offset": MOVED},
    ),
    Table(name="usage.superseded_event", columns=("source", "id", "account_id", "type", "at", "known_watermark_at")),
    Table(
        name="usage.rerate_request",
        columns=("source", "id", "payload_hash", "account_id", "start_at", "end_at", "totalled_until_at", "done"),
        left_out={"known_watermark_at": "when it was asked for", "recorded_at": APPENDED},
    ),
    Table(
        name="usage.final_statement",
        columns=(
            "subscription_item",
            "period_start_at",
            "revision",
            "period_end_at",
            "content_hash",
            "signature",
            "quantity",
            "amount_minor",
            "alerts",
        ),
    ),
    Table(
        name="usage.threshold_alert",
        columns=(
            "subscription_item",
            "period_start_at",
            "kind",
            "threshold",
            "period_end_at",
            "account_id",
            "subscription_id",
            "product_code",
            "meter",
            "currency",
        ),
        left_out=dict.fromkeys(
            ("quantity", "amount_minor", "as_of", "final"),
            "of the statement that was the first to reach it: running ones are made as the batches fall",
        ),
        # What only a running statement reached, because usage was taken back later, is said if one was made just then.
        where="EXISTS (SELECT FROM usage.final_statement f "
        "WHERE f.subscription_item = threshold_alert.subscription_item "
        "AND f.period_start_at = threshold_alert.period_start_at "
        "AND threshold <= CASE kind WHEN 'quantity' THEN f.quantity ELSE f.amount_minor END)",
    ),
)

NOT_COMPARED: dict[str, str] = {
    **dict.fromkeys(
        (
            "usage.dirty",
            "usage.kept_level",
            "usage.late_rollup",
            "usage.retention",
            "usage.retotal_due",
            "usage.revision_due",
            "usage.rollup",
            "usage.running_total",
            "usage.statement",
        ),
        ON_THE_WAY,
    ),
    **dict.fromkeys(
        (
            "usage.account",
            "usage.contracts_version",
            "usage.meter",
            "usage.subscription_item",
        ),
        INPUT,
    ),
    "usage.account_meter": "how much a new meter had to read: contracts of one batch are new together",
    **dict.fromkeys(
        (
            "usage.segment",
            "usage.segment_merged",
            "usage.identity",
            "usage.identity_collision",
        ),
        "which events share a segment is as the batches fell; the events themselves are compared (books.EVENTS)",
    ),
}
