"""The connection to a Salesforce org, for the bridge and crm_sync: settings, tokens, REST through simple-salesforce."""
