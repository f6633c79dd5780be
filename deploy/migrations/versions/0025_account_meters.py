"""From where on the totals of each account's meters are complete, also of meters that the account has no longer.

Revision ID: 0025
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

UP: tuple[str, ...] = (
    """
-- A meter that an account has or had: all stored events from `totalled_from_at` on are in the totals of it, as long
-- as the account has it. An account without a row never had a meter, so none of its events is stored.
CREATE TABLE usage.account_meter (
    account_id text COLLATE "C" NOT NULL,
    meter_id integer NOT NULL,
    totalled_from_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, meter_id)
)
""",
    # What was counted was marked, also of meters that are gone. 26 hours: no local midnight is further from UTC's.
    """
INSERT INTO usage.account_meter (account_id, meter_id, totalled_from_at)
SELECT account_id, m.meter_id,
       CASE WHEN m.definition ->> 'aggregation' = 'weighted_sum' OR a.service_start_on IS NULL THEN '-infinity'
            ELSE a.service_start_on::timestamp AT TIME ZONE 'UTC' - interval '26 hours' END
  FROM (SELECT account_id, meter_id FROM usage.dirty UNION
        SELECT account_id, unnest(meter_ids) FROM usage.account) AS had
  JOIN usage.meter m USING (meter_id)
  JOIN usage.account a USING (account_id)
""",
)
DOWN: tuple[str, ...] = ("DROP TABLE usage.account_meter",)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
