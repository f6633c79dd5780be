"""A journey to explain: the agents in one process on a database of its own, as tests/journey has it."""

from tests.journey.conftest import begin, connection

__all__ = ["begin", "connection"]
