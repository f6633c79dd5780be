"""What the KPIs that sales looks at are summed from: recurring revenue, usage by month, won opportunities, renewals.

Revision ID: 0015
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SUMS = ("age_minor_days numeric", "on_time_minor bigint", "recurring_minor bigint", "usage_minor bigint",
         "won bigint", "cycle_days bigint")  # fmt: skip
"""Settled amounts times days after the issue date; settled in time; monthly charges; usage; opportunities won."""

UP = (
    # Null where the invoice came before this migration: its age then counts from the due date.
    "ALTER TABLE kpi.invoice ADD COLUMN issued_on date",
    *(
        f"ALTER TABLE kpi.{table} ADD COLUMN {column} NOT NULL DEFAULT 0"
        for table in ("day", "total")
        for column in _SUMS
    ),
    # A line's amount is usage if its item has a meter, which is looked up when the day is closed. What is `scheduled`
    # lies in the future by nature (a contract's end, a renewal): no interim value counts it.
    """
    ALTER TABLE kpi.fact ADD COLUMN scheduled boolean NOT NULL DEFAULT false,
        ADD COLUMN recurring_minor bigint NOT NULL DEFAULT 0,
        ADD COLUMN won integer NOT NULL DEFAULT 0, ADD COLUMN cycle_days integer NOT NULL DEFAULT 0,
        ADD COLUMN line_minor bigint NOT NULL DEFAULT 0, ADD COLUMN subscription_item text
    """,
    "CREATE TABLE kpi.metered_item (subscription_item text PRIMARY KEY)",
    # What a subscription or an opportunity counts for now, as JSON: a later version takes it back.
    """
    CREATE TABLE kpi.standing (
        kind text NOT NULL, id text NOT NULL, counted jsonb NOT NULL,
        PRIMARY KEY (kind, id)
    )
    """,
    """
    CREATE TABLE kpi.term (
        subscription_id text PRIMARY KEY, account text NOT NULL, currency text NOT NULL,
        started_on date NOT NULL, ended_on date, auto_renew boolean NOT NULL, term_months integer
    )
    """,
    "CREATE INDEX term_account ON kpi.term (account, currency)",
    "CREATE INDEX day_usage ON kpi.day (account, currency, day) WHERE usage_minor <> 0",
)
DOWN = (
    "DROP INDEX kpi.day_usage",
    "DROP TABLE kpi.term, kpi.standing, kpi.metered_item",
    """
    ALTER TABLE kpi.fact DROP COLUMN scheduled, DROP COLUMN recurring_minor, DROP COLUMN won,
        DROP COLUMN cycle_days, DROP COLUMN line_minor, DROP COLUMN subscription_item
    """,
    *(f"ALTER TABLE kpi.{table} DROP COLUMN {column.split()[0]}" for table in ("day", "total") for column in _SUMS),
    "ALTER TABLE kpi.invoice DROP COLUMN issued_on",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
