"""Thresholds of usage that were reached and told of, once each; what final statements came to.

Revision ID: 0019
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

UP = (
    """
    -- One row a threshold of an item that a statement of a period was the first to reach. `quantity`, `amount_minor`
    -- and `as_of` are that statement's; a threshold of an amount is in minor units of `currency`.
    CREATE TABLE usage.threshold_alert (
        subscription_item text COLLATE "C" NOT NULL,
        period_start_at timestamptz NOT NULL,
        kind text COLLATE "C" NOT NULL CHECK (kind IN ('quantity', 'amount')),
        threshold numeric NOT NULL CHECK (threshold > 0),
        period_end_at timestamptz NOT NULL CHECK (period_end_at > period_start_at),
        account_id text COLLATE "C" NOT NULL,
        subscription_id text COLLATE "C" NOT NULL,
        product_code text NOT NULL,
        meter text NOT NULL,
        currency text NOT NULL,
        quantity numeric NOT NULL,
        amount_minor bigint NOT NULL,
        as_of timestamptz NOT NULL,
        final boolean NOT NULL,
        PRIMARY KEY (subscription_item, period_start_at, kind, threshold),
        CHECK (threshold <= CASE kind WHEN 'quantity' THEN quantity ELSE amount_minor END)
    )
    """,
    "CREATE INDEX threshold_alert_account ON usage.threshold_alert (account_id, period_start_at)",
    # NULL in rows from before: what they came to stands in invoicing's copy of the statement. `alerts` are the
    # thresholds that the contract named when the statement was made, NULL for none.
    """
    ALTER TABLE usage.final_statement
        ADD COLUMN quantity numeric, ADD COLUMN amount_minor bigint, ADD COLUMN alerts jsonb
    """,
)
DOWN = (
    "ALTER TABLE usage.final_statement DROP COLUMN quantity, DROP COLUMN amount_minor, DROP COLUMN alerts",
    "DROP TABLE usage.threshold_alert",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
