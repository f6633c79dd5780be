"""The invoicing agent's tables: what of the contracts it needs, final statements, invoices, lines, number series.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA invoicing;

CREATE TABLE invoicing.account (
    account_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    content jsonb NOT NULL
);

-- The pointer is the period that is billed next; NULL when none will be. `known_watermark_at` is what time had reached
-- in the contract's partition when it came: a tick sees what is older. `tried_at` is the tick that last found the
-- account waiting for a final statement.
CREATE TABLE invoicing.subscription_item (
    subscription_item text COLLATE "C" PRIMARY KEY,
    subscription_id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    content jsonb NOT NULL,
    metered boolean NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    recorded_at timestamptz NOT NULL,
    known_watermark_at timestamptz NOT NULL,
    billed_until_at timestamptz,
    period_start_at timestamptz,
    next_period_end_at timestamptz,
    tried_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX subscription_item_due ON invoicing.subscription_item (next_period_end_at, account_id)
    WHERE next_period_end_at IS NOT NULL;
CREATE INDEX subscription_item_account ON invoicing.subscription_item (account_id);

CREATE TABLE invoicing.final_statement (
    subscription_item text COLLATE "C" NOT NULL,
    period_start_at timestamptz NOT NULL,
    content jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (subscription_item, period_start_at)
);

-- One counter a series: numbers are taken in the transaction of their invoices, so there is never a gap.
CREATE TABLE invoicing.series (
    series text PRIMARY KEY,
    last_number bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE invoicing.invoice (
    invoice_id text COLLATE "C" PRIMARY KEY,
    number text NOT NULL UNIQUE,
    account text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    period_start_at timestamptz NOT NULL, period_end_at timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    issue_on date NOT NULL, due_on date NOT NULL,
    subtotal_minor bigint NOT NULL, tax_minor bigint NOT NULL, total_minor bigint NOT NULL,
    content jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    UNIQUE (account, period_start_at, revision),
    CHECK (total_minor = subtotal_minor + tax_minor)
);

-- An item's slice is billed once: the database refuses a second line for it.
CREATE TABLE invoicing.invoice_line (
    line_id text COLLATE "C" PRIMARY KEY,
    invoice_id text COLLATE "C" NOT NULL REFERENCES invoicing.invoice,
    line_no integer NOT NULL,
    subscription_item text COLLATE "C" NOT NULL,
    product_code text NOT NULL,
    description text NOT NULL, explanation text NOT NULL,
    quantity numeric NOT NULL, unit text, unit_amount numeric,
    amount_exact numeric NOT NULL, amount_minor bigint NOT NULL,
    period_start_at timestamptz NOT NULL, period_end_at timestamptz NOT NULL,
    tax_category text NOT NULL, tax_rate_percent numeric NOT NULL,
    price_hash text,
    UNIQUE (invoice_id, line_no),
    UNIQUE (subscription_item, period_start_at)
);

-- What is due and waits, as a sentence.
CREATE VIEW invoicing.pending AS
SELECT account_id, subscription_item, period_start_at, next_period_end_at,
       format('the final statement of item %s for the period from %s has not come', subscription_item, period_start_at)
       AS message
  FROM invoicing.subscription_item WHERE tried_at IS NOT NULL AND metered AND next_period_end_at <= tried_at;
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA invoicing CASCADE")
