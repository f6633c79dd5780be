"""What must be the same to the byte after a storm and after a calm run: these tables, column by column.

Place     books.py writes and compares them. A column of these tables that is named neither as compared nor as left out
          fails the test, so none escapes by being new.
Left out  append times (when a record reached the broker or a row the database: another instant in each run), the order
          of invoice numbers (which of two accounts gets the lower one is settled by who commits first; that the numbers
          are without a gap and each once is checked apart), and what is nothing but one of these in another form.
"""

from dataclasses import dataclass, field

APPENDED = "append time: when the tick or event that brought it was recorded"
NUMBERED = "the order of invoice numbers is that of the commits"
HASH_OF_NUMBER = "hash of an event that holds the invoice's number"
IN_ORDER_OF_INSERTION = "a surrogate given in the order of insertion; the row's content is compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the books: `columns` are compared.

    `left_out` says of each other column why it is not compared; `without` names the keys of a JSON column that are not.
    """

    name: str
    columns: tuple[str, ...]
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


SUMS = (
    "invoices",
    "net_minor",
    "gross_minor",
    "receivable_minor",
    "fees_minor",
    "bad_debt_minor",
    "settled_minor",
    "delay_minor_days",
)
VALUE = ("account", "currency", "kpi", "window", "as_of", "value", "numerator", "denominator")

USAGE_BOOKS = (
    Table(
        name="usage.event",
        columns=(
            "source",
            "id",
            "payload_hash",
            "account_id",
            "type",
            "at",
            "data",
            "late",
            "recorded_at",
            "partition",
        ),
        left_out={"offset": "where it lies in the topic; a driver that had to send again moves it"},
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
        ),
    ),
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
        columns=("invoice_id", "account", "currency", "issued_on", "due_on", "total_minor", "open_minor"),
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

COMPARED: tuple[Table, ...] = (*USAGE_BOOKS, *INVOICE_BOOKS, *LEDGER_BOOKS, *KPI_BOOKS)
