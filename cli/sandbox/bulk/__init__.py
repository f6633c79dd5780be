"""Bulk API 2.0 of the sandbox org: jobs that read and write many records as CSV."""
