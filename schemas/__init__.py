"""The contracts of Fakturo: topics, event types, envelope, codec. Imports nothing else of the project."""
