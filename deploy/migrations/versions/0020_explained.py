"""What was asked to be rated again; `fakturo explain` needs nothing that is not there.

Revision ID: 0020
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

UP = (
    # Requests to take an account's totals of a range anew from its events. The first tick after `known_watermark_at`
    # works one off, in parts: it is done up to `totalled_until_at`.
    """
    CREATE TABLE usage.rerate_request (
        source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
        payload_hash bytea NOT NULL,
        account_id text COLLATE "C" NOT NULL,
        start_at timestamptz NOT NULL,
        end_at timestamptz NOT NULL CHECK (end_at > start_at),
        known_watermark_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        totalled_until_at timestamptz NOT NULL,
        done boolean NOT NULL DEFAULT false,
        PRIMARY KEY (source, id)
    )
    """,
    "CREATE INDEX rerate_request_due ON usage.rerate_request (known_watermark_at, source, id) WHERE NOT done",
)
DOWN = ("DROP TABLE usage.rerate_request",)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
