"""The objects that the sandbox org is born with, as data."""
