"""Final statements that were published, what has to be rated again, and raw events that a price or meter reads.

Revision ID: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

EVENT_PARTITIONS = 8
"""As 0003 made them."""

UP = """
-- `raw`: some item of the account is rated from the events of this type themselves. Only these are in the index, so
-- the hot path of all others writes no more than before. `late_for`: meters whose period had closed when the event
-- came, while that of another meter of the account was open; where all had closed, the event is `late`.
ALTER TABLE usage.event ADD COLUMN raw boolean NOT NULL DEFAULT false, ADD COLUMN late_for integer[];

-- Items with other billing periods have meters of their own, so that an event may be late for one and not for another.
ALTER TABLE usage.meter ADD COLUMN billing_months integer NOT NULL DEFAULT 1, ADD COLUMN anchor_on date;

-- Event types of which some item of the account is rated from the raw events.
ALTER TABLE usage.account ADD COLUMN raw_types text[] NOT NULL DEFAULT '{}';

ALTER TABLE usage.statement ADD COLUMN revision integer NOT NULL DEFAULT 1;

-- Every final statement that was published. `signature` says what of the contract it was rated by: another one has the
-- period rated again; `content_hash` says what it stated: another one is published as the next revision.
CREATE TABLE usage.final_statement (
    subscription_item text COLLATE "C" NOT NULL,
    period_start_at timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    period_end_at timestamptz NOT NULL CHECK (period_end_at > period_start_at),
    content_hash bytea NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (subscription_item, period_start_at, revision)
);

-- Periods of which a contract that came after their final statement says something else. A tick after
-- `known_watermark_at`, which is what time had reached in the contract's partition, takes them up.
CREATE TABLE usage.revision_due (
    subscription_item text COLLATE "C" NOT NULL,
    period_start_at timestamptz NOT NULL,
    period_end_at timestamptz NOT NULL,
    known_watermark_at timestamptz NOT NULL,
    PRIMARY KEY (subscription_item, period_start_at)
);
"""

PARTITION = """
CREATE INDEX event_{number}_raw ON usage.event_{number} (account_id, type, at, partition, "offset")
    WHERE raw AND NOT late;
"""

DOWN = """
DROP TABLE usage.revision_due;
DROP TABLE usage.final_statement;
ALTER TABLE usage.statement DROP COLUMN revision;
ALTER TABLE usage.account DROP COLUMN raw_types;
ALTER TABLE usage.meter DROP COLUMN billing_months, DROP COLUMN anchor_on;
ALTER TABLE usage.event DROP COLUMN raw, DROP COLUMN late_for;
"""


def _statements(*parts: str) -> list[str]:
    return [statement for part in parts for statement in part.split(";\n") if statement.strip()]


def upgrade() -> None:
    for statement in _statements(UP, *(PARTITION.format(number=number) for number in range(EVENT_PARTITIONS))):
        op.execute(statement)


def downgrade() -> None:
    for statement in _statements(DOWN):
        op.execute(statement)
