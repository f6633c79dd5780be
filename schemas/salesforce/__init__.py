"""Salesforce's wire forms, pure: bitmaps, field kinds, echoes; who reads or writes change events uses these."""
