"""What is compared of the ledger's books: journals, balances, payments and what they settled.

Place     table -> [this] -> compared.py.
"""

from tests.storm.tables.table import APPENDED, HASH_OF_NUMBER, IDENTITIES, NUMBERED, Table

COMPARED: tuple[Table, ...] = (
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

NOT_COMPARED: dict[str, str] = {
    **dict.fromkeys(
        ("ledger.event",),
        IDENTITIES,
    ),
}
