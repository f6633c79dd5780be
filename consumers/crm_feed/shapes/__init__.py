"""The forms in which other connectors write Salesforce changes, one a file."""
