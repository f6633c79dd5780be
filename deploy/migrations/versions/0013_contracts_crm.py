"""What the CRM brings beyond orders: snapshots, gaps, drift, opportunities, usage that is kept in Salesforce.

Revision ID: 0013
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UP = (
    # Which org a record is of, the partition that it comes in, its newest commit, and the last whole reading of its
    # object that it was in. A row from before this migration has none of them until it is told of again.
    """
    ALTER TABLE contracts.record
        ADD COLUMN org text,
        ADD COLUMN partition integer,
        ADD COLUMN committed_ms bigint NOT NULL DEFAULT 0,
        ADD COLUMN snapshot text
    """,
    "CREATE INDEX record_snapshot ON contracts.record (entity, partition, snapshot)",
    # Whether a fact stood in a row that was read, not in an event; and where the row answers a gap, the commit of the
    # change whose content never came.
    """
    ALTER TABLE contracts.field_version
        ADD COLUMN is_row boolean NOT NULL DEFAULT false,
        ADD COLUMN gap_at timestamptz
    """,
    # A gap that names no record: all of an object may have changed. Mended once the object was read whole since.
    """
    CREATE TABLE contracts.object_gap (
        entity text NOT NULL, event_id text NOT NULL,
        change_type text NOT NULL, record_id text NOT NULL, org text, partition integer NOT NULL,
        committed_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL, mended_at timestamptz,
        PRIMARY KEY (entity, event_id)
    )
    """,
    # What a reconciliation changed in value: no event had told of it.
    """
    CREATE TABLE contracts.drift (
        entity text NOT NULL, record_id text NOT NULL, field text NOT NULL, event_id text NOT NULL,
        had jsonb NOT NULL, now jsonb NOT NULL,
        committed_at timestamptz NOT NULL, found_at timestamptz NOT NULL,
        PRIMARY KEY (record_id, field, event_id)
    )
    """,
    "CREATE INDEX drift_found ON contracts.drift (found_at)",
    # The newest that was published of an opportunity; content is the event's data.
    """
    CREATE TABLE contracts.opportunity (
        record_id text PRIMARY KEY, account text NOT NULL,
        content_hash bytea NOT NULL, content jsonb NOT NULL, recorded_at timestamptz NOT NULL
    )
    """,
    # Usage that was published from the CRM, once each: one record of Salesforce is one event.
    """
    CREATE TABLE contracts.usage_event (
        record_id text PRIMARY KEY, account text NOT NULL,
        source text NOT NULL, id text NOT NULL, recorded_at timestamptz NOT NULL,
        UNIQUE (source, id)
    )
    """,
)
DOWN = (
    "DROP TABLE contracts.usage_event, contracts.opportunity, contracts.drift, contracts.object_gap",
    "ALTER TABLE contracts.field_version DROP COLUMN is_row, DROP COLUMN gap_at",
    "DROP INDEX contracts.record_snapshot",
    """
    ALTER TABLE contracts.record
        DROP COLUMN org, DROP COLUMN partition, DROP COLUMN committed_ms, DROP COLUMN snapshot
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
