"""How often an item's statement was said: what tells a statement apart that says again what an earlier one said.

Revision ID: 0028
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

UP = "ALTER TABLE usage.statement ADD COLUMN said_count bigint NOT NULL DEFAULT 0"
DOWN = "ALTER TABLE usage.statement DROP COLUMN said_count"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
