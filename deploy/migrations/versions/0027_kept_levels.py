"""Levels that are kept, so that a statement need not add up all that there ever was.

Revision ID: 0027
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

UP = """
-- The level of a meter's groups at `until_at`: the sum of all before. Right as long as no quarter before it changes,
-- which the marks tell. May be deleted at any time.
CREATE TABLE usage.kept_level (
    account_id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    until_at timestamptz NOT NULL,
    dimensions text COLLATE "C" NOT NULL,
    total numeric NOT NULL,
    PRIMARY KEY (account_id, meter_id, until_at, dimensions)
)
"""
DOWN = "DROP TABLE usage.kept_level"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
