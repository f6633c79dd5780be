"""Errors of the contracts: what arrived is not what the topic promises.

SchemaError
  reason   the dead-letter reason that it leads to
  path     where in the document, as JSON path ("$.data.amount")
"""

from fakturo.schemas.dead_letters import DeadLetterReason


class SchemaError(ValueError):
    """A record that cannot be read as an event of its topic. Its text says what is wrong, where, and how to mend it."""

    def __init__(self, reason: DeadLetterReason, message: str, path: str = "$") -> None:
        super().__init__(f"{message} (at {path})")
        self.reason = reason
        self.path = path
