"""The tax of each billed line; KPI values restated beside those reported.

Revision ID: 0021
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

UP: tuple[str, ...] = (
    # A correction of a line is taxed by what it changes of that line's tax, where a seller rounds tax by line.
    "ALTER TABLE invoicing.invoice_line ADD COLUMN tax_minor bigint NOT NULL DEFAULT 0",
    """
    UPDATE invoicing.invoice_line l SET tax_minor = coalesce((t.line ->> 'tax_minor')::bigint, 0)
      FROM invoicing.invoice i, jsonb_array_elements(i.content -> 'lines') t(line)
     WHERE i.invoice_id = l.invoice_id AND t.line ->> 'line_id' = l.line_id
    """,
    "ALTER TABLE invoicing.invoice_line ALTER COLUMN tax_minor DROP DEFAULT",
)
DOWN: tuple[str, ...] = ("ALTER TABLE invoicing.invoice_line DROP COLUMN tax_minor",)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
