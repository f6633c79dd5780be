"""Values that other records lend, through the agent: who is published again when a contact or a price changes."""

from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg

from fakturo.consumers.contracts.offers import Offers
from fakturo.schemas.salesforce_ids import long_id
from tests.consumers.contracts.desk import Desk

Connect = Callable[[], Awaitable[asyncpg.Connection]]
AT = "2012-12-15T12:00:00Z"
CONTACT, CONTRACT, ENTRY, MODEL, PRODUCT, ITEM = (
    long_id(short)
    for short in (
        *("003NY0000000001", "800NY0000000001", "01uNY0000000001"),
        *("0jPNY0000000001", "01tNY0000000009", "802NY0000000009"),
    )
)


def org(crm: SimpleNamespace) -> list[dict[str, Any]]:
    """Return the order of American with a third item, of a product that only the org's price list knows."""
    changes = crm.order_of_american()
    changes[1]["values"] |= {"BillToContactId": CONTACT, "ContractId": CONTRACT}
    entry = {"UnitPrice": "40", "IsActive": True, "ProductSellingModelId": MODEL, "CurrencyIsoCode": "USD"}
    item = {"OrderId": crm.ORDER_ID, "Product2Id": PRODUCT, "PricebookEntryId": ENTRY, "Quantity": "3"}
    return [
        *changes,
        crm.change("Product2", PRODUCT, AT, ProductCode="LOUNGE", Name="Lounge"),
        crm.change("OrderItem", ITEM, AT, **item),
        crm.change("Contact", CONTACT, AT, Name="Ana Silva", Email="ana@example.com"),
        crm.change("Contract", CONTRACT, AT, EndDate="2014-12-31"),
        crm.change("PricebookEntry", ENTRY, AT, **entry),
        crm.change("ProductSellingModel", MODEL, AT, SellingModelType="Evergreen", PricingTermUnit="Months"),
    ]


def lounge(desk: Desk, crm: SimpleNamespace) -> Any:
    items = desk.events[f"AA/subscription/{crm.ORDER_ID}"].data.items
    return next((item for item in items if item.product_code == "LOUNGE"), None)


async def test_records_that_lend_values_may_come_in_any_order_and_the_sentence_goes_away(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    *rest, entry, model = org(crm)
    await desk.hand_in(*rest)
    await desk.publish()
    assert lounge(desk, crm) is None
    assert [ENTRY in text for text in await desk.sentences()] == [True]
    await desk.hand_in(model)
    assert await desk.publish() == []
    await desk.hand_in(entry)
    await desk.publish()
    found = lounge(desk, crm)
    assert (found.product_name, found.billing_months) == ("Lounge", 1)
    assert [(one.effective_from, one.price["unit_amount"]) for one in found.prices] == [(date(2013, 1, 1), "40")]
    assert await desk.sentences() == []


async def test_a_change_of_any_record_that_lends_a_value_publishes_the_subscription_again(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    await desk.hand_in(*org(crm))
    await desk.publish()
    subscription = desk.events[f"AA/subscription/{crm.ORDER_ID}"].data
    assert (subscription.contact_name, subscription.contact_email) == ("Ana Silva", "ana@example.com")
    assert subscription.ended_on == date(2015, 1, 1)
    at = "2013-03-05T12:00:00Z"
    for change in (
        crm.change("Contact", CONTACT, at, "UPDATE", Email="silva@example.com"),
        crm.change("Contract", CONTRACT, at, "UPDATE", EndDate="2013-12-31"),
        crm.change("PricebookEntry", ENTRY, at, "UPDATE", UnitPrice="44"),
        crm.change("ProductSellingModel", MODEL, at, "UPDATE", PricingTermUnit="Quarterly"),  # two references away
    ):
        await desk.hand_in(change)
        assert next(event.type for event in await desk.publish()).startswith("fakturo.subscription."), change["entity"]
    changed = desk.events[f"AA/subscription/{crm.ORDER_ID}"].data
    assert (changed.contact_email, changed.ended_on) == ("silva@example.com", date(2014, 1, 1))
    found = lounge(desk, crm)
    assert found.billing_months == 3
    assert [(one.effective_from, one.price["unit_amount"]) for one in found.prices] == [
        (date(2013, 1, 1), "40"),
        (date(2013, 3, 5), "44"),
    ]


async def test_another_profile_reads_what_is_in_the_book_already(
    crm: SimpleNamespace, offers: Offers, connect: Connect, tmp_path: Path
) -> None:
    connection = await connect()
    desk = Desk.of(connection, offers)
    changes = org(crm)
    changes[1]["values"]["Acme_Payer__c"] = CONTACT
    await desk.hand_in(*changes)
    await desk.publish()
    path = tmp_path / "acme.yaml"
    path.write_text(
        "name: acme\nextends: core\nsubscription:\n  cost_centre: [Acme_Payer__c->Contact.Department]\n"
        "  contact_email: []\n"
    )
    await desk.hand_in(crm.change("Contact", CONTACT, "2013-02-01T12:00:00Z", "UPDATE", Department="Ops"))
    assert await desk.publish() == []
    again = Desk.of(connection, offers, path)
    (event,) = await again.publish()
    assert event.data.contact_email is None
    assert {item.cost_centre for item in event.data.items} == {"Ops"}
    await again.hand_in(crm.change("Contact", CONTACT, "2013-02-02T12:00:00Z", "UPDATE", Department="Sales"))
    (event,) = await again.publish()
    assert {item.cost_centre for item in event.data.items} == {"Sales"}
