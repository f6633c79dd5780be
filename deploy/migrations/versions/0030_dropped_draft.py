"""How often a draft that was dropped had been said: one made again of the same document goes on from there.

Revision ID: 0030
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE invoicing.dropped_draft (
    invoice_id text COLLATE "C" PRIMARY KEY,
    draft_no integer NOT NULL CHECK (draft_no >= 1)
)
"""
DOWN = "DROP TABLE invoicing.dropped_draft"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
