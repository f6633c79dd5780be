"""`fakturo verify` on alerts: what the usage agent wrote is right, and each way of being wrong is found."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fakturo.cli.verify_alerts import verify_alerts
from fakturo.cli.verify_result import Verification
from fakturo.schemas.events.contracts import AlertThreshold
from tests.consumers.usage.conftest import THREE_EACH, TOKENS, Desk, account, item, price, subscription

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
ALERTS = (
    AlertThreshold(quantity=Decimal(5)),
    AlertThreshold(amount_minor=1500, currency="EUR"),
    AlertThreshold(quantity=Decimal(500)),
)


async def _verified(desk: Desk) -> Verification:
    result = Verification()
    await verify_alerts(desk.connection, result)
    return result


async def _lived(desk: Desk) -> None:
    """February: 5 calls (1000 cents, revised to 1500), then a running March with 6."""
    await desk.sign(account(), subscription(item("calls", alerts=ALERTS)))
    await desk.hand_in(*(desk.usage(str(n)) for n in range(5)))
    await desk.tick(MARCH)
    await desk.sign(subscription(item("calls", alerts=ALERTS, prices=(price(THREE_EACH),))), watermark_at=MARCH)
    await desk.hand_in(*(desk.usage(f"m{n}", "2026-03-05T10:00:00Z") for n in range(6)))
    await desk.tick(datetime(2026, 3, 6, tzinfo=UTC))
    await desk.flush()


async def test_alerts_of_final_revised_and_running_statements_are_in_order(desk: Desk) -> None:
    await _lived(desk)
    # February: quantity 5, then 1500 cents by the revision. March: both at once (6 calls, 1800 cents).
    assert len(desk.alerts) == 4
    result = await _verified(desk)
    assert (result.differences, result.notes, result.checked) == ([], [], 4 + 2)


@pytest.mark.parametrize("kind", ["quantity", "amount"])
@pytest.mark.parametrize("month", ["2026-02-01", "2026-03-01"])
async def test_a_missing_alert_is_found(desk: Desk, kind: str, month: str) -> None:
    await _lived(desk)
    await desk.connection.execute(
        "DELETE FROM usage.threshold_alert WHERE kind = $1 AND period_start_at = $2",
        kind,
        datetime.fromisoformat(month + "T00:00:00Z"),
    )
    (difference,) = (await _verified(desk)).differences
    assert difference.figure.startswith(f"alert at {kind} ")
    assert (difference.expected, difference.found) == ("said", "missing")


async def test_an_alert_of_a_final_statement_that_did_not_reach_it_is_found(desk: Desk) -> None:
    await _lived(desk)
    await desk.connection.execute(
        "UPDATE usage.threshold_alert SET threshold = 500, quantity = 500 WHERE kind = 'quantity' AND final"
    )
    differences = (await _verified(desk)).differences
    assert [(one.expected, one.found) for one in differences] == [("said", "missing"), ("reached", "not reached")]


async def test_an_alert_of_usage_that_was_taken_back_is_a_note(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS, alerts=(AlertThreshold(quantity=Decimal(10)),))))
    await desk.hand_in(desk.usage("1", data={"tokens": "10"}))
    await desk.flush()
    await desk.hand_in(desk.usage("2", data={"tokens": "-3"}))
    await desk.tick(MARCH)
    result = await _verified(desk)
    assert result.differences == []
    assert [note.count for note in result.notes] == [1]
