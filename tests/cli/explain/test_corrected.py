"""A line whose usage came late or was corrected: before and now, and which correction took which event out."""

from collections.abc import Callable
from decimal import Decimal

from fakturo.cli.explain.explaining import explain
from tests.journey.journey import Journey

Begin = Callable[..., Journey]


async def test_a_correction_names_late_replaced_and_voided_events_and_what_it_changed(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("calls", "O", "CALLS")
    journey.use("A", "2026-03-10", 100, event_id="first")
    journey.use("A", "2026-03-20", 200, event_id="second")
    await journey.until("2026-04-03", 0)
    journey.correct("A", "first", "2026-03-10", 40)
    journey.correct("A", "second")
    journey.use("A", "2026-03-25", 7, event_id="late")
    await journey.until("2026-05-02", 1)
    charge, (correction,) = (
        journey.documents[0].lines[0],
        [line for line in journey.documents[1].lines if line.kind == "correction"],
    )
    async with journey.connection.transaction(readonly=True):
        answer = await explain(journey.connection, correction.line_id, 20)
        before = await explain(journey.connection, charge.line_id, 20)
    assert answer is not None
    assert answer.change is not None
    assert answer.events is not None
    # 300 at 0.10 were billed; 40 + 7 count now.
    assert (answer.change.before.quantity, answer.change.before.amount) == (Decimal(300), Decimal("30.00"))
    assert (answer.change.now.quantity, answer.change.now.amount) == (Decimal(47), Decimal("4.70"))
    assert sum(step.amount for step in answer.steps) == answer.amount == Decimal("-25.30")
    assert answer.corrects is not None
    assert answer.corrects.line_id == charge.line_id
    found = {one.id: one for one in answer.events.shown}
    assert [(one.value, one.counts) for one in answer.events.shown] == [
        (Decimal(100), False),
        (Decimal(40), True),
        (Decimal(200), False),
        (Decimal(7), True),
    ]
    assert found["late"].late
    assert found["first"].corrected_by is not None
    assert found["second"].corrected_by is not None
    assert found["first"].corrected_by != found["second"].corrected_by
    (replacement,) = [one for one in answer.events.shown if one.value == 40]
    assert replacement.replaces is not None
    assert (replacement.replaces.source, replacement.replaces.id) == ("meter", "first")
    # The first bill is explained as it was: 300 at 0.10.
    assert before is not None
    assert [step.amount for step in before.steps] == [Decimal(30)]
    assert before.notes == ()
