"""When each account's next invoice falls due: worked out as time passes.

Place     handler's `advance` -> [this] (calls engine/next_invoice) -> crm_sync.subscription, crm_sync.account -> rows.
Due       a subscription is looked at when it or its account has changed, when its invoice has fallen due, and when a
          later version of its account begins (another zone, another payer).
Payer     the account that gets the invoice: the parent where it pays for its children (`bill_to`).
Bound     `SUBSCRIPTIONS_A_CALL` a call. One whose account is not known yet waits for it.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg
import msgspec

from fakturo.consumers.crm_sync.store import lock_accounts
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.next_invoice import next_bill_at
from fakturo.engine.periods import local_date
from fakturo.engine.schedule import version_at
from fakturo.schemas.events.contracts import AccountVersion, SubscriptionItem

SUBSCRIPTIONS_A_CALL = 500

_items = msgspec.json.Decoder(tuple[SubscriptionItem, ...])
_versions = msgspec.json.Decoder(tuple[AccountVersion, ...])

_DUE = """
SELECT s.subscription_id, s.account, s.payer, s.items, a.versions
  FROM crm_sync.subscription s JOIN crm_sync.account a USING (account)
 WHERE s.due_at <= $1 AND a.versions IS NOT NULL ORDER BY s.due_at, s.subscription_id LIMIT $2
"""
_SAVE = """
UPDATE crm_sync.subscription s SET payer = t.payer, due_at = t.due_at, next_invoice_on = t.next_on
  FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::date[]) AS t(subscription_id, payer, due_at, next_on)
 WHERE s.subscription_id = t.subscription_id
"""
_NEXT_OF_ACCOUNTS = """
UPDATE crm_sync.account a SET next_invoice_on = n.next_on
  FROM (SELECT payer, min(next_invoice_on) AS next_on FROM crm_sync.subscription
         WHERE payer = ANY($1::text[]) GROUP BY payer
        UNION ALL
        SELECT name, NULL FROM unnest($1::text[]) name
         WHERE NOT EXISTS (SELECT FROM crm_sync.subscription WHERE payer = name)) n
 WHERE a.account = n.payer AND a.next_invoice_on IS DISTINCT FROM n.next_on
RETURNING a.account
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What was worked out of a subscription: `due_at` is when it must be looked at again, None never."""

    subscription_id: str
    payer: str
    due_at: datetime | None
    next_on: date | None


async def work_out(
    to: datetime, tx: Transaction, show_accounts: Callable[[Iterable[str], Transaction], Awaitable[None]]
) -> bool:
    """Work out some of the subscriptions that are due at `to`; return whether there was any."""
    picked = await tx.driver.fetch(_DUE, to, SUBSCRIPTIONS_A_CALL)
    if not picked:
        return False
    names = {row["account"] for row in picked} | {row["payer"] for row in picked if row["payer"]}
    names |= {next_of(row, to).payer for row in picked}
    await lock_accounts(tx.driver, names)
    # Read again under the locks: what another worker has just told of them counts.
    rows = await _read(tx.driver, to, [row["subscription_id"] for row in picked])
    # One whose payer has become another in between stays due: that payer's row is not locked.
    found = [(row, told) for row in rows if (told := next_of(row, to)).payer in names]
    await _save(tx.driver, [told for _, told in found])
    payers = {told.payer for _, told in found} | {row["payer"] for row, _ in found if row["payer"]}
    changed = await tx.driver.fetch(_NEXT_OF_ACCOUNTS, sorted(payers))
    await show_accounts([row["account"] for row in changed], tx)
    return True


def next_of(row: asyncpg.Record, to: datetime) -> Next:
    """Return what is known at `to` of the subscription in `row`."""
    versions = _versions.decode(row["versions"])
    now = version_at(versions, to)
    bill_at = next_bill_at(_items.decode(row["items"]), versions, to)
    later = [version.effective_at for version in versions if version.effective_at > to]
    return Next(
        subscription_id=row["subscription_id"],
        payer=now.bill_to or row["account"],
        due_at=min([at for at in (bill_at, *later) if at is not None], default=None),
        next_on=None if bill_at is None else local_date(bill_at, version_at(versions, bill_at).timezone),
    )


async def _read(driver: asyncpg.Connection, to: datetime, ids: Sequence[str]) -> list[asyncpg.Record]:
    rows = await driver.fetch(
        "SELECT s.subscription_id, s.account, s.payer, s.items, a.versions FROM crm_sync.subscription s "
        "JOIN crm_sync.account a USING (account) WHERE s.subscription_id = ANY($1::text[]) AND s.due_at <= $2 "
        "ORDER BY s.subscription_id FOR UPDATE OF s",
        list(ids),
        to,
    )
    return list(rows)


async def _save(driver: asyncpg.Connection, found: Sequence[Next]) -> None:
    await driver.execute(
        _SAVE,
        [told.subscription_id for told in found],
        [told.payer for told in found],
        [told.due_at for told in found],
        [told.next_on for told in found],
    )
