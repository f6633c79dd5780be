"""What is compared of the KPIs' books: values, their history and restatements, the sums that they are made of.

Place     table -> [this] -> compared.py.
"""

from tests.storm.tables.table import IDENTITIES, IN_ORDER_OF_INSERTION, INPUT, ON_THE_WAY, Table

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

COMPARED: tuple[Table, ...] = (
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
    Table(
        name="kpi.total",
        columns=("account", "currency", *SUMS),
        # A change of fixed charges on a later day is one fact, or two where the contract came in two parts.
        left_out={"facts": "in how many steps the sums came: a contract is published as its records are known"},
    ),
    Table(name="kpi.activity", columns=("account", "currency", "window")),
    Table(name="kpi.active", columns=("currency", "window", "customers")),
    Table(
        name="kpi.settlement",
        columns=("account", "currency", "invoice_id", "payment_id", "paid_on", "amount_minor", "tiled"),
        left_out={"settlement_id": IN_ORDER_OF_INSERTION},
    ),
)

NOT_COMPARED: dict[str, str] = {
    **dict.fromkeys(
        (
            "kpi.live",
            "kpi.progress",
        ),
        ON_THE_WAY,
    ),
    **dict.fromkeys(
        (
            "kpi.account",
            "kpi.metered_item",
            "kpi.standing",
            "kpi.term",
        ),
        INPUT,
    ),
    **dict.fromkeys(
        (
            "kpi.fact",
            "kpi.invoice",
            "kpi.journal",
        ),
        IDENTITIES,
    ),
}
