"""The contracts agent's tables: CRM records and their history, what is due, published and incomplete.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA contracts;

-- What each CRM record is now: a value and the commit (milliseconds) that gave it, field by field, unknown fields too.
CREATE TABLE contracts.record (
    entity text NOT NULL, record_id text NOT NULL,
    field_values jsonb NOT NULL DEFAULT '{}',
    field_versions jsonb NOT NULL DEFAULT '{}',
    recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (entity, record_id)
) WITH (fillfactor = 70);

-- Bitemporal and append-only: in force from effective_at, known since recorded_at; watermark_at is what time had
-- reached in the record's partition, by which a history can be read as it stood at a tick.
CREATE TABLE contracts.field_version (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity text NOT NULL, record_id text NOT NULL, field text NOT NULL,
    value jsonb NOT NULL,
    effective_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL, watermark_at timestamptz NOT NULL,
    event_id text NOT NULL
);
CREATE INDEX field_version_record ON contracts.field_version (record_id, field);

-- The identity of a change event; the fingerprint tells a repeat from another payload under the same id.
CREATE TABLE contracts.applied_event (
    record_id text NOT NULL, event_id text NOT NULL, fingerprint bytea NOT NULL,
    PRIMARY KEY (record_id, event_id)
);

-- Which records point to which, ever: an order to its account, an item to its order and its product.
CREATE TABLE contracts.reference (
    role text NOT NULL, record_id text NOT NULL, target_id text NOT NULL,
    PRIMARY KEY (role, record_id, target_id)
);
CREATE INDEX reference_target ON contracts.reference (role, target_id);

-- Appended by every worker, taken by whoever publishes; no unique key on purpose (see publication.py, Race).
CREATE TABLE contracts.changed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role text NOT NULL, record_id text NOT NULL, watermark_at timestamptz NOT NULL
);
CREATE INDEX changed_watermark ON contracts.changed (watermark_at);

CREATE TABLE contracts.due (
    role text NOT NULL, record_id text NOT NULL,
    PRIMARY KEY (role, record_id)
);

-- One row: the catalog last published with, and the cut whose due records are being published.
CREATE TABLE contracts.publication (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    catalog_fingerprint bytea,
    cut_at timestamptz
);
INSERT INTO contracts.publication DEFAULT VALUES;

-- What stands on billing.contracts: role 'account' or 'subscription'; content is the event's data.
CREATE TABLE contracts.published (
    role text NOT NULL, record_id text NOT NULL, account text NOT NULL,
    content_hash bytea NOT NULL, event_type text NOT NULL,
    content jsonb NOT NULL, recorded_at timestamptz NOT NULL,
    PRIMARY KEY (role, record_id)
);
CREATE UNIQUE INDEX published_account ON contracts.published (account) WHERE role = 'account';
CREATE INDEX published_subscriptions ON contracts.published (account) WHERE role = 'subscription';

-- Sentences for an administrator: what cannot be billed yet, and why.
CREATE TABLE contracts.incomplete (
    role text NOT NULL, root_id text NOT NULL,
    entity text NOT NULL, record_id text NOT NULL, message text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (role, root_id, record_id, message)
);

-- Every price version that a published subscription ever carried; append-only.
CREATE TABLE contracts.price_version (
    product_code text NOT NULL, effective_from date NOT NULL, hash text NOT NULL,
    price jsonb NOT NULL, recorded_at timestamptz NOT NULL,
    PRIMARY KEY (product_code, effective_from, hash)
);
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA contracts CASCADE")
