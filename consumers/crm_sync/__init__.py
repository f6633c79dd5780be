"""The crm_sync agent: invoices and KPIs, written back to Salesforce."""
