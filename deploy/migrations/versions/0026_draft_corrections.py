"""Which periods are on a draft because it was their turn, and which only to correct what was billed of them.

Revision ID: 0026
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# What is in review already stays as it was taken until now.
UP = "ALTER TABLE invoicing.draft_item ADD COLUMN is_next boolean NOT NULL DEFAULT true"
DOWN = "ALTER TABLE invoicing.draft_item DROP COLUMN is_next"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
