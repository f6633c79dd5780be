"""What holds after every journey, whatever happened in it: asked of the books themselves, not of the agents.

Place     every journey calls `check` at its end.
"""

from collections import defaultdict

from fakturo.schemas.events import invoices as documents
from tests.journey.journey import Journey

UNBALANCED = "SELECT journal_id FROM ledger.line GROUP BY journal_id, currency HAVING sum(amount_minor) <> 0"
TRIAL_BALANCE = "SELECT currency, sum(amount_minor) FROM ledger.balance GROUP BY currency HAVING sum(amount_minor) <> 0"
OPEN_DIFFERS = """
SELECT i.invoice_id, i.status, i.due_minor + i.moved_minor AS ours, l.open_minor AS theirs
  FROM invoicing.invoice i FULL JOIN ledger.invoice l USING (invoice_id)
 WHERE coalesce(i.kind, 'invoice') = 'invoice' AND i.status IS DISTINCT FROM 'void'
   AND (i.due_minor + i.moved_minor) IS DISTINCT FROM l.open_minor
"""
RECEIVABLES = """
SELECT (SELECT coalesce(sum(amount_minor), 0) FROM ledger.balance WHERE account_code = '1200')
     - (SELECT coalesce(sum(open_minor), 0) FROM ledger.invoice)
"""


async def check(journey: Journey, rejected: int = 0) -> None:
    """Nothing was lost or refused, books balance, receivables are the invoices' dues, numbers have no gap."""
    fetch = journey.connection.fetch
    assert [(one.reason, one.message) for one in journey.pipeline.rejections][rejected:] == []
    assert [row["message"] for row in await fetch("SELECT message FROM contracts.incomplete")] == []
    assert [row["message"] for row in await fetch("SELECT agent, message FROM runtime.parked")] == []
    assert await fetch(UNBALANCED) == []
    assert await fetch(TRIAL_BALANCE) == []
    assert [dict(row) for row in await fetch(OPEN_DIFFERS)] == []
    assert await journey.connection.fetchval(RECEIVABLES) == 0
    _check_documents(journey)
    await _check_revenue(journey)


def _check_documents(journey: Journey) -> None:
    numbers: dict[tuple[str | None, str], list[int]] = defaultdict(list)
    for one in journey.documents:
        series, _, number = (one.number or "").rpartition("-")
        numbers[one.seller_code, series].append(int(number))
        assert sum(line.amount_minor for line in one.lines) + sum(d.amount_minor for d in one.discounts) == (
            one.subtotal_minor
        )
        assert sum(tax.taxable_minor for tax in one.taxes) == one.subtotal_minor
        assert sum(tax.tax_minor for tax in one.taxes) == one.tax_minor
        assert one.subtotal_minor + one.tax_minor == one.total_minor
        assert one.total_minor - sum(credit.amount_minor for credit in one.credits) == one.amount_due_minor
    for found in numbers.values():
        assert sorted(found) == list(range(1, len(found) + 1))
    assert len({one.invoice_id for one in journey.documents}) == len(journey.documents)


async def _check_revenue(journey: Journey) -> None:
    """Tax payable is the tax of all documents that stand (by currency)."""
    voided = {event.data.invoice_id for event in journey.pipeline.told(documents.INVOICE_VOIDED)}
    tax: dict[str, int] = defaultdict(int)
    for one in journey.documents:
        if one.invoice_id not in voided:
            tax[one.currency] += one.tax_minor
    for currency, expected in tax.items():
        assert -await journey.balance("2100", currency) == expected
