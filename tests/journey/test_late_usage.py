"""Late and corrected usage up to the invoice: what is billed for it, on which document, and which line it corrects.

A call is 0.10, VAT 20 %. All usage is of noon UTC; March is billed on 1 April.
"""

from collections.abc import Callable

from tests.journey.checks import check
from tests.journey.journey import Journey

Begin = Callable[..., Journey]


async def _march(begin: Begin) -> Journey:
    """100 calls on 10 March and 200 on 20 March: 30.00 for March."""
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("calls", "O", "CALLS")
    journey.use("A", "2026-03-10", 100, event_id="first")
    journey.use("A", "2026-03-20", 200, event_id="second")
    await journey.until("2026-04-03")
    assert [one.subtotal_minor for one in journey.documents] == [3000]
    return journey


async def test_late_usage_is_a_correction_of_the_line_of_its_month_on_the_next_invoice(begin: Begin) -> None:
    """50 calls of 25 March come on 3 April: 5.00 more. April has 10 calls: 1.00."""
    journey = await _march(begin)
    journey.use("A", "2026-03-25", 50)
    journey.use("A", "2026-04-03", 10)
    await journey.until("2026-05-02")
    march, april = journey.documents
    assert journey.lines(april) == [("calls", "charge", 100), ("calls", "correction", 500)]
    (line,) = [one for one in april.lines if one.kind == "correction"]
    assert line.corrects == march.lines[0].line_id
    assert f"{line.period.start:%Y-%m-%d}" == "2026-03-01"
    assert march.number is not None
    assert journey.billed("calls") == {"2026-03": 3500, "2026-04": 100}
    await check(journey)


async def test_a_voided_and_a_replaced_event_are_one_correction_of_the_line_of_their_month(begin: Begin) -> None:
    """The 100 of 10 March were 40, the 200 of 20 March nothing: 4.00 instead of 30.00. April: 300 calls, 30.00."""
    journey = await _march(begin)
    journey.correct("A", "first", "2026-03-10", 40)
    journey.correct("A", "second")
    journey.use("A", "2026-04-03", 300)
    await journey.until("2026-05-02")
    march, april = journey.documents
    assert journey.lines(april) == [("calls", "charge", 3000), ("calls", "correction", -2600)]
    (line,) = [one for one in april.lines if one.kind == "correction"]
    assert line.corrects == march.lines[0].line_id
    assert journey.billed("calls") == {"2026-03": 400, "2026-04": 3000}
    await check(journey)


async def test_a_correction_that_is_corrected_after_it_was_billed_is_corrected_again(begin: Begin) -> None:
    """The 200 of 20 March were 100 (-10.00 in May), no, 150 (+5.00 in June)."""
    journey = await _march(begin)
    journey.correct("A", "second", "2026-03-20", 100)
    journey.use("A", "2026-04-03", 300)
    await journey.until("2026-05-02")
    journey.correct("A", "second", "2026-03-20", 150)
    await journey.until("2026-06-02")
    assert journey.billed("calls") == {"2026-03": 2500, "2026-04": 3000, "2026-05": 0}
    assert [one.subtotal_minor for one in journey.documents] == [3000, 3000 - 1000, 500]
    await check(journey)
