"""What was billed of an item and period, corrections, sellers, consolidated and split invoices.

Revision ID: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = """
-- Subscriptions without their items: seller, coupons, commitment, threshold and the rest that shapes an invoice.
CREATE TABLE invoicing.subscription (
    subscription_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    seller_code text NOT NULL DEFAULT '',
    content jsonb NOT NULL,
    recorded_at timestamptz NOT NULL
);

-- What has come and is not in force yet: a contract or a revised statement holds from the first tick after it, so what
-- an invoice holds does not depend on how far a worker had read. `known_watermark_at` is what time had reached in its
-- partition when it came.
CREATE TABLE invoicing.news (
    known_watermark_at timestamptz NOT NULL,
    topic text COLLATE "C" NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('account', 'subscription', 'statement', 'running')),
    content jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (known_watermark_at, topic, partition, "offset")
);

CREATE INDEX news_watched ON invoicing.news (known_watermark_at)
    WHERE kind = 'subscription' AND content ->> 'billing_threshold_minor' IS NOT NULL;

-- `due_at` is when the period that is billed next falls due, `payer_id` who pays for it then, `problem` why an item
-- cannot be billed; it waits for a new contract.
ALTER TABLE invoicing.subscription_item
    ADD COLUMN payer_id text COLLATE "C", ADD COLUMN due_at timestamptz,
    ADD COLUMN seller_code text NOT NULL DEFAULT '', ADD COLUMN problem text;
UPDATE invoicing.subscription_item SET payer_id = account_id, due_at = next_period_end_at;
DROP INDEX invoicing.subscription_item_due;
CREATE INDEX subscription_item_due ON invoicing.subscription_item (due_at, payer_id) WHERE due_at IS NOT NULL;
CREATE INDEX subscription_item_payer ON invoicing.subscription_item (payer_id) WHERE due_at IS NOT NULL;

ALTER TABLE invoicing.final_statement ADD COLUMN revision integer NOT NULL DEFAULT 1;
ALTER TABLE invoicing.final_statement DROP CONSTRAINT final_statement_pkey;
ALTER TABLE invoicing.final_statement ADD PRIMARY KEY (subscription_item, period_start_at, revision);

