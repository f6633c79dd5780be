"""What is compared of crm_sync's books: what it wants written to the org, field by field.

Place     table -> [this] -> compared.py.
"""

from tests.storm.tables.table import APPENDED, HASH_OF_NUMBER, MOVED, ON_THE_WAY, Table

COMPARED: tuple[Table, ...] = (
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

NOT_COMPARED: dict[str, str] = {
    **dict.fromkeys(
        ("crm_sync.hold",),
        ON_THE_WAY,
    ),
}
