"""The examples of docs/pricing.md give the amounts that stand behind them (worked out by hand, as the text shows)."""

import re

import msgspec
import pytest

from fakturo.engine.prices import MODELS
from fakturo.engine.rate_lines import RateLines
from tests.architecture.tree import ROOT

TEXT = (ROOT / "docs" / "pricing.md").read_text()
EXAMPLES = re.findall(r"```json\n(.+)\n```\n→ `([^`]+)`", TEXT)


@pytest.mark.parametrize(("line", "amount"), EXAMPLES)
def test_an_example_of_the_document_gives_its_amount(line: str, amount: str) -> None:
    answer = msgspec.json.decode(RateLines().answer(line.encode(), 1).content)
    assert answer.get("amount") == amount, answer


def test_every_model_and_modifier_has_an_example() -> None:
    shown = "\n".join(line for line, _ in EXAMPLES)
    modifiers = ("event_increments", "transform", "free_units", "per_event", "proration", "licensed", "discount")
    limits = ("maximum_amount", "minimum_amount")
    assert [name for name in (*MODELS, *modifiers, *limits) if f'"{name}"' not in shown] == []
    assert len(EXAMPLES) == TEXT.count("```json")
