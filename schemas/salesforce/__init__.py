"""Salesforce's wire forms, pure: bitmaps, field kinds, echoes; who reads or writes change events uses these."""

API_VERSION = "67.0"
"""The version of Salesforce's API that we ask for where nobody says another, that of Summer '26."""
