"""The `ledger` agent: invoices and payments become journals that balance.

Reads   billing.invoices (finalized, credit notes, voided, uncollectible),
        billing.payments (received, failed, refunded, charged back)
Writes  billing.ledger (fakturo.journal.posted.v1)
Owns    Postgres schema `ledger`: journals, lines, balances, open invoices, payments, allocations
Fails   a bad amount, an unknown currency, a repeated id with another payload: dead letter. A payment that names an
        unknown invoice, or comes from an account that was never invoiced, and a refund of an unknown payment: parked
        until what it names arrives. A journal that does not balance: refused by Postgres, which stops the partition.
"""
