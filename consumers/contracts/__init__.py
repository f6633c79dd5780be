"""The contracts agent: Salesforce records become accounts and subscriptions that can be billed.

Reads   `sf.cdc.*` (canonical change records; the profile says which objects mean something), `billing.catalog` (price
        lists), and at start the catalog file and the mapping profile.
Writes  `billing.contracts`: `fakturo.account.changed.v1`, `fakturo.subscription.{started,changed,ended}.v1`,
        `fakturo.opportunity.changed.v1`; `billing.usage`: usage that is kept in Salesforce.
Owns    Postgres schema `contracts`: CRM records field by field, each field's history (bitemporal), what was
        published, the price lists that held, the price versions used, a sentence for everything that is incomplete,
        gaps of whole objects, and what had drifted.
Fails   a record that cannot be read, an unknown change type, a number or date that is none, a price list that
        is faulty, late or back-dated: dead letter. A record whose
        account, order or product is missing is no failure: it waits, and `contracts.incomplete` says for what.

Flow    handler -> reading -> reducer (change record to facts) -> store, snapshots, drift; then publication -> histories
        -> mapping -> outbox. In the mapping: accounts (parents: who pays), lifecycle (an order's terms, pauses, end),
        agreements (seller, coupons, commitment), items and item_terms (what of an item holds from when), entries
        (products of the org's own price list), revisions (amended lines add up); sales, opportunities, usage_records.
        docs/subscriptions.md has each event.
Profile profile (what is read from where), profile_files (shipped and a customer's own), field_paths and formulas (how a
        field is written), derived (fields that no record has). docs/salesforce.md explains it.
"""
