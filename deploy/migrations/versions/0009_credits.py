"""Coupons, credit grants, points, commitments: the books that bound them, and the ledger's accounts for them.

Revision ID: 0009

What limits stands here as a CHECK: a budget, the uses of a coupon, a grant, a customer's points can't be overdrawn by
whoever comes last, and a request that tries is refused by the book.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = (
    # What all uses of a code may save together; in the coupon's currency, else that of the first invoice that used it.
    """
    CREATE TABLE invoicing.coupon_budget (
        code text COLLATE "C" PRIMARY KEY,
        currency text,
        budget_minor bigint NOT NULL,
        spent_minor bigint NOT NULL DEFAULT 0,
        CONSTRAINT coupon_budget_left CHECK (spent_minor BETWEEN 0 AND budget_minor)
    ) WITH (fillfactor = 70)
    """,
    # Who has a coupon: by a grant, or by a subscription (then it covers that one's lines).
    """
    CREATE TABLE invoicing.coupon_holder (
        holder_id text COLLATE "C" PRIMARY KEY,
        account_id text COLLATE "C" NOT NULL,
        subscription_id text COLLATE "C",
        code text COLLATE "C" NOT NULL,
        content jsonb NOT NULL,
        uses_max integer,
        used_count integer NOT NULL DEFAULT 0,
        known_watermark_at timestamptz,
        payload_sha256 bytea,
        CONSTRAINT coupon_uses_left CHECK (used_count >= 0 AND used_count <= uses_max)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX coupon_holder_account ON invoicing.coupon_holder (account_id)",
    """
    CREATE TABLE invoicing.coupon_use (
        invoice_id text COLLATE "C" NOT NULL,
        holder_id text COLLATE "C" NOT NULL REFERENCES invoicing.coupon_holder,
        code text COLLATE "C" NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        PRIMARY KEY (invoice_id, holder_id)
    )
    """,
    """
    CREATE TABLE invoicing.credit_grant (
        grant_id text COLLATE "C" PRIMARY KEY,
        account_id text COLLATE "C" NOT NULL,
        currency text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('prepaid', 'promotional')),
        description text NOT NULL,
        priority integer NOT NULL,
        expires_on date,
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        used_minor bigint NOT NULL DEFAULT 0 CHECK (used_minor >= 0),
        expired_minor bigint NOT NULL DEFAULT 0 CHECK (expired_minor >= 0),
        known_watermark_at timestamptz,
        payload_sha256 bytea NOT NULL,
        CONSTRAINT credit_left CHECK (used_minor + expired_minor <= amount_minor)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX credit_grant_account ON invoicing.credit_grant (account_id, currency)",
    """
    CREATE INDEX credit_grant_expiry ON invoicing.credit_grant (expires_on)
        WHERE expires_on IS NOT NULL AND used_minor + expired_minor < amount_minor
    """,
    """
    CREATE TABLE invoicing.credit_use (
        invoice_id text COLLATE "C" NOT NULL,
        grant_id text COLLATE "C" NOT NULL REFERENCES invoicing.credit_grant,
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        PRIMARY KEY (invoice_id, grant_id)
    )
    """,
    # Below which prepaid balance an account wants to be told; `fall_count` numbers the times it was.
    """
    CREATE TABLE invoicing.credit_alert (
        account_id text COLLATE "C" NOT NULL,
        currency text NOT NULL,
        threshold_minor bigint NOT NULL,
        is_low boolean NOT NULL DEFAULT false,
        fall_count integer NOT NULL DEFAULT 0,
        PRIMARY KEY (account_id, currency)
    ) WITH (fillfactor = 80)
    """,
    # The points that an account can ask for: those of its lots that are neither claimed nor expired.
    """
    CREATE TABLE invoicing.point_balance (
        account_id text COLLATE "C" PRIMARY KEY,
        points bigint NOT NULL DEFAULT 0,
        CONSTRAINT points_left CHECK (points >= 0)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE invoicing.point_lot (
        lot_id text COLLATE "C" PRIMARY KEY,
        account_id text COLLATE "C" NOT NULL,
        programme text NOT NULL,
        currency text NOT NULL,
        points bigint NOT NULL CHECK (points >= 0),
        point_amount numeric NOT NULL, redemption_percent numeric NOT NULL,
        deferred_minor bigint NOT NULL CHECK (deferred_minor >= 0),
        claimed bigint NOT NULL DEFAULT 0,
        redeemed bigint NOT NULL DEFAULT 0 CHECK (redeemed >= 0),
        expired bigint NOT NULL DEFAULT 0 CHECK (expired >= 0),
        released_minor bigint NOT NULL DEFAULT 0,
        earned_on date NOT NULL, expires_on date,
        is_void boolean NOT NULL DEFAULT false,
        CONSTRAINT lot_points_left CHECK (redeemed <= claimed AND claimed + expired <= points),
        CONSTRAINT lot_deferred_left CHECK (released_minor BETWEEN 0 AND deferred_minor)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX point_lot_account ON invoicing.point_lot (account_id)",
    """
    CREATE INDEX point_lot_expiry ON invoicing.point_lot (expires_on)
        WHERE expires_on IS NOT NULL AND claimed + expired < points
    """,
    """
    CREATE TABLE invoicing.point_redemption (
        redemption_id text COLLATE "C" PRIMARY KEY,
        account_id text COLLATE "C" NOT NULL,
        points bigint NOT NULL CHECK (points > 0),
        redeemed_no bigint GENERATED ALWAYS AS IDENTITY,
        known_watermark_at timestamptz,
        payload_sha256 bytea NOT NULL
    )
    """,
    # Which points of which lot a redemption claimed, and how many of them have come off an invoice.
    """
    CREATE TABLE invoicing.point_claim (
        redemption_id text COLLATE "C" NOT NULL REFERENCES invoicing.point_redemption,
        lot_id text COLLATE "C" NOT NULL REFERENCES invoicing.point_lot,
        account_id text COLLATE "C" NOT NULL,
        points bigint NOT NULL CHECK (points >= 0),
        redeemed bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (redemption_id, lot_id),
        CONSTRAINT claim_left CHECK (redeemed BETWEEN 0 AND points)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX point_claim_open ON invoicing.point_claim (account_id) WHERE redeemed < points",
    """
    CREATE TABLE invoicing.point_use (
        invoice_id text COLLATE "C" NOT NULL,
        redemption_id text COLLATE "C" NOT NULL,
        lot_id text COLLATE "C" NOT NULL,
        points bigint NOT NULL CHECK (points > 0),
        released_minor bigint NOT NULL CHECK (released_minor >= 0),
        PRIMARY KEY (invoice_id, redemption_id, lot_id)
    )
    """,
    # What a document billed of a subscription's capped billing period, before the cap, and what the cap took off.
    """
    CREATE TABLE invoicing.cap_use (
        subscription_id text COLLATE "C" NOT NULL,
        period_start_at timestamptz NOT NULL,
        invoice_id text COLLATE "C" NOT NULL,
        billed_minor bigint NOT NULL,
        capped_minor bigint NOT NULL,
        PRIMARY KEY (subscription_id, period_start_at, invoice_id)
    )
    """,
    "CREATE INDEX cap_use_invoice ON invoicing.cap_use (invoice_id)",
    # A term is trued up once; `invoice_id` is the invoice that did.
    """
    CREATE TABLE invoicing.commitment_term (
        subscription_id text COLLATE "C" NOT NULL,
        start_on date NOT NULL,
        invoice_id text COLLATE "C" NOT NULL,
        billed_minor bigint NOT NULL,
        short_minor bigint NOT NULL CHECK (short_minor >= 0),
        PRIMARY KEY (subscription_id, start_on)
    )
    """,
    # The share of each of the invoice's discounts in a line, and what credit notes have given back of it.
    """
    ALTER TABLE invoicing.invoice_line ADD COLUMN discount_shares bigint[] NOT NULL DEFAULT '{}',
        ADD COLUMN credited_shares bigint[] NOT NULL DEFAULT '{}'
    """,
    # Terms by their end: what no invoice trues up comes by time, on a document of its own, in review as a draft.
    """
    CREATE INDEX subscription_term_end ON invoicing.subscription ((content #>> '{commitment,end_on}'))
        WHERE content #>> '{commitment,end_on}' IS NOT NULL
    """,
    'ALTER TABLE invoicing.draft ADD COLUMN true_up_of text COLLATE "C"',
    # Invoices that were taken back: their lines count for no commitment.
    'CREATE TABLE invoicing.released_invoice (invoice_id text COLLATE "C" PRIMARY KEY)',
    """
    INSERT INTO ledger.account (code, name, kind, by_party) VALUES
        ('2210', 'Loyalty points', 'liability', false),
        ('2320', 'Prepaid credit', 'liability', true),
        ('4080', 'Breakage', 'income', false),
        ('4090', 'Discounts', 'income', false)
    """,
)

TABLES = (
    *("released_invoice", "commitment_term", "cap_use", "point_use", "point_claim", "point_redemption", "point_lot"),
    *("point_balance", "credit_alert", "credit_use", "credit_grant", "coupon_use", "coupon_holder", "coupon_budget"),
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DELETE FROM ledger.account WHERE code IN ('2210', '2320', '4080', '4090')")
    op.execute("DROP INDEX invoicing.subscription_term_end")
    op.execute("ALTER TABLE invoicing.invoice_line DROP COLUMN discount_shares, DROP COLUMN credited_shares")
    op.execute("ALTER TABLE invoicing.draft DROP COLUMN true_up_of")
    for table in TABLES:
        op.execute(f"DROP TABLE invoicing.{table}")
