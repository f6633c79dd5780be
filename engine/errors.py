"""Errors of the engine: what was asked cannot be computed, and where in the document the reason stands.

::

    EngineError                  text for a person
    ├── PriceError               code, message, path: a price, a quantity or a period that the price language refuses
    ├── MeterError               reason (a dead-letter reason), path: an event that a meter cannot measure
    ├── CatalogError             faults: every PriceError of a catalog, all at once
    └── InvariantBroken          a result that must not exist (a journal that does not balance): always a bug
"""

from collections.abc import Iterable

from fakturo.schemas.dead_letters import DeadLetterReason


class EngineError(Exception):
    """Root of the tree; its text is meant for a person."""


class PriceError(EngineError):
    """A price, quantity or period that the price language refuses.

    `code` is stable (programs match it), `message` names the value, `path` is where it stands, such as
    `price.tiers[1].up_to`.
    """

    def __init__(self, code: str, message: str, path: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path


class MeterError(EngineError):
    """An event that matches a meter but holds no value for it: it goes to the dead letters with `reason`."""

    def __init__(self, reason: DeadLetterReason, message: str, path: str) -> None:
        super().__init__(f"{message} (at {path})")
        self.reason = reason
        self.message = message
        self.path = path


class CatalogError(EngineError):
    """A catalog that is refused whole; `faults` lists everything that is wrong with it, in the order of the file."""

    def __init__(self, faults: Iterable[PriceError]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{fault.path}: {fault.message} ({fault.code})" for fault in self.faults))


class InvariantBroken(EngineError):
    """A value that breaks a rule of the books, such as a journal that does not sum to 0. Never caught: it is a bug."""
