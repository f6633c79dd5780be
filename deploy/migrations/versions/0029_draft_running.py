"""Which periods are on a draft for what their running statement holds: they are made anew from it, until their turn.

Revision ID: 0029
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

ADD = "ALTER TABLE invoicing.draft_item ADD COLUMN running boolean NOT NULL DEFAULT false"
# What is on a draft because it was its turn has its pointer behind it; of what is still to come only a running
# statement can have been billed.
FILL = """
UPDATE invoicing.draft_item d SET running = true, is_next = false FROM invoicing.subscription_item i
WHERE i.subscription_item = d.subscription_item AND i.period_start_at = d.period_start_at AND i.due_at IS NOT NULL
"""
DOWN = "ALTER TABLE invoicing.draft_item DROP COLUMN running"


def upgrade() -> None:
    op.execute(ADD)
    op.execute(FILL)


def downgrade() -> None:
    op.execute(DOWN)
