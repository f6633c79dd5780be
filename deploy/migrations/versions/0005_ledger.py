"""The ledger's tables: chart, journals, lines, balances, invoices, payments, allocations.

Revision ID: 0005

Postgres itself refuses a journal that does not balance: one statement trigger with a transition table looks at all
lines of a batch at once (a row trigger or a foreign key a line would cost more than the insert).
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = (
    "CREATE SCHEMA ledger",
    # The identity of every booked event: no window, no time in the key.
    """
    CREATE TABLE ledger.event (
        source text NOT NULL, id text NOT NULL, payload_sha256 bytea NOT NULL,
        PRIMARY KEY (source, id)
    )
    """,
    # `by_party`: the account is kept by customer, so each of its lines names one; the others' lines name none.
    """
    CREATE TABLE ledger.account (
        code text PRIMARY KEY CHECK (code ~ '^[0-9]{4}$'),
        name text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'income', 'expense')),
        by_party boolean NOT NULL
    )
    """,
    """
    INSERT INTO ledger.account (code, name, kind, by_party) VALUES
        ('1020', 'Payment clearing', 'asset', false),
        ('1200', 'Accounts receivable', 'asset', true),
        ('2100', 'Tax payable', 'liability', false),
        ('2300', 'Customer credit balance', 'liability', true),
        ('4000', 'Revenue', 'income', false),
        ('6200', 'Payment provider fees', 'expense', false)
    """,
    """
    CREATE TABLE ledger.journal (
        journal_id text PRIMARY KEY,
        kind text NOT NULL, account text NOT NULL,
        source_type text NOT NULL, source_id text NOT NULL,
        effective_on date NOT NULL, recorded_at timestamptz NOT NULL,
        line_count smallint NOT NULL CHECK (line_count >= 2),
        UNIQUE (source_type, source_id, kind)
    )
    """,
    "CREATE INDEX journal_account ON ledger.journal (account, effective_on)",
    # + is debit, - is credit.
    """
    CREATE TABLE ledger.line (
        journal_id text NOT NULL, line_no smallint NOT NULL,
        account_code text NOT NULL, party text,
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
        invoice_id text,
        PRIMARY KEY (journal_id, line_no)
    )
    """,
    "CREATE INDEX line_party ON ledger.line (party, account_code) WHERE party IS NOT NULL",
    """
    CREATE TABLE ledger.balance (
        account_code text NOT NULL, party text, currency text NOT NULL,
        amount_minor bigint NOT NULL,
        postings bigint NOT NULL,
        UNIQUE NULLS NOT DISTINCT (account_code, party, currency)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE ledger.invoice (
        invoice_id text PRIMARY KEY, number text UNIQUE,
        account text NOT NULL, currency text NOT NULL,
        issued_on date NOT NULL, due_on date NOT NULL,
        total_minor bigint NOT NULL CHECK (total_minor >= 0),
        open_minor bigint NOT NULL CHECK (open_minor >= 0),
        payload_sha256 bytea NOT NULL,
        CHECK (open_minor <= total_minor)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX invoice_open ON ledger.invoice (account, currency, due_on, invoice_id) WHERE open_minor > 0",
    "CREATE INDEX invoice_account ON ledger.invoice (account)",
    # `credit_minor` is what is left of it as customer credit, `returned_minor` what was refunded or charged back.
    """
    CREATE TABLE ledger.payment (
        payment_id text NOT NULL,
        type text NOT NULL CHECK (type IN ('received', 'failed', 'refunded', 'charged_back')),
        account text NOT NULL, currency text NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        fee_minor bigint NOT NULL CHECK (fee_minor >= 0),
        method text NOT NULL,
        received_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL,
        credit_minor bigint NOT NULL DEFAULT 0 CHECK (credit_minor >= 0),
        returned_minor bigint NOT NULL DEFAULT 0 CHECK (returned_minor >= 0),
        payload_sha256 bytea NOT NULL,
        PRIMARY KEY (payment_id, type),
        CHECK (credit_minor + returned_minor <= amount_minor)
    )
    """,
    "CREATE INDEX payment_account ON ledger.payment (account, received_at)",
    # Append-only: a refund or charge-back takes back with a negative amount.
    """
    CREATE TABLE ledger.allocation (
        journal_id text NOT NULL, invoice_id text NOT NULL REFERENCES ledger.invoice,
        payment_id text NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
        PRIMARY KEY (journal_id, invoice_id)
    )
    """,
    "CREATE INDEX allocation_payment ON ledger.allocation (payment_id)",
    "CREATE INDEX allocation_invoice ON ledger.allocation (invoice_id)",
    """
    CREATE FUNCTION ledger.check_lines() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE bad record;
    BEGIN
        SELECT journal_id, currency, sum(amount_minor) AS amount INTO bad
          FROM new_lines GROUP BY journal_id, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'journal % does not balance: its % lines sum to %',
                bad.journal_id, bad.currency, bad.amount USING ERRCODE = 'check_violation';
        END IF;
        SELECT n.journal_id INTO bad
          FROM (SELECT journal_id, count(*) AS lines, min(line_no) AS first, max(line_no) AS last
                  FROM new_lines GROUP BY journal_id) n
          LEFT JOIN ledger.journal j USING (journal_id)
         WHERE j.line_count IS DISTINCT FROM n.lines OR n.first <> 1 OR n.last <> n.lines LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'journal % must get all its lines, numbered from 1, in one statement',
                bad.journal_id USING ERRCODE = 'check_violation';
        END IF;
        SELECT n.journal_id, n.account_code INTO bad
          FROM new_lines n LEFT JOIN ledger.account a ON a.code = n.account_code
         WHERE a.by_party IS DISTINCT FROM (n.party IS NOT NULL) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'journal %: account % is not in the chart, or is kept by customer and the line names none '
                '(or the other way round)', bad.journal_id, bad.account_code USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER check_lines AFTER INSERT ON ledger.line REFERENCING NEW TABLE AS new_lines
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_lines()
    """,
    # Journals and their lines are inserted by one statement, so at its end each journal has them.
    """
    CREATE FUNCTION ledger.check_journals() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE bad record;
    BEGIN
        SELECT n.journal_id INTO bad FROM new_journals n
         WHERE NOT EXISTS (SELECT FROM ledger.line l WHERE l.journal_id = n.journal_id AND l.line_no = 1) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'journal % has no lines', bad.journal_id USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER check_journals AFTER INSERT ON ledger.journal REFERENCING NEW TABLE AS new_journals
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_journals()
    """,
    """
    CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only: post a correction instead', TG_RELID::regclass
            USING ERRCODE = 'restrict_violation';
    END $$
    """,
    *(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.{table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
        for table in ("journal", "line", "allocation")
    ),
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA ledger CASCADE")
