"""The bridge: Salesforce's change events, and what is read again, become records on `sf.cdc.*`, exactly once."""
