"""The life of an invoice: its states and the steps between them, as a table of data.

Place     invoicing agent (requests, bill run, feedback of the ledger) -> [this] -> `invoicing.invoice.status`.
Rules     what is not in the table is refused. The book changes a status only from the one that the table names, so of
          two processes that take a step at once one finds it taken.
Steps     approve, finalise, void, write_off and credit are asked for or fall due; settle and reopen are what the ledger
          found: nothing is open any more, or a payment was given back.
Source    Stripe's invoice statuses (draft, open, paid, void, uncollectible); reference/ledger.md section 1.7 and J7-J9.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    """Where an invoice is in its life; a credit note is `open` for ever, since nothing is owed on it."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class Step(StrEnum):
    """What can happen to an invoice."""

    APPROVE = "approve"
    FINALISE = "finalise"
    SETTLE = "settle"
    REOPEN = "reopen"
    VOID = "void"
    WRITE_OFF = "write_off"
    CREDIT = "credit"


@dataclass(frozen=True, slots=True)
class Transition:
    """From `source` by `step` to `target`; `when` says what else must hold, "" where nothing must."""

    source: Status
    step: Step
    target: Status
    when: str = ""


NOTHING_CORRECTED = "no credit note or later correction is on it"
SOMETHING_LEFT = "something of it is left to credit"

TRANSITIONS: tuple[Transition, ...] = (
    Transition(Status.DRAFT, Step.APPROVE, Status.DRAFT),
    Transition(Status.DRAFT, Step.FINALISE, Status.OPEN, "its review is over, and it is approved where it must be"),
    Transition(Status.OPEN, Step.SETTLE, Status.PAID),
    Transition(Status.OPEN, Step.VOID, Status.VOID, NOTHING_CORRECTED),
    Transition(Status.OPEN, Step.WRITE_OFF, Status.UNCOLLECTIBLE),
    Transition(Status.OPEN, Step.CREDIT, Status.OPEN, SOMETHING_LEFT),
    Transition(Status.PAID, Step.REOPEN, Status.OPEN),
    Transition(Status.PAID, Step.CREDIT, Status.PAID, SOMETHING_LEFT),
    Transition(Status.UNCOLLECTIBLE, Step.SETTLE, Status.PAID),
    Transition(Status.UNCOLLECTIBLE, Step.REOPEN, Status.OPEN),
    Transition(Status.UNCOLLECTIBLE, Step.VOID, Status.VOID, NOTHING_CORRECTED),
    Transition(Status.UNCOLLECTIBLE, Step.CREDIT, Status.UNCOLLECTIBLE, SOMETHING_LEFT),
)

_TARGETS: Mapping[tuple[Status, Step], Transition] = MappingProxyType({(t.source, t.step): t for t in TRANSITIONS})

_HINTS: Mapping[tuple[Status, Step], str] = MappingProxyType(
    {
        (Status.PAID, Step.VOID): "credit it instead",
        (Status.PAID, Step.WRITE_OFF): "nothing is owed on it",
        (Status.DRAFT, Step.VOID): "it has not been issued; change what it is made from",
        (Status.DRAFT, Step.CREDIT): "it has not been issued; change what it is made from",
    }
)

_DONE: Mapping[Step, str] = MappingProxyType(
    {
        Step.APPROVE: "approved",
        Step.FINALISE: "finalised",
        Step.SETTLE: "settled",
        Step.REOPEN: "reopened",
        Step.VOID: "voided",
        Step.WRITE_OFF: "written off",
        Step.CREDIT: "credited",
    }
)


def target_of(source: Status, step: Step) -> Status | None:
    """Return where `step` leads from `source`, None where the table does not have it."""
    transition = _TARGETS.get((source, step))
    return transition.target if transition else None


def sources_of(step: Step) -> tuple[Status, ...]:
    """Return the states from which `step` can be taken: what a guarded UPDATE asks for."""
    return tuple(transition.source for transition in TRANSITIONS if transition.step is step)


def refusal(name: str, status: str, step: Step) -> str:
    """Return the sentence that says why the invoice `name` can't take `step` from `status`."""
    known = Status(status)
    transition = _TARGETS.get((known, step))
    if transition is not None:
        return f"invoice {name} can't be {_DONE[step]}: it can only when {transition.when}"
    hint = _HINTS.get((known, step))
    return f"invoice {name} is {status} and can't be {_DONE[step]}" + (f": {hint}" if hint else "")
