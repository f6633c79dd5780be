"""Alerts of usage, once each; what final statements came to; marks that stay, and totals that running statements keep.

Revision ID: 0019
"""

from alembic import op

revision = "0019"
down_revision = "0017"
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
    # A mark stays when its statement was made: `since_at` is when totals changed first since then (NULL: they did not),
    # `from_at` the earliest quarter that did, `rest_until_at` the time before which no statement is made again.
    "DROP INDEX usage.dirty_id",
    """
    ALTER TABLE usage.dirty
        DROP COLUMN id, DROP COLUMN marked,
        ADD COLUMN since_at timestamptz DEFAULT clock_timestamp(),
        ADD COLUMN from_at timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00Z',
        ADD COLUMN rest_until_at timestamptz NOT NULL DEFAULT '-infinity'
    """,
    # What names the newest statement: one that says the same is not said again.
    "ALTER TABLE usage.statement ADD COLUMN content_hash bytea",
    "CREATE INDEX dirty_since ON usage.dirty (since_at) WHERE since_at IS NOT NULL",
    """
    -- The totals of a stretch from `start_at` up to `until_at`, so that a running statement need not add up its whole
    -- period each time: right as long as no quarter before `until_at` changes, which the marks tell. May be deleted at
    -- any time.
    CREATE TABLE usage.running_total (
        account_id text COLLATE "C" NOT NULL,
        meter_id integer NOT NULL,
        start_at timestamptz NOT NULL,
        end_at timestamptz NOT NULL,
        until_at timestamptz NOT NULL,
        newest_at timestamptz NOT NULL,
        lag_seconds integer NOT NULL,
        groups bytea NOT NULL,
        PRIMARY KEY (account_id, meter_id, start_at, end_at)
    ) WITH (fillfactor = 80)
    """,
)
DOWN = (
    "ALTER TABLE usage.statement DROP COLUMN content_hash",
    "DROP TABLE usage.running_total",
    "DROP INDEX usage.dirty_since",
    """
    ALTER TABLE usage.dirty
        DROP COLUMN since_at, DROP COLUMN from_at, DROP COLUMN rest_until_at,
        ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY, ADD COLUMN marked boolean NOT NULL DEFAULT true
    """,
    "CREATE INDEX dirty_id ON usage.dirty (id)",
    "ALTER TABLE usage.final_statement DROP COLUMN quantity, DROP COLUMN amount_minor, DROP COLUMN alerts",
    "DROP TABLE usage.threshold_alert",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
