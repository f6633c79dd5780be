"""Which accounts name a Salesforce id: found by what they say, so that one that is given up goes to who names it too.

Revision ID: 0031
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

INDEX = "CREATE INDEX account_names ON usage.account ((content->>'salesforce_id'))"
# Before, one that was given up belonged to nobody, and of two in one batch the last one read had it.
SHARE = """
WITH named AS (
    SELECT account_id, content->>'salesforce_id' AS salesforce_id, row_number() OVER (
        PARTITION BY content->>'salesforce_id' ORDER BY (content->>'recorded_at')::timestamptz DESC, account_id DESC
    ) AS place
    FROM usage.account WHERE content IS NOT NULL
)
UPDATE usage.account a SET salesforce_id = n.owned
FROM (SELECT account_id, CASE WHEN place = 1 THEN salesforce_id END AS owned FROM named) n
WHERE a.account_id = n.account_id AND a.salesforce_id IS DISTINCT FROM n.owned
"""
DOWN = "DROP INDEX usage.account_names"


def upgrade() -> None:
    op.execute(SHARE)
    op.execute(INDEX)


def downgrade() -> None:
    op.execute(DOWN)
