"""What must be the same to the byte after a storm and after a calm run: these tables, column by column.

Place     books.py writes and compares them. A table, or a column of these tables, that is named neither as compared nor
          as left out fails the test (and test_compared.py, without a storm), so none escapes by being new.
Left out  append times (when a record reached the broker or a row the database: another instant in each run), the order
          of invoice numbers (which of two accounts gets the lower one is settled by who commits first; that the numbers
          are without a gap and each once is checked apart), and what is nothing but one of these in another form.
"""

from dataclasses import dataclass, field

APPENDED = "append time: when the tick or event that brought it was recorded"
NUMBERED = "the order of invoice numbers is that of the commits"
HASH_OF_NUMBER = "hash of an event that holds the invoice's number"
MOVED = "where it lies in the topic; a driver that had to send again moves it"
IN_ORDER_OF_INSERTION = "a surrogate given in the order of insertion; the row's content is compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the books: `columns` are compared.

    `left_out` says of each other column why it is not compared; `without` names the keys of a JSON column that are not,
    `where` the rows that are compared, if not all.
    """

    name: str
    columns: tuple[str, ...]
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    where: str = ""


SUMS = (
    "invoices",
    "net_minor",
    "gross_minor",
    "receivable_minor",
    "fees_minor",
    "bad_debt_minor",
    "settled_minor",
    "delay_minor_days",
    "age_minor_days",
    "on_time_minor",
    "recurring_minor",
    "usage_minor",
    "won",
    "cycle_days",
)
VALUE = ("account", "currency", "kpi", "window", "as_of", "value", "numerator", "denominator")

USAGE_BOOKS = (
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

INVOICE_BOOKS = (
    Table(
        name="invoicing.invoice",
        columns=(
            "account",
            "period_start_at",
            "revision",
            "invoice_id",
            "currency",
            "period_end_at",
            "issue_on",
            "due_on",
            "subtotal_minor",
            "tax_minor",
            "total_minor",
            "content",
            "seller_code",
            "cost_centre",
            "kind",
            "status",
            "due_minor",
            "moved_minor",
            "written_off_minor",
            "credited_minor",
            "settled_count",
            "written_off_count",
            "voided_on",
            "requested",
        ),
        without={"content": ("number",)},
        left_out={"number": NUMBERED, "recorded_at": APPENDED},
    ),
    Table(
        name="invoicing.invoice_line",
        columns=(
            "invoice_id",
            "line_no",
            "line_id",
            "subscription_item",
            "product_code",
            "description",
            "explanation",
            "quantity",
            "unit",
            "unit_amount",
            "amount_exact",
            "amount_minor",
            "period_start_at",
            "period_end_at",
            "tax_category",
            "tax_rate_percent",
            "price_hash",
            "item_period_start_at",
            "item_period_end_at",
            "sequence",
            "kind",
            "counts",
            "rated_minor",
            "corrects",
            "corrects_invoice",
            "used_by",
            "cost_centre",
            "tax_country",
            "prices_include_tax",
            "credited_minor",
            "discount_shares",
            "credited_shares",
            "tax_minor",
        ),
    ),
    Table(name="invoicing.series", columns=("seller_code", "series", "last_number")),
    Table(
        name="invoicing.tax_position",
        columns=("invoice_id", "category", "rate_percent", "country", "taxable_minor", "tax_minor"),
    ),
    Table(name="invoicing.billed_period", columns=("subscription_item", "period_start_at", "period_end_at")),
    Table(name="invoicing.request", columns=("source", "id", "payload_sha256")),
    Table(
        name="invoicing.subscription",
        columns=("subscription_id", "account_id", "currency", "seller_code", "content"),
        left_out={"recorded_at": APPENDED},
    ),
)

CREDIT_BOOKS = (
    Table(name="invoicing.coupon_budget", columns=("code", "currency", "budget_minor", "spent_minor")),
    Table(
        name="invoicing.coupon_holder",
        columns=(
            "holder_id",
            "account_id",
            "subscription_id",
            "code",
            "content",
            "uses_max",
            "used_count",
            "known_watermark_at",
            "payload_sha256",
        ),
    ),
    Table(name="invoicing.coupon_use", columns=("invoice_id", "holder_id", "code", "amount_minor")),
    Table(
        name="invoicing.credit_grant",
        columns=(
            "grant_id",
            "account_id",
            "currency",
            "kind",
            "description",
            "priority",
            "expires_on",
            "amount_minor",
            "used_minor",
            "expired_minor",
            "known_watermark_at",
            "payload_sha256",
        ),
    ),
    Table(name="invoicing.credit_use", columns=("invoice_id", "grant_id", "amount_minor")),
    Table(
        name="invoicing.credit_alert",
        columns=("account_id", "currency", "threshold_minor", "is_low", "fall_count"),
    ),
    Table(name="invoicing.released_invoice", columns=("invoice_id",)),
)

LEDGER_BOOKS = (
    Table(name="ledger.account", columns=("code", "name", "kind", "by_party")),
    Table(
        name="ledger.journal",
        columns=("journal_id", "kind", "account", "source_type", "source_id", "effective_on", "line_count"),
        left_out={"recorded_at": APPENDED},
    ),
    Table(
        name="ledger.line",
        columns=("journal_id", "line_no", "account_code", "party", "currency", "amount_minor", "invoice_id"),
    ),
    Table(name="ledger.balance", columns=("account_code", "party", "currency", "amount_minor", "postings")),
    Table(
        name="ledger.invoice",
        columns=(
            "invoice_id",
            "account",
            "currency",
            "issued_on",
            "due_on",
            "total_minor",
            "open_minor",
            "written_off_minor",
            "credited_minor",
            "is_void",
        ),
        left_out={"number": NUMBERED, "payload_sha256": HASH_OF_NUMBER},
    ),
    Table(
        name="ledger.payment",
        columns=(
            "payment_id",
            "type",
            "account",
            "currency",
            "amount_minor",
            "fee_minor",
            "method",
            "received_at",
            "recorded_at",
            "credit_minor",
            "returned_minor",
            "payload_sha256",
        ),
    ),
    Table(name="ledger.allocation", columns=("journal_id", "invoice_id", "payment_id", "amount_minor")),
)

KPI_BOOKS = (
    Table(name="kpi.value", columns=VALUE),
    Table(name="kpi.value_history", columns=VALUE),
    Table(
        name="kpi.move",
        columns=(
            *("account", "currency", "corrected_on", "effective_on", "booked_on"),
            *("net_minor", "gross_minor", "invoices"),
        ),
    ),
    Table(name="kpi.restated", columns=(*VALUE, "known_on")),
    Table(name="kpi.restated_due", columns=("account", "as_of", "due_on")),
    Table(name="kpi.day", columns=("account", "currency", "day", *SUMS)),
    Table(name="kpi.total", columns=("account", "currency", "facts", *SUMS)),
    Table(name="kpi.activity", columns=("account", "currency", "window")),
    Table(name="kpi.active", columns=("currency", "window", "customers")),
    Table(
        name="kpi.settlement",
        columns=("account", "currency", "invoice_id", "payment_id", "paid_on", "amount_minor", "tiled"),
        left_out={"settlement_id": IN_ORDER_OF_INSERTION},
    ),
)

CRM_BOOKS = (
    Table(
        name="crm_sync.account",
        columns=("account", "salesforce_id", "record_id", "currency", "versions", "recorded_at", "next_invoice_on"),
        left_out={"place": MOVED},
    ),
    Table(
        name="crm_sync.subscription",
        columns=("subscription_id", "account", "payer", "items", "recorded_at", "due_at", "next_invoice_on"),
        left_out={"place": MOVED},
    ),
    Table(
        name="crm_sync.kpi",
        columns=("account", "kpi", "window", "currency", "value"),
        left_out={"place": MOVED},
    ),
    Table(
        name="crm_sync.receivable",
        columns=("journal_id", "line_no", "invoice_id", "kind", "amount_minor", "effective_on"),
    ),
    Table(
        name="crm_sync.invoice",
        columns=("invoice_id", "account", "stage"),
        left_out={"place": MOVED, "head": "it holds the invoice's number; what is made of it is compared as written"},
    ),
    Table(
        name="crm_sync.written",
        columns=(
            "entity",
            "key",
            "account",
            "parent_key",
            "fields",
            "dirty",
            "held",
            "attempts",
            "retry_at",
            "refused",
            "failure",
        ),
        # A line of a draft that is no more was there only if that draft was published: drafts are as the batches fell.
        where="fields IS NOT NULL",
        # Of a line the name is its description once more.
        without={"fields": ("Name",)},
        left_out={
            "hash": HASH_OF_NUMBER,
            "pushed_hash": HASH_OF_NUMBER,
            "generation": "how often it changed on the way: drafts and KPIs are published as the batches fall",
            "record_id": "the org gives it in the order of its creations",
            "changed_at": APPENDED,
            "pushed_at": "when the org answered",
        },
    ),
)

COMPARED: tuple[Table, ...] = (*USAGE_BOOKS, *INVOICE_BOOKS, *CREDIT_BOOKS, *LEDGER_BOOKS, *KPI_BOOKS, *CRM_BOOKS)

ON_THE_WAY = "what is on its way, or where a worker stands; what came of it is compared"
INPUT = "the input as it stands here; what was made of it is compared"
IDENTITIES = "identities of what was booked, with hashes that hold numbers; the rows are compared"
NOTHING_HERE = "the storm's price list has no points, caps or commitments"

NOT_COMPARED: dict[str, str] = {
    **dict.fromkeys(
        (
            "crm_sync.hold",
            "invoicing.correction",
            "invoicing.draft",
            "invoicing.draft_item",
            "invoicing.news",
            "invoicing.running_statement",
            "invoicing.subscription_item",
            "kpi.live",
            "kpi.progress",
            "usage.dirty",
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
            "invoicing.account",
            "invoicing.final_statement",
            "kpi.account",
            "kpi.metered_item",
            "kpi.standing",
            "kpi.term",
            "usage.account",
            "usage.contracts_version",
            "usage.meter",
            "usage.subscription_item",
        ),
        INPUT,
    ),
    "usage.account_meter": "how much a new meter had to read: contracts of one batch are new together",
    **dict.fromkeys(
        ("usage.segment", "usage.segment_merged", "usage.identity", "usage.identity_collision"),
        "which events share a segment is as the batches fell; the events themselves are compared (books.EVENTS)",
    ),
    **dict.fromkeys(("ledger.event", "kpi.fact", "kpi.invoice", "kpi.journal"), IDENTITIES),
    **dict.fromkeys(
        (
            "invoicing.cap_use",
            "invoicing.commitment_term",
            "invoicing.point_balance",
            "invoicing.point_claim",
            "invoicing.point_lot",
            "invoicing.point_redemption",
            "invoicing.point_use",
        ),
        NOTHING_HERE,
    ),
}
"""Table -> why it is not compared. `contracts` and `runtime` are the input and the machinery as a whole; `crm_feed`
has no tables, what it published is compared with what it read (foreign.py)."""
