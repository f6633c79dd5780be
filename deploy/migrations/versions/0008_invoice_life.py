"""The life of an invoice: its status, what is open and credited of it, and the requests that were done.

Revision ID: 0008

What must not be stands here as a CHECK: more credited than an invoice or a line was worth, a void invoice with a credit
note on it.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UP = (
    # `moved_minor` is the sum of the ledger's lines on 1200 after the invoice's own: amount due and it is what is open.
    # `settled_count` and `written_off_count` tell the events of a second time from those of the first.
    """
    ALTER TABLE invoicing.invoice
        ADD COLUMN status text NOT NULL DEFAULT 'open'
            CONSTRAINT invoice_status CHECK (status IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
        ADD COLUMN due_minor bigint NOT NULL
            GENERATED ALWAYS AS ((content ->> 'amount_due_minor')::bigint) STORED,
        ADD COLUMN moved_minor bigint NOT NULL DEFAULT 0,
        ADD COLUMN written_off_minor bigint NOT NULL DEFAULT 0,
        ADD COLUMN credited_minor bigint NOT NULL DEFAULT 0,
        ADD COLUMN settled_count integer NOT NULL DEFAULT 0,
        ADD COLUMN written_off_count integer NOT NULL DEFAULT 0,
        ADD COLUMN voided_on date,
        ADD COLUMN requested boolean NOT NULL GENERATED ALWAYS AS (starts_with(invoice_id, 'crn_')) STORED,
        ADD CONSTRAINT invoice_left_to_credit CHECK (credited_minor BETWEEN 0 AND greatest(total_minor, 0)),
        ADD CONSTRAINT invoice_void_uncredited CHECK (status <> 'void' OR credited_minor = 0)
    """,
    """
    ALTER TABLE invoicing.invoice_line
        ADD COLUMN credited_minor bigint NOT NULL DEFAULT 0,
        ADD CONSTRAINT line_left_to_credit CHECK (credited_minor BETWEEN 0 AND greatest(amount_minor, 0))
    """,
    """
    CREATE INDEX invoice_line_corrects ON invoicing.invoice_line (corrects_invoice) WHERE corrects_invoice IS NOT NULL
    """,
    # A credit note that was asked for stands beside the documents of its period, and its lines bill nothing.
    """
    ALTER TABLE invoicing.invoice
        DROP CONSTRAINT invoice_account_seller_code_cost_centre_period_start_at_rev_key
    """,
    """
    CREATE UNIQUE INDEX invoice_revision ON invoicing.invoice
        (account, seller_code, cost_centre, period_start_at, revision) WHERE NOT requested
    """,
    "ALTER TABLE invoicing.invoice_line DROP CONSTRAINT invoice_line_subscription_item_period_start_at_sequence_key",
    """
    CREATE UNIQUE INDEX invoice_line_slice ON invoicing.invoice_line (subscription_item, period_start_at, sequence)
        WHERE counts
    """,
    # Identity of a request that was done: no window, and none of one that was refused.
    """
    CREATE TABLE invoicing.request (
        source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
        payload_sha256 bytea NOT NULL,
        PRIMARY KEY (source, id)
    )
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE invoicing.request")
    op.execute("DROP INDEX invoicing.invoice_revision, invoicing.invoice_line_slice, invoicing.invoice_line_corrects")
