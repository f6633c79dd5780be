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
    # What a later document (a correction, a credit note, a void) says of an invoice.
    """
    ALTER TABLE kpi.fact ADD COLUMN corrects_invoice text, ADD COLUMN moved_net_minor bigint NOT NULL DEFAULT 0,
        ADD COLUMN moved_gross_minor bigint NOT NULL DEFAULT 0, ADD COLUMN moved_invoices integer NOT NULL DEFAULT 0
    """,
    # It counts on `effective_on`, reported since `booked_on`; restated it counts on `corrected_on`.
    """
    CREATE TABLE kpi.move (
        account text NOT NULL, currency text NOT NULL,
        corrected_on date NOT NULL, effective_on date NOT NULL, booked_on date NOT NULL,
        net_minor bigint NOT NULL, gross_minor bigint NOT NULL, invoices bigint NOT NULL,
        PRIMARY KEY (account, currency, corrected_on, effective_on, booked_on)
    )
    """,
    "CREATE INDEX move_booked ON kpi.move (account, booked_on)",
    # The last days of months to look at again, at the close of the day `due_on`.
    """
    CREATE TABLE kpi.restated_due (
        account text NOT NULL, as_of date NOT NULL, due_on date NOT NULL,
        PRIMARY KEY (account, as_of),
        CHECK (due_on >= as_of)
    )
    """,
    "CREATE INDEX restated_due_due ON kpi.restated_due (due_on, account)",
    # Values of closed months as they are known since the close of `known_on`, beside those reported (value_history).
    """
    CREATE TABLE kpi.restated (
        kpi text NOT NULL, "window" text NOT NULL, account text NOT NULL, currency text NOT NULL,
        as_of date NOT NULL, known_on date NOT NULL,
        value numeric, numerator numeric, denominator numeric,
        PRIMARY KEY (account, currency, kpi, "window", as_of, known_on),
        CHECK (known_on >= as_of)
    )
    """,
)
DOWN: tuple[str, ...] = (
    "DROP TABLE kpi.restated, kpi.restated_due, kpi.move",
    """
    ALTER TABLE kpi.fact DROP COLUMN corrects_invoice, DROP COLUMN moved_net_minor, DROP COLUMN moved_gross_minor,
        DROP COLUMN moved_invoices
    """,
    "ALTER TABLE invoicing.invoice_line DROP COLUMN tax_minor",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
