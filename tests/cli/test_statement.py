"""What a customer reads of a statement: words and numbers, no codes."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fakturo.cli import statement
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion
from fakturo.schemas.events.usage import Forecast, NextTier, NextUnits, Outlook, PeriodBounds, TierReached, UsageRated

D = Decimal
START, END = datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 2, 1, 5, tzinfo=UTC)
AS_OF = datetime(2013, 1, 16, 17, tzinfo=UTC)
IN_SECOND_TIER = Outlook(
    tier=TierReached(number=2, count=4, after=D(500), up_to=D(2000), unit_amount=D("110.00")),
    next_units=NextUnits(amount=D(110), per_units=D(1), remaining=D(265)),
    forecast=Forecast(at=END, quantity=D(3470), amount_exact=D(364650), amount_minor=364_650_00),
)
VERSION = AccountVersion(
    effective_at=START, recorded_at=START, name="United", timezone="America/New_York", terms_days=30, currency="USD"
)
ACCOUNT = AccountChanged(account="UA", salesforce_id="001NY0000000002YAA", versions=(VERSION,), recorded_at=START)


def _row(outlook: Outlook | msgspec.UnsetType, **given: Any) -> dict[str, Any]:
    content = UsageRated(
        account="UA",
        subscription_id="s",
        subscription_item="i",
        product_code="MOVEMENT",
        meter="movements",
        dimensions=(),
        period=PeriodBounds(start=START, end=END),
        quantity=D(1735),
        amount_exact=D(195850),
        amount_minor=195_850_00,
        currency="USD",
        as_of=AS_OF,
        slices=(),
        final=not outlook,
        next_tier=NextTier(remaining=D(265), unit_amount=D(95)) if outlook else None,
        outlook=outlook,
    )
    return {
        "subscription_item": "i",
        "product_name": "Movement charge",
        "period_start_at": START,
        "period_end_at": END,
        "quantity": D("1735.000"),
        "amount_minor": 195_850_00,
        "currency": "USD",
        "unit": "movements",
        "as_of": AS_OF,
        "final": not outlook,
        "revision": 1,
        "content": encode(content).decode(),
        "account": encode(ACCOUNT).decode(),
        **given,
    }


REACHED = {"kind": "amount", "threshold": D(150_000_00), "as_of": AS_OF}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what the command prints of rows and alerts."""

    def run(rows: list[Any], alerts: list[Any], *, as_json: bool = False) -> str:
        monkeypatch.setattr(statement, "read_books", lambda _home, _work: (rows, alerts))
        assert statement.show_statement(None, "UA", as_json=as_json) == 0  # type: ignore[arg-type]
        return capsys.readouterr().out

    return run


def test_a_running_statement_is_told_in_sentences(shown: Any) -> None:
    text = shown([_row(IN_SECOND_TIER)], [{"subscription_item": "i", **REACHED}])
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "Movement charge, 2013-01-01 to 2013-01-31, so far, up to 2013-01-16 17:00:00Z" in lines
    assert "Used 1,735 movements" in lines
    assert "Amount 195,850.00 USD" in lines
    assert "Tier reached 2 of 4: above 500 up to 2,000 movements, at 110 USD each" in lines
    assert "Next 110 USD each for 265 movements, then 95 USD" in lines
    assert "At this pace 3,470 movements and 364,650.00 USD at the end of the period" in lines
    assert "Alert 150,000.00 USD reached, as of 2013-01-16 17:00:00Z" in lines


def test_a_final_statement_says_nothing_of_what_comes(shown: Any) -> None:
    text = shown([_row(msgspec.UNSET)], [])
    assert "final" in text
    assert not [word for word in ("Tier", "Next", "pace", "so far") if word in text]


def test_the_program_gets_the_same_as_data(shown: Any) -> None:
    (row,) = json.loads(shown([_row(IN_SECOND_TIER)], [{"subscription_item": "i", **REACHED}], as_json=True))
    assert (row["quantity"], row["amount"], row["final"]) == ("1735", "195850.00", "no")
    assert row["tier"] == {"number": 2, "of": 4, "above": "500", "up_to": "2000", "unit_amount": "110"}
    assert row["next_units"] == {"amount": "110", "per_units": "1", "remaining": "265"}
    assert row["then"] == {"after": "265", "unit_amount": "95"}
    assert row["forecast"] == {"at": "2013-02-01T05:00:00Z", "quantity": "3470", "amount": "364650.00"}
    assert row["alerts"] == [{"kind": "amount", "threshold": "150000.00", "reached_as_of": "2013-01-16T17:00:00Z"}]


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        (NextUnits(amount=D(0), per_units=D(1), remaining=D(60)), "60 movements cost nothing"),
        (NextUnits(amount=D(0), per_units=D(1), remaining=None), "more movements cost nothing"),
        (NextUnits(amount=D("1.75"), per_units=D(1000), remaining=None), "1.75 USD for each 1,000 movements"),
        (NextUnits(amount=D(2), per_units=D(1), remaining=None), "2 USD each"),
    ],
)
def test_what_comes_next_is_said_as_it_is_sold(shown: Any, units: NextUnits, sentence: str) -> None:
    text = shown([_row(Outlook(tier=None, next_units=units, forecast=None))], [])
    assert sentence in " ".join(text.split())
