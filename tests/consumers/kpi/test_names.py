"""What the agent keeps of contracts: the newest name and currency of an account."""

from datetime import UTC, datetime

from fakturo.consumers.runtime.records import Record
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import ACCOUNT_CHANGED, AccountChanged, AccountVersion

JANUARY, MARCH = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


def account_changed(offset, recorded_at, *names):
    versions = tuple(
        AccountVersion(
            effective_at=recorded_at, recorded_at=recorded_at, name=name, timezone="UTC", terms_days=30, currency="USD"
        )
        for name in names
    )
    changed = AccountChanged(account="UA", salesforce_id="001", versions=versions, recorded_at=recorded_at)
    event = event_of(
        agent="contracts",
        event_type=ACCOUNT_CHANGED,
        id=f"UA/{recorded_at}",
        subject="UA",
        time=recorded_at,
        data=changed,
    )
    return Record("billing.contracts", 0, offset, None, encode(event), (), recorded_at)


async def test_the_newest_version_of_the_newest_record_gives_the_name(desk):
    await desk.hand_in(account_changed(2, MARCH, "United", "United Airlines"), account_changed(1, JANUARY, "UAL"))
    tx = await desk.hand_in(account_changed(3, JANUARY, "Old"))
    assert tx.outcomes["billing.contracts", "applied"] == 1
    assert [tuple(row) for row in await desk.connection.fetch("SELECT account, name, currency FROM kpi.account")] == [
        ("UA", "United Airlines", "USD")
    ]


async def test_a_record_that_is_no_event_is_rejected_and_its_neighbours_count(desk):
    bad = Record("billing.invoices", 0, 1, None, b"[]", (), JANUARY)
    tx = await desk.hand_in(bad, desk.invoice("i1", 1, 100, currency="ABC"), *desk.billed("i2", 1, 100))
    assert [rejection.reason for rejection in tx.rejections] == ["unknown_shape", "unknown_currency"]
    await desk.tick(1)
    assert (await desk.values())["purchase_frequency", "30d"] == 1
