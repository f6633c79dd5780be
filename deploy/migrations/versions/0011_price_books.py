"""Price lists as they were published.

Revision ID: 0011
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UP = """
-- Every price list that ever held, in order; append-only. `follows` is unique, so a list has one successor: of two that
-- were made from the same one, the second is refused here whatever was checked before. The document of a file that was
-- handed over without one (tests) is empty; `fingerprint` tells whether a file is the one that was read last.
CREATE TABLE contracts.price_book (
    number bigint PRIMARY KEY CHECK (number > 0),
    follows bigint UNIQUE REFERENCES contracts.price_book (number),
    hash text NOT NULL CHECK (length(hash) = 64),
    source text NOT NULL CHECK (source IN ('file', 'published')),
    fingerprint bytea NOT NULL,
    document jsonb NOT NULL,
    published_by text NOT NULL,
    recorded_at timestamptz NOT NULL, watermark_at timestamptz NOT NULL,
    CHECK (follows IS NOT DISTINCT FROM nullif(number - 1, 0))
);
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE contracts.price_book")
