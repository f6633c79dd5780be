"""Late and corrected usage: what waits for the next tick, and which event stands for which.

Revision ID: 0017
"""

from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

UP = """
-- What time had reached in the event's partition when it came (NULL before the first tick). By it whoever reads events
-- judges what was known when, and what was late for a meter that the account got afterwards.
ALTER TABLE usage.event ADD COLUMN watermark_at timestamptz;
ALTER TABLE usage.event_rated ADD COLUMN watermark_at timestamptz NOT NULL DEFAULT '-infinity';
DROP TABLE usage.event_late_for;

-- What late usage adds to totals that statements have been made of, and what corrections take away (negative counts;
-- no max, min and last). The first tick after `known_watermark_at` merges it into `usage.rollup`.
CREATE TABLE usage.late_rollup (
    known_watermark_at timestamptz NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    bucket_start_at timestamptz NOT NULL,
    dimensions text COLLATE "C" NOT NULL,
    event_count bigint NOT NULL,
    sum_value numeric NOT NULL,
    max_value numeric, min_value numeric, last_value numeric,
    last_at timestamptz,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (known_watermark_at, account_id, meter_id, bucket_start_at, dimensions)
);
CREATE INDEX late_rollup_account ON usage.late_rollup (account_id, meter_id, bucket_start_at);

-- Quarters of an hour that the first tick after `known_watermark_at` totals again from the events, since a correction
-- took something out of them and a greatest, least or last value cannot be subtracted.
CREATE TABLE usage.retotal_due (
    known_watermark_at timestamptz NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    bucket_start_at timestamptz NOT NULL,
    PRIMARY KEY (known_watermark_at, account_id, meter_id, bucket_start_at)
);

-- A period that waits for late or corrected usage is rated again, whatever its contract says.
ALTER TABLE usage.revision_due ADD COLUMN for_usage boolean NOT NULL DEFAULT false;

-- Corrections that were applied. `root` is the event that the first of a chain corrects; of all corrections of a root
-- the one with the greatest (at, source, id) stands, and its replacement counts (NULL: nothing does).
CREATE TABLE usage.correction (
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    payload_hash bytea NOT NULL,
    at timestamptz NOT NULL,
    corrects_source text COLLATE "C" NOT NULL, corrects_id text COLLATE "C" NOT NULL,
    root_source text COLLATE "C" NOT NULL, root_id text COLLATE "C" NOT NULL,
    replacement_source text COLLATE "C", replacement_id text COLLATE "C",
    known_watermark_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    partition integer NOT NULL, "offset" bigint NOT NULL,
    PRIMARY KEY (source, id),
    UNIQUE (replacement_source, replacement_id),
    CHECK ((replacement_source IS NULL) = (replacement_id IS NULL))
);
CREATE INDEX correction_root ON usage.correction (root_source, root_id);

-- Events that no longer count: corrected ones, and replacements that a greater correction of the same root overtook.
-- Statements of ticks up to `known_watermark_at` still counted them.
CREATE TABLE usage.superseded_event (
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    known_watermark_at timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX superseded_event_account ON usage.superseded_event (account_id, at);

-- Corrections that wait for their event are few among what is parked, and are looked for every second.
CREATE INDEX parked_correction ON runtime.parked (agent, reference) WHERE reference LIKE 'usage event %';
"""

DOWN = """
DROP INDEX runtime.parked_correction;
DROP TABLE usage.superseded_event;
DROP TABLE usage.correction;
ALTER TABLE usage.revision_due DROP COLUMN for_usage;
DROP TABLE usage.retotal_due;
DROP TABLE usage.late_rollup;
CREATE TABLE usage.event_late_for (
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    PRIMARY KEY (source, id, meter_id)
);
ALTER TABLE usage.event_rated DROP COLUMN watermark_at;
ALTER TABLE usage.event DROP COLUMN watermark_at;
"""


def _execute(text: str) -> None:
    for statement in text.split(";\n"):
        if statement.strip():
            op.execute(statement)


def upgrade() -> None:
    _execute(UP)


def downgrade() -> None:
    _execute(DOWN)
