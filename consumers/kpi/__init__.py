"""The `kpi` agent: invoices and journals become KPIs of each customer and of the whole portfolio.

Reads   billing.ledger, billing.invoices (finalized, voided, credit notes), billing.contracts
        (the accounts' names, what subscriptions cost a month and when they end, opportunities)
Writes  billing.kpis (fakturo.kpi.updated.v1), the values that changed
Owns    Postgres schema `kpi`: facts that wait for their day, day tiles, totals, values and their history
Fails   a record that is no event of ours, or a repeated id with another payload: dead letter
"""
