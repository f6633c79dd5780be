"""The crm_sync agent's tables: what the org is to hold, and what it holds.

Revision ID: 0014

The first five are what the topics have told, each row the newest of its subject by its place in the topic; so any order
across topics gives the same. `written` is what comes of them: one row a record of the org. Only the pusher talks to
the org: it takes the rows that are `dirty`, empties `pushed_hash` before it sends (whatever happens then, the row is
sent again) and fills it once the org has answered. `generation` counts the changes of a row, so that what changes while
it is under way stays dirty.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UP = (
    "CREATE SCHEMA crm_sync",
    # A row is there as soon as anything names the account: it is the lock under which its rows are worked out.
    """
    CREATE TABLE crm_sync.account (
        account text PRIMARY KEY,
        salesforce_id text,
        record_id text CHECK (length(record_id) = 18),
        currency text,
        versions bytea,
        recorded_at timestamptz,
        place bigint,
        next_invoice_on date,
        CHECK ((versions IS NULL) = (salesforce_id IS NULL))
    )
    """,
    # `due_at`: when its next invoice must be worked out again; -infinity at once, NULL never.
    """
    CREATE TABLE crm_sync.subscription (
        subscription_id text PRIMARY KEY,
        account text NOT NULL,
        payer text,
        items bytea NOT NULL,
        recorded_at timestamptz NOT NULL,
        place bigint NOT NULL,
        due_at timestamptz DEFAULT '-infinity',
        next_invoice_on date
    )
    """,
    "CREATE INDEX subscription_due ON crm_sync.subscription (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX subscription_account ON crm_sync.subscription (account)",
    "CREATE INDEX subscription_payer ON crm_sync.subscription (payer, next_invoice_on)",
    # Currency '' where the KPI has none.
    """
    CREATE TABLE crm_sync.kpi (
        account text NOT NULL, kpi text NOT NULL, "window" text NOT NULL, currency text NOT NULL,
        value numeric, place bigint NOT NULL,
        PRIMARY KEY (account, kpi, "window", currency)
    )
    """,
    # What moves the balance of an invoice on account 1200.
    """
    CREATE TABLE crm_sync.receivable (
        journal_id text NOT NULL, line_no integer NOT NULL,
        invoice_id text NOT NULL, kind text NOT NULL, amount_minor bigint NOT NULL, effective_on date NOT NULL,
        PRIMARY KEY (journal_id, line_no)
    )
    """,
    "CREATE INDEX receivable_invoice ON crm_sync.receivable (invoice_id)",
    # The newest document: `stage` 0 a draft, 1 issued, 2 what comes after.
    """
    CREATE TABLE crm_sync.invoice (
        invoice_id text PRIMARY KEY,
        account text NOT NULL,
        stage smallint NOT NULL CHECK (stage IN (0, 1, 2)),
        place bigint NOT NULL,
        head bytea NOT NULL
    )
    """,
    # `fields` NULL: the org is to have no such record.
    """
    CREATE TABLE crm_sync.written (
        entity text NOT NULL,
        key text NOT NULL CHECK (key <> ''),
        account text NOT NULL,
        parent_key text,
        fields text,
        hash bytea NOT NULL,
        generation bigint NOT NULL DEFAULT 1,
        dirty boolean NOT NULL DEFAULT true,
        held text CHECK (held IN ('account_unknown', 'foreign_account')),
        record_id text,
        pushed_hash bytea,
        pushed_at timestamptz,
        attempts integer NOT NULL DEFAULT 0,
        retry_at timestamptz,
        refused boolean NOT NULL DEFAULT false,
        failure text,
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (entity, key),
        CHECK (dirty OR hash = pushed_hash),
        CHECK (NOT refused OR failure IS NOT NULL)
    ) WITH (fillfactor = 70)
    """,
    # An object that the org does not know, or not as we write it: nothing of it is sent before `until_at`.
    """
    CREATE TABLE crm_sync.hold (
        entity text PRIMARY KEY, until_at timestamptz NOT NULL, failure text NOT NULL
    )
    """,
    """
    CREATE INDEX written_ready ON crm_sync.written (entity, account, parent_key, key)
     WHERE dirty AND held IS NULL AND NOT refused
    """,
    "CREATE INDEX written_refused ON crm_sync.written (entity, key) WHERE refused",
    "CREATE INDEX written_account ON crm_sync.written (account)",
    "CREATE INDEX written_parent ON crm_sync.written (parent_key) WHERE parent_key IS NOT NULL",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA crm_sync CASCADE")
