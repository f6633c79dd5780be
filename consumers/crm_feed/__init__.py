"""The crm_feed agent: other people's Salesforce topics become canonical change records on `sf.cdc.*`."""
