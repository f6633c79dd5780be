"""The runtime's tables: cursor, watermark, outbox, parked records, dead letters.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA runtime;

-- The next offset of each partition, in the same transaction as the effects: the only record of what was processed.
CREATE TABLE runtime.cursor (
    agent text NOT NULL, topic text NOT NULL, partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    last_sequence bigint NOT NULL DEFAULT 0,
    watermark_at timestamptz,
    watermark_recorded_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent, topic, partition)
) WITH (fillfactor = 50);

-- What time has reached for an agent as a whole; its row is the lock under which time advances.
CREATE TABLE runtime.watermark (
    agent text PRIMARY KEY,
    at timestamptz,
    recorded_at timestamptz
) WITH (fillfactor = 50);

-- Events that leave; `position` and `sequence` are stamped by the relay, the partition's only writer.
CREATE TABLE runtime.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent text NOT NULL,
    topic text NOT NULL, partition integer NOT NULL,
    key bytea, value bytea, headers bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    position bigint, sequence bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX outbox_unstamped ON runtime.outbox (agent, id) WHERE position IS NULL;
CREATE INDEX outbox_stamped ON runtime.outbox (agent, position) WHERE position IS NOT NULL;

CREATE TABLE runtime.outbox_sequence (
    topic text NOT NULL, partition integer NOT NULL, last_sequence bigint NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- `stamped_position` is the last position given out, `published_position` the last one known to be in Kafka.
CREATE TABLE runtime.relay (
    agent text PRIMARY KEY,
    stamped_position bigint NOT NULL DEFAULT 0,
    published_position bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE runtime.parked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent text NOT NULL, reference text NOT NULL, message text NOT NULL,
    topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
    key bytea, value bytea, headers bytea NOT NULL,
    recorded_at timestamptz NOT NULL, watermark_at timestamptz,
    parked_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (agent, topic, partition, "offset")
);
CREATE INDEX parked_reference ON runtime.parked (agent, reference);

CREATE TABLE runtime.dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent text NOT NULL,
    topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
    reason text NOT NULL, message text NOT NULL,
    key bytea, value bytea, headers bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    dead_lettered_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed', 'discarded')),
    UNIQUE (agent, topic, partition, "offset")
);
CREATE INDEX dead_letter_open ON runtime.dead_letter (agent, id) WHERE status = 'open';
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA runtime CASCADE")
