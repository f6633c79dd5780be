"""The `invoicing` agent: when a billing period is over and all items of an account are final, there is an invoice.

Reads   billing.contracts (accounts, subscriptions with their prices), billing.rated (the final statements),
        billing.requests (what people ask for), billing.ledger (feedback: what was paid)
Writes  billing.invoices (invoices drafted, finalized, paid, voided, uncollectible; credit notes; credit and points)
Owns    Postgres schema `invoicing`: final statements, invoices, lines, the number series, and what of the contracts it
        needs with the period that is billed next
Fails   an event that cannot be read: dead letter. A final statement that has not come: the account's period waits and
        stands in `invoicing.pending`; nothing is billed around it.

Flow    handler -> requests -> credit_requests, life; journals -> receivables;
        time -> handler.advance -> changes, due, billing, finalizing, drafts -> outbox.
"""
