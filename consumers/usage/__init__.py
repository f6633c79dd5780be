"""The `usage` agent: usage events become totals, running statements and, when a period is over, final ones.

Reads   billing.contracts (accounts, subscriptions), billing.usage (any event that a meter of its account counts)
Writes  billing.rated (fakturo.usage.rated.v1: running, final, and final again where a contract is learned late,
        usage comes late or is corrected)
Owns    Postgres schema `usage`: raw events with their identity, totals by quarter hour, statements, what was
        stated for good and what is to be rated again, and what of the contracts it needs: accounts, meters, metered
        items with the period that is next
Fails   a bad event, or a known identity with another payload: dead letter, claims no identity. An event whose account
        or meter is not known: parked until the contract arrives. An event whose period has closed: put
        aside, counted at the next tick, its period stated anew. A correction: parked until it is applied (corrected).

Flow    handler -> reading -> matching -> claiming -> folding -> store; contracts -> projection -> metering, revisions;
        time -> statements -> rateable -> event_usage, rating. Late: late -> `advance`. Corrections: corrected ->
        chains -> exchanging -> retotalling.
"""
