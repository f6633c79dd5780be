"""A journey whose books are computed again: the agents in one process, as tests/journey has them."""

from tests.journey.conftest import begin, connection

__all__ = ["begin", "connection"]
