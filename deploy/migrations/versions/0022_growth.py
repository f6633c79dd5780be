"""Partitions of usage by time: created ahead, detached on retention.

Revision ID: 0022
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

UP = (
    """
-- Where detached months go, whole: Fakturo reads nothing of it.
CREATE SCHEMA usage_retired;

-- One row: usage before `retained_from_at` has retired (NULL: none has). `swept_before_at` says up to where identities
-- were removed for good; `next_block` is where the removal goes on in the table `sweeping`.
CREATE TABLE usage.retention (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    retained_from_at timestamptz,
    swept_before_at timestamptz,
    sweeping text,
    next_block bigint NOT NULL DEFAULT 0
);
INSERT INTO usage.retention DEFAULT VALUES;

-- Quarter-hour totals by month: the index that live traffic writes to does not grow with history.
ALTER TABLE usage.rollup RENAME TO rollup_whole;
ALTER TABLE usage.rollup_whole RENAME CONSTRAINT rollup_pkey TO rollup_whole_pkey;
CREATE TABLE usage.rollup (LIKE usage.rollup_whole INCLUDING DEFAULTS) PARTITION BY RANGE (bucket_start_at);
ALTER TABLE usage.rollup ADD PRIMARY KEY (account_id, meter_id, bucket_start_at, dimensions)
""",
    """
DO $$
DECLARE month timestamp;
BEGIN
    FOR month IN
        SELECT date_trunc('month', bucket_start_at AT TIME ZONE 'UTC') FROM usage.rollup_whole UNION
        SELECT date_trunc('month', bucket_start_at AT TIME ZONE 'UTC') FROM usage.late_rollup ORDER BY 1
    LOOP
        EXECUTE format(
            'CREATE TABLE usage.rollup_%s PARTITION OF usage.rollup FOR VALUES FROM (%L) TO (%L) '
            'WITH (fillfactor = 80)',
            to_char(month, 'YYYY_MM'), month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC'
        );
    END LOOP;
END $$
""",
    """
INSERT INTO usage.rollup SELECT * FROM usage.rollup_whole;
DROP TABLE usage.rollup_whole
""",
)

DOWN = """
CREATE TABLE usage.rollup_whole (LIKE usage.rollup INCLUDING DEFAULTS) WITH (fillfactor = 80);
INSERT INTO usage.rollup_whole SELECT * FROM usage.rollup;
DROP TABLE usage.rollup;
ALTER TABLE usage.rollup_whole RENAME TO rollup;
ALTER TABLE usage.rollup ADD PRIMARY KEY (account_id, meter_id, bucket_start_at, dimensions);
DROP TABLE usage.retention;
DROP SCHEMA usage_retired
"""
"""What has retired must have been archived elsewhere: the schema is dropped only when it is empty."""


def upgrade() -> None:
    setup, partitions, moved = UP
    _execute(setup)
    op.execute(partitions)
    _execute(moved)


def downgrade() -> None:
    _execute(DOWN)


def _execute(text: str) -> None:
    for statement in text.split(";\n"):
        if statement.strip():
            op.execute(statement)
