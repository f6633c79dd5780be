"""How many versions of each record were published: it is part of the event's id.

Revision ID: 0023
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# What stands there already counts as the first version: ids of before had no number, so none comes twice.
UP: tuple[str, ...] = (
    "ALTER TABLE contracts.published ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0)",
    "ALTER TABLE contracts.opportunity ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0)",
)
DOWN: tuple[str, ...] = (
    "ALTER TABLE contracts.opportunity DROP COLUMN version",
    "ALTER TABLE contracts.published DROP COLUMN version",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
