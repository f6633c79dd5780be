"""The usage agent's tables: accounts and meters, raw events, quarter-hour totals, statements.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA usage;

-- One row: how often contracts changed. A worker whose cache is older reads what changed since.
CREATE TABLE usage.contracts_version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    version bigint NOT NULL DEFAULT 0
);
INSERT INTO usage.contracts_version DEFAULT VALUES;

-- Meter definitions by content: another filter is another meter, totalled anew from the raw events.
CREATE TABLE usage.meter (
    meter_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    definition_hash text NOT NULL UNIQUE,
    code text NOT NULL,
    definition jsonb NOT NULL
);

-- `content` is the event's data, NULL while only a subscription has arrived; `meter_ids` are those of its items.
CREATE TABLE usage.account (
    account_id text COLLATE "C" PRIMARY KEY,
    salesforce_id text COLLATE "C",
    content jsonb,
    meter_ids integer[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 0
);
CREATE INDEX account_salesforce_id ON usage.account (salesforce_id);
CREATE INDEX account_version ON usage.account (version);

-- Metered items. The pointer is the period whose final statement comes next; NULL when none will come.
-- `problem` says why no statement can be made (a total below 0, no cell of a matrix); a new contract clears it.
-- `known_watermark_at` is what time had reached in the contract's partition when it came: a tick sees what is older.
CREATE TABLE usage.subscription_item (
    subscription_item text COLLATE "C" PRIMARY KEY,
    subscription_id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    meter_id integer NOT NULL REFERENCES usage.meter,
    content jsonb NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    recorded_at timestamptz NOT NULL,
    known_watermark_at timestamptz NOT NULL,
    finalized_until_at timestamptz,
    problem text,
    period_start_at timestamptz,
    next_period_end_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX subscription_item_due ON usage.subscription_item (next_period_end_at, subscription_item)
    WHERE next_period_end_at IS NOT NULL AND problem IS NULL;
CREATE INDEX subscription_item_account ON usage.subscription_item (account_id, meter_id);
CREATE INDEX subscription_item_subscription ON usage.subscription_item (subscription_id);

-- Identity and raw event in one: unique without a window, so no time is in the key.
CREATE TABLE usage.event (
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    payload_hash bytea NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    late boolean NOT NULL,
    recorded_at timestamptz NOT NULL,
    partition integer NOT NULL, "offset" bigint NOT NULL,
    PRIMARY KEY (source, id)
) PARTITION BY HASH (source, id);

-- What any of count, sum, max, min and last needs to know, by quarter of an hour in UTC.
CREATE TABLE usage.rollup (
    account_id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    bucket_start_at timestamptz NOT NULL,
    dimensions text COLLATE "C" NOT NULL,
    event_count bigint NOT NULL,
    sum_value numeric NOT NULL,
    max_value numeric, min_value numeric, last_value numeric,
    last_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, meter_id, bucket_start_at, dimensions)
) WITH (fillfactor = 80);

-- Totals that changed since their statement was published; the oldest mark comes first.
CREATE TABLE usage.dirty (
    id bigint GENERATED ALWAYS AS IDENTITY,
    account_id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    marked boolean NOT NULL DEFAULT true,
    PRIMARY KEY (account_id, meter_id)
) WITH (fillfactor = 50);
CREATE INDEX dirty_id ON usage.dirty (id);

-- The newest statement of each item: running, or final.
CREATE TABLE usage.statement (
    subscription_item text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    subscription_id text COLLATE "C" NOT NULL,
    product_code text NOT NULL,
    product_name text NOT NULL,
    meter text NOT NULL,
    unit text,
    currency text NOT NULL,
    period_start_at timestamptz NOT NULL, period_end_at timestamptz NOT NULL,
    quantity numeric NOT NULL,
    amount_exact numeric NOT NULL,
    amount_minor bigint NOT NULL,
    next_tier_remaining numeric, next_tier_unit_amount numeric,
    as_of timestamptz NOT NULL,
    final boolean NOT NULL,
    content jsonb NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX statement_account ON usage.statement (account_id);
"""

EVENT_PARTITIONS = 8

PARTITION = """
CREATE TABLE usage.event_{number} PARTITION OF usage.event FOR VALUES WITH (MODULUS {modulus}, REMAINDER {number});
CREATE INDEX event_{number}_late ON usage.event_{number} (account_id, at) WHERE late;
CREATE INDEX event_{number}_at ON usage.event_{number} USING brin (at) WITH (autosummarize = on);
"""


def _statements() -> list[str]:
    partitions = [PARTITION.format(number=number, modulus=EVENT_PARTITIONS) for number in range(EVENT_PARTITIONS)]
    return [statement for part in (UP, *partitions) for statement in part.split(";\n") if statement.strip()]


def upgrade() -> None:
    for statement in _statements():
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA usage CASCADE")
