"""The life of an invoice: every pair of state and step, the allowed ones written out by hand, all others refused."""

import itertools

import pytest

from fakturo.engine.invoice_life import TRANSITIONS, Status, Step, refusal, sources_of, target_of

# By hand, after Stripe's invoice statuses: who may be voided (open, uncollectible), written off (open), paid (open,
# uncollectible), credited (whatever was issued and is not void); a charge-back makes a settled one owed again.
ALLOWED = {
    "draft": {"approve": "draft", "finalise": "open"},
    "open": {"settle": "paid", "void": "void", "write_off": "uncollectible", "credit": "open"},
    "paid": {"reopen": "open", "credit": "paid"},
    "void": {},
    "uncollectible": {"settle": "paid", "reopen": "open", "void": "void", "credit": "uncollectible"},
}


@pytest.mark.parametrize(("status", "step"), list(itertools.product(Status, Step)))
def test_every_pair_of_state_and_step_leads_where_it_must_or_is_refused(status: Status, step: Step) -> None:
    assert target_of(status, step) == ALLOWED[status].get(step)
    assert (status in sources_of(step)) is (step in ALLOWED[status])


def test_the_table_names_each_pair_once() -> None:
    pairs = [(transition.source, transition.step) for transition in TRANSITIONS]
    assert len(pairs) == len(set(pairs)) == sum(len(steps) for steps in ALLOWED.values())


def test_nothing_leaves_void_and_nothing_enters_draft() -> None:
    assert not [transition for transition in TRANSITIONS if transition.source is Status.VOID]
    assert {transition.source for transition in TRANSITIONS if transition.target is Status.DRAFT} == {Status.DRAFT}


def test_a_refusal_says_what_the_invoice_is_and_what_to_do_instead() -> None:
    assert refusal("INV-7", "paid", Step.VOID) == "invoice INV-7 is paid and can't be voided: credit it instead"
    assert refusal("INV-7", "void", Step.CREDIT) == "invoice INV-7 is void and can't be credited"
    assert "only when no credit note" in refusal("INV-7", "open", Step.VOID)