-- The newest running statement of the items whose subscription is billed at a threshold.
CREATE TABLE invoicing.running_statement (
    subscription_item text COLLATE "C" PRIMARY KEY,
    subscription_id text COLLATE "C" NOT NULL,
    period_start_at timestamptz NOT NULL, period_end_at timestamptz NOT NULL,
    amount_minor bigint NOT NULL,
    content jsonb NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX running_statement_subscription ON invoicing.running_statement (subscription_id);

-- Each period of an item that has been billed, or is on a draft: a change of the contract is held against it.
CREATE TABLE invoicing.billed_period (
    subscription_item text COLLATE "C" NOT NULL,
    period_start_at timestamptz NOT NULL, period_end_at timestamptz NOT NULL,
    PRIMARY KEY (subscription_item, period_start_at)
);
INSERT INTO invoicing.billed_period
SELECT s.subscription_item, p.start_at, p.end_at FROM invoicing.subscription_item s JOIN (
    SELECT DISTINCT subscription_item, i.period_start_at AS start_at, i.period_end_at AS end_at
      FROM invoicing.invoice_line l JOIN invoicing.invoice i USING (invoice_id)) p USING (subscription_item);

-- Periods to look at again, and on which invoice: `due_at` and `payer_id` are set once all that came with it is known.
-- `running` bills what the running statement holds so far; `reissues` names the void invoice that it stands for.
CREATE TABLE invoicing.correction (
    subscription_item text COLLATE "C" NOT NULL,
    period_start_at timestamptz NOT NULL, period_end_at timestamptz NOT NULL,
    known_watermark_at timestamptz NOT NULL,
    at_once boolean NOT NULL DEFAULT false,
    running boolean NOT NULL DEFAULT false,
    reissues text,
    payer_id text COLLATE "C", due_at timestamptz, ready_at timestamptz, tried_at timestamptz,
    PRIMARY KEY (subscription_item, period_start_at)
);
CREATE INDEX correction_ready ON invoicing.correction (ready_at, payer_id);

-- An invoice in review: no number yet, made anew when it is finalised. `ready_at` ends the review window.
CREATE TABLE invoicing.draft (
    invoice_id text COLLATE "C" PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    seller_code text NOT NULL, currency text NOT NULL, cost_centre text NOT NULL,
    period_start_at timestamptz NOT NULL, revision integer NOT NULL CHECK (revision >= 1),
    due_at timestamptz NOT NULL, ready_at timestamptz NOT NULL,
    approval_required boolean NOT NULL, approved_at timestamptz,
    stale boolean NOT NULL DEFAULT false,
    draft_no integer NOT NULL DEFAULT 1 CHECK (draft_no >= 1),
    reissues text,
    content jsonb NOT NULL,
    UNIQUE (account, seller_code, cost_centre, period_start_at, revision)
);
CREATE INDEX draft_ready ON invoicing.draft (ready_at);
CREATE TABLE invoicing.draft_item (
    subscription_item text COLLATE "C" NOT NULL,
    period_start_at timestamptz NOT NULL, period_end_at timestamptz NOT NULL,
    invoice_id text COLLATE "C" NOT NULL REFERENCES invoicing.draft ON DELETE CASCADE,
    PRIMARY KEY (subscription_item, period_start_at)
);
CREATE INDEX draft_item_invoice ON invoicing.draft_item (invoice_id);

-- Numbers are gapless by seller and series; '' is the seller of the settings.
ALTER TABLE invoicing.series ADD COLUMN seller_code text NOT NULL DEFAULT '';
ALTER TABLE invoicing.series DROP CONSTRAINT series_pkey;
ALTER TABLE invoicing.series ADD PRIMARY KEY (seller_code, series);

ALTER TABLE invoicing.invoice
    ADD COLUMN seller_code text NOT NULL DEFAULT '', ADD COLUMN cost_centre text NOT NULL DEFAULT '',
    ADD COLUMN kind text NOT NULL DEFAULT 'invoice' CHECK (kind IN ('invoice', 'credit_note'));
ALTER TABLE invoicing.invoice DROP CONSTRAINT invoice_number_key;
ALTER TABLE invoicing.invoice ADD UNIQUE (seller_code, number);
ALTER TABLE invoicing.invoice DROP CONSTRAINT invoice_account_period_start_at_revision_key;
ALTER TABLE invoicing.invoice ADD UNIQUE (account, seller_code, cost_centre, period_start_at, revision);

-- `rated_minor` is the amount as rated, which corrections are measured against (an amount is net, also where prices
-- include tax). `used_by` is the account that used it, where a parent pays.
-- `counts` is false once a line is to be billed again, and on lines that bill no period.
ALTER TABLE invoicing.invoice_line
    ADD COLUMN item_period_start_at timestamptz, ADD COLUMN item_period_end_at timestamptz,
    ADD COLUMN sequence integer NOT NULL DEFAULT 1 CHECK (sequence >= 1),
    ADD COLUMN kind text NOT NULL DEFAULT 'charge', ADD COLUMN counts boolean NOT NULL DEFAULT true,
    ADD COLUMN rated_minor bigint, ADD COLUMN corrects text COLLATE "C", ADD COLUMN corrects_invoice text COLLATE "C",
    ADD COLUMN used_by text COLLATE "C", ADD COLUMN cost_centre text, ADD COLUMN tax_country text,
    ADD COLUMN prices_include_tax boolean NOT NULL DEFAULT false;
UPDATE invoicing.invoice_line l SET rated_minor = amount_minor, item_period_start_at = i.period_start_at,
    item_period_end_at = i.period_end_at FROM invoicing.invoice i WHERE i.invoice_id = l.invoice_id;
ALTER TABLE invoicing.invoice_line ALTER COLUMN rated_minor SET NOT NULL,
    ALTER COLUMN item_period_start_at SET NOT NULL, ALTER COLUMN item_period_end_at SET NOT NULL;
ALTER TABLE invoicing.invoice_line DROP CONSTRAINT invoice_line_subscription_item_period_start_at_key;
ALTER TABLE invoicing.invoice_line ADD UNIQUE (subscription_item, period_start_at, sequence);
CREATE INDEX invoice_line_item_period ON invoicing.invoice_line (subscription_item, item_period_start_at);

-- What has been taxed of each group of an invoice, later corrections included.
CREATE TABLE invoicing.tax_position (
    invoice_id text COLLATE "C" NOT NULL REFERENCES invoicing.invoice,
    category text NOT NULL, rate_percent numeric NOT NULL, country text NOT NULL DEFAULT '',
    taxable_minor bigint NOT NULL, tax_minor bigint NOT NULL,
    PRIMARY KEY (invoice_id, category, rate_percent, country)
);
INSERT INTO invoicing.tax_position
SELECT i.invoice_id, t ->> 'category', (t ->> 'rate_percent')::numeric, coalesce(t ->> 'country', ''),
       (t ->> 'taxable_minor')::bigint, (t ->> 'tax_minor')::bigint
  FROM invoicing.invoice i, jsonb_array_elements(i.content -> 'taxes') t;

CREATE OR REPLACE VIEW invoicing.pending AS
SELECT account_id, subscription_item, period_start_at, next_period_end_at,
       coalesce(problem, format('the final statement of item %s for the period from %s has not come',
                                subscription_item, period_start_at)) AS message
  FROM invoicing.subscription_item
 WHERE problem IS NOT NULL OR (tried_at IS NOT NULL AND metered AND due_at <= tried_at);
"""

DOWN = """
DROP VIEW invoicing.pending;
DROP TABLE invoicing.tax_position, invoicing.draft_item, invoicing.draft, invoicing.correction, invoicing.billed_period,
    invoicing.running_statement, invoicing.news, invoicing.subscription;
ALTER TABLE invoicing.invoice_line DROP CONSTRAINT invoice_line_subscription_item_period_start_at_sequence_key;
DROP INDEX invoicing.invoice_line_item_period;
ALTER TABLE invoicing.invoice_line DROP COLUMN item_period_start_at, DROP COLUMN item_period_end_at,
    DROP COLUMN sequence, DROP COLUMN kind, DROP COLUMN counts, DROP COLUMN rated_minor, DROP COLUMN corrects,
    DROP COLUMN corrects_invoice, DROP COLUMN used_by, DROP COLUMN cost_centre, DROP COLUMN tax_country,
    DROP COLUMN prices_include_tax;
ALTER TABLE invoicing.invoice_line ADD UNIQUE (subscription_item, period_start_at);
ALTER TABLE invoicing.invoice DROP COLUMN seller_code, DROP COLUMN cost_centre, DROP COLUMN kind;
ALTER TABLE invoicing.invoice ADD UNIQUE (number), ADD UNIQUE (account, period_start_at, revision);
ALTER TABLE invoicing.series DROP CONSTRAINT series_pkey;
ALTER TABLE invoicing.series DROP COLUMN seller_code;
ALTER TABLE invoicing.series ADD PRIMARY KEY (series);
ALTER TABLE invoicing.final_statement DROP CONSTRAINT final_statement_pkey;
ALTER TABLE invoicing.final_statement DROP COLUMN revision;
ALTER TABLE invoicing.final_statement ADD PRIMARY KEY (subscription_item, period_start_at);
DROP INDEX invoicing.subscription_item_due;
DROP INDEX invoicing.subscription_item_payer;
ALTER TABLE invoicing.subscription_item DROP COLUMN payer_id, DROP COLUMN due_at, DROP COLUMN seller_code,
    DROP COLUMN problem;
CREATE INDEX subscription_item_due ON invoicing.subscription_item (next_period_end_at, account_id)
    WHERE next_period_end_at IS NOT NULL;
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
    """Take back what is new; books that hold a second line or document of what was unique before are refused."""
    for statement in DOWN.split(";\n"):
        if statement.strip():
            op.execute(statement)
