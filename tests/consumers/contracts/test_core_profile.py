"""The core profile beyond orders: contacts, contracts, and products that only the org's price list knows."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.engine.catalog import parse_catalog
from fakturo.schemas.events.contracts import Subscription, SubscriptionItem
from tests.consumers.contracts.desk import mapped

CORE = load_profile()
D = Decimal
AT = "2025-12-15T12:00:00Z"
ACCOUNT, ORDER, ITEM, PRODUCT = "001NY0000000002YAA", "801NY0000000002YAA", "802NY0000000006YAA", "01tNY0000000001YAA"
ENTRY, MODEL, CONTACT, CONTRACT = "01uNY0000000001YAA", "0jPNY0000000001YAA", "003NY0000000001YAA", "800NY0000000001YAA"

OFFERS = Offers.of(
    parse_catalog(
        {
            "currency": "EUR",
            "products": {
                "KNOWN": {"name": "Known", "prices": [{"effective_from": "2020-01-01", "model": "flat", "amount": "5"}]}
            },
            "tax": {"by_country": True},
        }
    )
)


class Org:
    """The records of one order with one item of a product that the catalog does not know; values may be overridden."""

    def __init__(self, crm: SimpleNamespace, **given: dict[str, Any]) -> None:
        self._change = crm.change
        values: dict[str, tuple[str, dict[str, Any]]] = {
            "Account": (ACCOUNT, {"AccountNumber": "A", "Name": "A", "BillingCountryCode": "DE"}),
            "Order": (ORDER, {"AccountId": ACCOUNT, "StatusCode": "Activated", "EffectiveDate": "2026-01-01"}),
            "Product2": (PRODUCT, {"ProductCode": "SEATS", "Name": "Seats of the portal"}),
            "PricebookEntry": (ENTRY, {"UnitPrice": "49.90", "IsActive": True, "ProductSellingModelId": MODEL}),
            "ProductSellingModel": (
                MODEL,
                {"SellingModelType": "Evergreen", "PricingTerm": 1, "PricingTermUnit": "Months"},
            ),
            "OrderItem": (
                ITEM,
                {"OrderId": ORDER, "Product2Id": PRODUCT, "PricebookEntryId": ENTRY, "Quantity": "5.00"},
            ),
        }
        self.changes = [
            crm.change(entity, key, AT, **{**known, **given.get(entity, {})})
            for entity, (key, known) in values.items()
            if given.get(entity, {}) is not None
        ]

    def more(self, entity: str, key: str, at: str, kind: str = "UPDATE", **values: Any) -> "Org":
        self.changes.append(self._change(entity, key, f"{at}T12:00:00Z", kind, **values))
        return self

    def map(self, offers: Offers = OFFERS, profile: Any = CORE) -> tuple[Subscription | None, list[str]]:
        return mapped(self.changes, ORDER, profile, offers)

    def item(self, offers: Offers = OFFERS, profile: Any = CORE) -> SubscriptionItem:
        subscription, problems = self.map(offers, profile)
        assert problems == []
        assert subscription is not None
        (item,) = subscription.items
        return item


def prices(item: SubscriptionItem) -> list[tuple[date, str]]:
    return [(version.effective_from, version.price["unit_amount"]) for version in item.prices]


def test_a_product_unknown_to_the_catalog_is_billed_from_its_price_book_entry(crm: SimpleNamespace) -> None:
    item = Org(crm).item()
    assert (item.product_code, item.product_name) == ("SEATS", "Seats of the portal")
    assert (item.billing_months, item.billing, item.meter, item.anchor_on) == (1, "arrears", None, None)
    assert prices(item) == [(date(2026, 1, 1), "49.9")]
    assert item.prices[0].price["licensed"] is True
    assert (item.tax.category, item.tax.by_country) == ("standard", True)
    assert [(terms.quantity, terms.own_unit_amount) for terms in item.terms] == [(D(5), None)]


def test_a_new_entry_price_is_a_version_from_the_day_of_its_commit_on(crm: SimpleNamespace) -> None:
    org = Org(crm).more("PricebookEntry", ENTRY, "2025-12-20", UnitPrice="52")  # before the start: it is the first
    org.more("PricebookEntry", ENTRY, "2026-03-10", UnitPrice="60")
    for kind, values in {"UPDATE": {"IsActive": False}, "DELETE": {}}.items():  # what was sold by it goes on
        org.more("PricebookEntry", ENTRY, "2026-03-11", kind, **values)
    assert prices(org.item()) == [(date(2026, 1, 1), "52"), (date(2026, 3, 10), "60")]


@pytest.mark.parametrize(
    ("unit_price", "list_price", "own"),
    [("45", "49.90", "45"), ("49.9000", "49.90", None), ("45", None, "45"), (None, "49.90", None)],
)
def test_an_items_own_price_goes_before_the_entrys(
    crm: SimpleNamespace, unit_price: str | None, list_price: str | None, own: str | None
) -> None:
    item = Org(crm, OrderItem={"UnitPrice": unit_price, "ListPrice": list_price}).item()
    assert item.terms[0].own_unit_amount == (None if own is None else D(own))


@pytest.mark.parametrize(
    ("model", "months", "ends_on", "anchor_on"),
    [
        ({"SellingModelType": "OneTime"}, 0, None, None),
        ({"SellingModelType": "One-Time"}, 0, None, None),
        ({"SellingModelType": "Evergreen", "PricingTermUnit": "Quarterly"}, 3, None, date(2026, 1, 1)),
        ({"SellingModelType": "Evergreen", "PricingTermUnit": "Semi-Annual"}, 6, None, date(2026, 1, 1)),
        ({"SellingModelType": "TermDefined", "PricingTermUnit": "Annual"}, 12, date(2027, 1, 1), date(2026, 1, 1)),
        (
            {"SellingModelType": "TermDefined", "PricingTermUnit": "Months", "PricingTerm": 18},
            18,
            date(2027, 7, 1),
            date(2026, 1, 1),
        ),
        ({"SellingModelType": "TermDefined", "PricingTerm": None, "PricingTermUnit": None}, 1, date(2026, 2, 1), None),
    ],
)
def test_the_selling_model_says_how_often_and_how_long(
    crm: SimpleNamespace, model: dict[str, Any], months: int, ends_on: date | None, anchor_on: date | None
) -> None:
    item = Org(crm, ProductSellingModel=model).item()
    assert (item.billing_months, item.service_end_on, item.anchor_on) == (months, ends_on, anchor_on)


def test_a_last_day_goes_before_the_term_of_the_selling_model(crm: SimpleNamespace) -> None:
    term = {"SellingModelType": "TermDefined", "PricingTermUnit": "Annual"}
    assert Org(crm, ProductSellingModel=term, OrderItem={"EndDate": "2026-06-30"}).item().service_end_on == date(
        2026, 7, 1
    )
    assert Org(crm, ProductSellingModel=term, Order={"EndDate": "2027-12-31"}).item().service_end_on == date(2028, 1, 1)


def test_the_products_own_tax_category_holds_where_tax_is_by_country(crm: SimpleNamespace) -> None:
    item = Org(crm, Product2={"Fakturo_Tax_Category__c": "reduced"}).item()
    assert item.tax.category == "reduced"


def test_a_product_that_the_catalog_knows_takes_nothing_from_the_price_list(crm: SimpleNamespace) -> None:
    item = Org(crm, Product2={"ProductCode": "KNOWN"}, PricebookEntry={"CurrencyIsoCode": "GBP"}).item()
    assert (item.product_name, item.prices[0].price["model"]) == ("Known", "flat")


UNKNOWN = f"OrderItem {ITEM} has the product SEATS, which the catalog does not know, and "


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"OrderItem": {"PricebookEntryId": None}},
            UNKNOWN + "no price book entry: fill PricebookEntryId, or add the product to the catalog.",
        ),
        (
            {"PricebookEntry": None},
            UNKNOWN + f"its price book entry {ENTRY} has not arrived or has no price;"
            " correct that, or add the product to the catalog.",
        ),
        (
            {"PricebookEntry": {"IsActive": False}},
            UNKNOWN + f"its price book entry {ENTRY} was never active: activate it in Salesforce.",
        ),
        (
            {"PricebookEntry": {"CurrencyIsoCode": "GBP"}},
            UNKNOWN + f"its price book entry {ENTRY} is in GBP, while it is billed in EUR:"
            " give it an entry in EUR, or add the product to the catalog.",
        ),
        (
            {"ProductSellingModel": None},
            (
                f"OrderItem {ITEM} has the product SEATS, of which neither catalog nor price list says how often it is"
                " billed: give its price book entry a product selling model, or fill Fakturo_Billing_Months__c, or add"
                " it to the catalog."
            ),
        ),
        (
            {"ProductSellingModel": {"SellingModelType": "Auction"}},
            f"OrderItem {ITEM} is sold as 'Auction'; the selling model must be one of OneTime, TermDefined, Evergreen.",
        ),
        (
            {"ProductSellingModel": {"PricingTermUnit": "Weeks"}},
            (
                f"OrderItem {ITEM} has a selling model whose pricing term is in 'Weeks',"
                " which the profile's values do not know:"
                " Months, Quarterly, Semi-Annual or Annual."
            ),
        ),
        (
            {"ProductSellingModel": {"PricingTerm": 600}},
            f"OrderItem {ITEM} has a selling model with a term of 600 months; it must be 1 to 120 whole months.",
        ),
        (
            {"PricebookEntry": {"UnitPrice": "-1"}},
            f"OrderItem {ITEM} has the list price -1; it must not be negative, nor above 1000000000000.",
        ),
        (
            {"Order": {"CurrencyIsoCode": "GBP"}},
            (
                f"Order {ORDER} is in GBP, the catalog's prices are in EUR;"
                " add prices in GBP to the catalog, or correct the currency in Salesforce."
            ),
        ),
    ],
)
def test_where_an_administrator_must_act_a_sentence_says_how(
    crm: SimpleNamespace, given: dict[str, Any], sentence: str
) -> None:
    _, problems = Org(crm, **given).map()
    assert problems[0] == sentence


def test_an_item_says_itself_how_often_it_is_billed_where_there_is_no_selling_model(crm: SimpleNamespace) -> None:
    item = Org(crm, ProductSellingModel=None, OrderItem={"Fakturo_Billing_Months__c": "3"}).item()  # type: ignore[arg-type]
    assert item.billing_months == 3


def test_an_order_takes_from_its_contract_what_it_has_not(crm: SimpleNamespace) -> None:
    org = Org(crm, Order={"ContractId": CONTRACT, "EffectiveDate": None, "StatusCode": None})
    values = {"StatusCode": "Activated", "StartDate": "2026-02-01", "EndDate": "2026-12-31", "ContractTerm": 11}
    subscription, problems = org.more("Contract", CONTRACT, "2025-12-16", "CREATE", **values).map()
    assert problems == []
    assert subscription is not None
    assert (subscription.started_on, subscription.ended_on, subscription.term_months) == (
        date(2026, 2, 1),
        date(2027, 1, 1),
        11,
    )
    again, _ = org.more("Contract", CONTRACT, "2026-06-01", EndDate="2026-09-30").map()
    assert again is not None
    assert again.ended_on == date(2026, 10, 1)
    org.changes[1]["values"]["EndDate"] = "2026-03-31"  # the order's own goes before
    own, _ = org.map()
    assert own is not None
    assert own.ended_on == date(2026, 4, 1)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"Name": "Ana Silva"}, "Ana Silva"),
        ({"Name.FirstName": "Ana", "Name.LastName": "Silva"}, "Ana Silva"),
        ({"Name.LastName": "Silva"}, "Silva"),
        ({}, None),
    ],
)
def test_the_bill_to_contact_is_on_the_subscription(
    crm: SimpleNamespace, values: dict[str, str], name: str | None
) -> None:
    org = Org(crm, Order={"BillToContactId": CONTACT})
    org.more("Contact", CONTACT, "2025-12-16", "CREATE", Email="ana@example.com", **values)
    subscription, _ = org.map()
    assert subscription is not None
    assert (subscription.contact_name, subscription.contact_email) == (name, "ana@example.com")
    gone, _ = org.more("Contact", CONTACT, "2026-01-10", "DELETE").map()
    assert gone is not None
    assert (gone.contact_name, gone.contact_email) == (None, None)


def _acme(folder: Path, text: str) -> Any:
    path = folder / "acme.yaml"
    path.write_text("name: acme\nextends: core\n" + text)
    return load_profile(str(path))


def test_a_formula_of_a_customer_gives_the_quantity_and_its_history(crm: SimpleNamespace, tmp_path: Path) -> None:
    acme = _acme(tmp_path, 'item: {quantity: ["=Seats__c * if(blank(Sites__c), 1, Sites__c)", ...]}')
    org = Org(crm, OrderItem={"Seats__c": "4", "Quantity": "9"})
    org.more("OrderItem", ITEM, "2026-02-10", Sites__c="3").more("OrderItem", ITEM, "2026-04-01", Seats__c=None)
    item = org.item(profile=acme)
    # 4 x 1, then 4 x 3; without seats the formula is empty and the next alternative counts.
    assert [(terms.effective_from, terms.quantity) for terms in item.terms] == [
        (date(2026, 1, 1), D(4)),
        (date(2026, 2, 10), D(12)),
        (date(2026, 4, 1), D(9)),
    ]


def test_a_formula_without_a_result_is_a_sentence_and_nothing_is_billed_by_it(
    crm: SimpleNamespace, tmp_path: Path
) -> None:
    acme = _acme(tmp_path, 'item: {quantity: ["=Seats__c / Sites__c"]}')
    _, problems = Org(crm, OrderItem={"Seats__c": "4", "Sites__c": "0"}).map(profile=acme)
    assert problems[0] == (f"OrderItem {ITEM} cannot be worked out by =Seats__c / Sites__c: it divides by zero.")


def test_values_and_fields_of_other_records_may_be_a_customers_own(crm: SimpleNamespace, tmp_path: Path) -> None:
    acme = _acme(
        tmp_path,
        "item: {billing: [Acme_Mode__c], anchor: [OrderId->Order.Acme_Anchor__c]}\n"
        "values: {OrderItem: {Acme_Mode__c: {Vorab: advance}}, Order: {Acme_Anchor__c: {Vertrag: service_start}}}",
    )
    item = Org(crm, OrderItem={"Acme_Mode__c": "Vorab"}, Order={"Acme_Anchor__c": "Vertrag"}).item(profile=acme)
    assert (item.billing, item.anchor_on) == ("advance", date(2026, 1, 1))


def test_a_date_may_come_as_an_instant_and_is_the_local_day(crm: SimpleNamespace) -> None:
    org = Org(
        crm, Account={"Fakturo_Timezone__c": "America/New_York"}, OrderItem={"ServiceDate": "2026-02-01T03:00:00.000Z"}
    )
    assert org.item().service_start_on == date(2026, 1, 31)
