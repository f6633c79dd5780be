"""The `crm_sync` agent: what sales sees of the books, kept in step with them in the Salesforce org.

Reads   billing.invoices, billing.ledger, billing.kpis, billing.contracts
Writes  the org's Account (KPI fields), Fakturo_Invoice__c, Fakturo_Invoice_Line__c (schemas/salesforce/written_fields);
        no topic
Owns    Postgres schema `crm_sync`: what the topics told, the records as the org is to hold them, what it holds
Parts   the handler folds events into rows, in the transaction, exactly once; the pusher, a task beside it, sends the
        rows that changed, at least once. After any outage the org ends equal to the rows, and the rows to the books.
Fails   a record that is no event of ours: dead letter. What the org refuses waits with a sentence; the rest goes on.
"""
