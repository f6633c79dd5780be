"""The contracts agent: Salesforce records become accounts and subscriptions that can be billed.

Reads   `sf.cdc.Account`, `sf.cdc.Order`, `sf.cdc.OrderItem`, `sf.cdc.Product2` (canonical change records),
        `billing.catalog` (price lists), and the catalog file at start.
Writes  `billing.contracts`: `fakturo.account.changed.v1`, `fakturo.subscription.{started,changed,ended}.v1`.
Owns    Postgres schema `contracts`: CRM records field by field, each field's history (bitemporal), what was
        published, the price lists that held, the price versions used, and a sentence for everything that is incomplete.
Fails   a record that cannot be read, an unknown change type, a number or date that is none, a price list that
        is faulty, late or back-dated: dead letter. A record whose
        account, order or product is missing is no failure: it waits, and `contracts.incomplete` says for what.

Flow    handler -> reducer (change record to facts) -> store; then publication -> history -> mapping -> outbox. In the
        mapping: accounts (parents: who pays), lifecycle (an order's terms, pauses, end), agreements (seller, coupons,
        commitment), items and item_terms (what of an item holds from when). docs/subscriptions.md has each event.
"""
