"""Final statements that were published, what has to be rated again, and which events are rated themselves.

Revision ID: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """
-- Which events are rated themselves, in the order in which they are: those of event types of which some item of their
-- account is. The events of all others are stored as ever, without another column or index. None of them is late.
CREATE TABLE usage.event_rated (
    account_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    partition integer NOT NULL, "offset" bigint NOT NULL,
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, type, at, partition, "offset", source, id)
);

-- Meters whose period had closed when an event came, while that of another meter of the account was open: the event
-- counts for the other alone. Where all had closed, the event is `late`.
CREATE TABLE usage.event_late_for (
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    PRIMARY KEY (source, id, meter_id)
);

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

DOWN = """
DROP TABLE usage.revision_due;
DROP TABLE usage.final_statement;
ALTER TABLE usage.statement DROP COLUMN revision;
ALTER TABLE usage.account DROP COLUMN raw_types;
ALTER TABLE usage.meter DROP COLUMN billing_months, DROP COLUMN anchor_on;
DROP TABLE usage.event_late_for;
DROP TABLE usage.event_rated;
"""


def _execute(text: str) -> None:
    for statement in text.split(";\n"):
        if statement.strip():
            op.execute(statement)


def upgrade() -> None:
    _execute(UP)


def downgrade() -> None:
    _execute(DOWN)
