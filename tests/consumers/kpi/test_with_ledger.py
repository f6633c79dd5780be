"""The ledger's own events, handed to the KPI agent as they are: both books must agree."""

import random
from datetime import timedelta
from decimal import Decimal

from fakturo.consumers.ledger.handler import LedgerAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode


async def post(desk, *records):
    """Return what the ledger publishes for `records`, as records of billing.ledger."""
    async with desk.connection.transaction():
        tx = Transaction(agent="ledger", sql=None, driver=desk.connection, partition_count=4)
        await LedgerAgent(settings=None).handle(records, tx)
    assert tx.rejections == []
    return [
        Record(row.topic, 0, next(desk.offsets), row.key, row.value, (), records[0].recorded_at) for row in tx.outbox
    ]


def payment(desk, template, payment_id, day, amount_minor, account, invoice_id, kind="received"):
    at = template.recorded_at + timedelta(days=day - 1, hours=9)
    data = {
        "payment_id": payment_id,
        "account": account,
        "currency": "EUR",
        "amount": f"{amount_minor / 100:.2f}",
        "method": "transfer",
        "received_at": at,
        "invoice_id": invoice_id,
        "fee": "0.25",
    }
    event = {"specversion": "1.0", "id": f"{payment_id}/{kind}", "source": "bank", "time": at, "data": data}
    value = encode({**event, "type": f"fakturo.payment.{kind}.v1"})
    return Record("billing.payments", 0, next(desk.offsets), None, value, (), template.recorded_at)


async def test_open_receivables_are_the_balance_of_1200_and_fees_and_delays_come_through(desk):
    chance = random.Random(5)
    fees = weighted = settled = net_all = 0
    for number in range(40):
        account, net, day = f"A{number % 3}", chance.randrange(500, 9_000), 1 + number
        invoice = desk.invoice(f"i{number}", day, net, account=account, due=day + 14)
        net_all += net
        await desk.hand_in(invoice, *await post(desk, invoice))
        if number % 4:
            paid, paid_on = net // (1 + number % 2), day + chance.randrange(5, 30)
            await desk.hand_in(
                *await post(desk, payment(desk, invoice, f"p{number}", paid_on, paid, account, f"i{number}"))
            )
            fees += 25
            if number % 8 == 1:
                again = payment(desk, invoice, f"p{number}", paid_on + 3, paid, account, f"i{number}", "refunded")
                await desk.hand_in(*await post(desk, again))
                fees += 25
            else:
                settled += paid
                weighted += paid * (paid_on - day - 14)
    await desk.tick(100)
    for account in ("A0", "A1", "A2"):
        balance = await desk.connection.fetchval(
            "SELECT amount_minor FROM ledger.balance WHERE account_code = '1200' AND party = $1", account
        )
        assert (await desk.values(account))["open_receivables", "now"] * 100 == balance
    values = await desk.values("portfolio")
    assert values["lifetime_value", "lifetime"] * 100 == net_all - fees
    assert abs(values["payment_delay", "lifetime"] - Decimal(weighted) / settled) <= Decimal("0.00005")
