"""The KPI agent's tables: facts that wait for their day, day tiles, totals, values.

Revision ID: 0006

A fact waits in `kpi.fact` until its day is closed; only closing writes tiles, totals and values, so these never hold
what ran ahead of time. A window's sums are a range of at most 365 tiles, whatever the length of the history.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SUMS = """
    invoices bigint NOT NULL DEFAULT 0,
    net_minor bigint NOT NULL DEFAULT 0,
    gross_minor bigint NOT NULL DEFAULT 0,
    receivable_minor bigint NOT NULL DEFAULT 0,
    fees_minor bigint NOT NULL DEFAULT 0,
    bad_debt_minor bigint NOT NULL DEFAULT 0,
    settled_minor bigint NOT NULL DEFAULT 0,
    delay_minor_days numeric NOT NULL DEFAULT 0
"""
"""`delay_minor_days`: settled minor units times the days that they came after the due date."""

VALUE = """
    kpi text NOT NULL, "window" text NOT NULL, account text NOT NULL, currency text NOT NULL,
    as_of date NOT NULL,
    value numeric, numerator numeric, denominator numeric
"""

UP = (
    "CREATE SCHEMA kpi",
    # Identity of what was read; an invoice's due date is what a payment's delay is measured from.
    """
    CREATE TABLE kpi.invoice (
        invoice_id text PRIMARY KEY,
        due_on date NOT NULL,
        counted boolean NOT NULL DEFAULT false,
        payload_sha256 bytea NOT NULL
    )
    """,
    "CREATE TABLE kpi.journal (journal_id text PRIMARY KEY, payload_sha256 bytea NOT NULL)",
    # The name and currency under which an account is shown.
    """
    CREATE TABLE kpi.account (
        account text PRIMARY KEY, name text NOT NULL, currency text NOT NULL, recorded_at timestamptz NOT NULL
    )
    """,
    # `booked_on` is the day that reports the fact: its own, or the first one that was open when it came.
    """
    CREATE TABLE kpi.fact (
        fact_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account text NOT NULL, currency text NOT NULL,
        effective_on date NOT NULL, booked_on date NOT NULL,
        shown boolean NOT NULL DEFAULT false,
        invoices integer NOT NULL DEFAULT 0,
        net_minor bigint NOT NULL DEFAULT 0,
        gross_minor bigint NOT NULL DEFAULT 0,
        receivable_minor bigint NOT NULL DEFAULT 0,
        fees_minor bigint NOT NULL DEFAULT 0,
        bad_debt_minor bigint NOT NULL DEFAULT 0,
        settled_minor bigint NOT NULL DEFAULT 0,
        invoice_id text, payment_id text
    )
    """,
    "CREATE INDEX fact_booked ON kpi.fact (booked_on, account)",
    "CREATE INDEX fact_account ON kpi.fact (account)",
    "CREATE INDEX fact_unshown ON kpi.fact (fact_id) WHERE NOT shown",
    # What a payment settled of an invoice; waits, untiled, until the invoice is counted.
    """
    CREATE TABLE kpi.settlement (
        settlement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account text NOT NULL, currency text NOT NULL,
        invoice_id text NOT NULL, payment_id text NOT NULL,
        paid_on date NOT NULL, amount_minor bigint NOT NULL,
        tiled boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX settlement_untiled ON kpi.settlement (account) WHERE NOT tiled",
    "CREATE UNIQUE INDEX settlement_paid ON kpi.settlement (payment_id, invoice_id) WHERE amount_minor > 0",
    f"""
    CREATE TABLE kpi.day (
        account text NOT NULL, currency text NOT NULL, day date NOT NULL,
        {SUMS},
        PRIMARY KEY (account, currency, day)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX day_expiry ON kpi.day (day, account)",
    f"""
    CREATE TABLE kpi.total (
        account text NOT NULL, currency text NOT NULL,
        facts bigint NOT NULL DEFAULT 0,
        {SUMS},
        PRIMARY KEY (account, currency)
    ) WITH (fillfactor = 80)
    """,
    # Who has an invoice in the window; `kpi.active` counts them, so that nobody has to.
    """
    CREATE TABLE kpi.activity (
        account text NOT NULL, currency text NOT NULL, "window" text NOT NULL,
        PRIMARY KEY (account, currency, "window")
    )
    """,
    """
    CREATE TABLE kpi.active (
        currency text NOT NULL, "window" text NOT NULL, customers bigint NOT NULL,
        PRIMARY KEY (currency, "window")
    )
    """,
    f'CREATE TABLE kpi.value ({VALUE}, PRIMARY KEY (account, currency, kpi, "window"))',
    f'CREATE TABLE kpi.value_history ({VALUE}, PRIMARY KEY (account, currency, kpi, "window", as_of))',
    # Interim values as last published, of accounts with facts of a day that is still open.
    f'CREATE TABLE kpi.live ({VALUE}, PRIMARY KEY (account, currency, kpi, "window"))',
    # One row: the last day closed, the day that is being closed and the last account done of it.
    """
    CREATE TABLE kpi.progress (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        closed_on date, closing_on date, closing_after text
    )
    """,
    "INSERT INTO kpi.progress DEFAULT VALUES",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA kpi CASCADE")
