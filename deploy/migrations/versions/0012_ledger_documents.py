"""What the ledger books besides invoices and payments: credit notes, voids, write-offs and what comes back of them.

Revision ID: 0012

`open_minor`, what was written off and what was credited never pass the invoice's total; the database refuses it.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = (
    """
    INSERT INTO ledger.account (code, name, kind, by_party) VALUES
        ('4095', 'Credit notes', 'income', false),
        ('6100', 'Bad debt', 'expense', false)
    ON CONFLICT DO NOTHING
    """,
    # `written_off_minor` is what was given up and has not come back; a void invoice owes nothing for ever.
    """
    ALTER TABLE ledger.invoice
        ADD COLUMN written_off_minor bigint NOT NULL DEFAULT 0 CHECK (written_off_minor >= 0),
        ADD COLUMN credited_minor bigint NOT NULL DEFAULT 0 CHECK (credited_minor >= 0),
        ADD COLUMN is_void boolean NOT NULL DEFAULT false,
        ADD CHECK (open_minor + written_off_minor <= total_minor),
        ADD CHECK (credited_minor <= total_minor),
        ADD CHECK (NOT is_void OR (open_minor = 0 AND written_off_minor = 0))
    """,
    # A void or a credit note takes back what several payments had settled of one invoice.
    "ALTER TABLE ledger.allocation DROP CONSTRAINT allocation_pkey",
    "ALTER TABLE ledger.allocation ADD PRIMARY KEY (journal_id, invoice_id, payment_id)",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE ledger.allocation DROP CONSTRAINT allocation_pkey")
    op.execute("ALTER TABLE ledger.allocation ADD PRIMARY KEY (journal_id, invoice_id)")
    op.execute(
        "ALTER TABLE ledger.invoice DROP COLUMN written_off_minor, DROP COLUMN credited_minor, DROP COLUMN is_void"
    )
    op.execute("DELETE FROM ledger.account WHERE code IN ('4095', '6100')")
