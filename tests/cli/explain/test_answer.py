"""The keys of `fakturo explain --json`: they stay, and docs/explain.md names each."""

import re
from pathlib import Path

import msgspec
import pytest

from fakturo.cli.explain import answer

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "explain.md"
KEYS: dict[type[msgspec.Struct], str] = {
    answer.Explanation: "document line discount slice item_period price steps amount corrects change used events notes",
    answer.Document: ("invoice_id number kind status account issued_on period_start period_end corrects reissues"),
    answer.Line: (
        "line_id number kind account subscription_id subscription_item product_code description explanation quantity "
        "unit unit_amount amount amount_exact currency"
    ),
    answer.Span: "start end timezone",
    answer.PriceUsed: (
        "hash model currency effective_from effective_until own_unit_amount own_discount_percent document"
    ),
    answer.Step: "description quantity unit_amount amount",
    answer.Change: "before now earlier later",
    answer.Standing: "quantity amount",
    answer.OtherLine: "line_id invoice kind quantity amount status",
    answer.Used: "meter revision newest_revision as_of groups event_count hours",
    answer.Meter: "code event_type aggregation value group_by filter",
    answer.Hour: "start local events quantity",
    answer.Events: "shown more held",
    answer.Event: ("source id at type value data topic partition offset recorded_at late counts corrected_by replaces"),
    answer.Identity: "source id",
}


@pytest.mark.parametrize("shape", list(KEYS), ids=lambda shape: shape.__name__)
def test_keys_that_programs_read_stay_and_are_documented(shape: type[msgspec.Struct]) -> None:
    found = shape.__struct_fields__
    assert set(KEYS[shape].split()) <= set(found)
    named = set(re.findall(r"`([a-z_]+)`", DOCUMENT.read_text()))
    assert set(found) - named == set()
