"""The contracts of the flights year as Salesforce change records: sixteen airlines, one Order each.

Place     flights_contracts.csv -> [this] -> producers/simulate/year -> `sf.cdc.*`.
Rows      one order item a row; a `*` row applies to every airline without a row of its own for that product; `end` is
          exclusive, so the item's EndDate is the day before.
Time      committed one second apart, ending before 2013: every contract is known when the first flight departs.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

from fakturo.schemas.codec import encode
from fakturo.schemas.events.change_data import ChangeRecord, Commit
from fakturo.schemas.salesforce_ids import long_id
from fakturo.schemas.topics import SF_ACCOUNT, SF_ORDER, SF_ORDER_ITEM, SF_PRODUCT, Topic

TIMEZONE = "America/New_York"
CURRENCY = "USD"
COUNTRY = "US"
FIRST_COMMIT_AT = datetime(2012, 12, 15, 12, tzinfo=UTC)
ORG_ID = long_id("00DNY0000000001")
USER_ID = long_id("005NY0000000001")
EVERY_AIRLINE = "*"
_PREFIXES = {"Account": "001", "Order": "801", "OrderItem": "802", "Product2": "01t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRow:
    """One row of the contracts: an order item of an airline, or of every airline (`*`)."""

    account: str
    name: str
    product: str
    quantity: str
    start_on: date
    end_on: date | None
    discount_percent: str | None
    terms_days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """One change record to publish: its topic, the record id as key, its commit as timestamp."""

    topic: Topic
    record_id: str
    at: datetime
    value: bytes


def catalog_path() -> Path:
    """Return the file of the airports' price list, for `FAKTURO_CATALOG`."""
    return Path(str(resources.files("fakturo.producers.simulate").joinpath("flights_catalog.yaml")))


def contract_rows() -> list[ContractRow]:
    """Return the rows as they stand in the file, `*` rows too."""
    text = resources.files("fakturo.producers.simulate").joinpath("flights_contracts.csv").read_text()
    return [
        ContractRow(
            account=row["account"],
            name=row["name"],
            product=row["product"],
            quantity=row["quantity"],
            start_on=date.fromisoformat(row["start"]),
            end_on=date.fromisoformat(row["end"]) if row["end"] else None,
            discount_percent=row["discount_percent"] or None,
            terms_days=int(row["terms_days"]) if row["terms_days"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    ]


def airlines() -> dict[str, ContractRow]:
    """Return the first row of each airline, by carrier code, ascending: name and payment terms stand in it."""
    found: dict[str, ContractRow] = {}
    for row in contract_rows():
        if row.account != EVERY_AIRLINE:
            found.setdefault(row.account, row)
    return dict(sorted(found.items()))


def items_of(account: str) -> list[ContractRow]:
    """Return the airline's own rows and the `*` rows of the products that it has none of its own for."""
    rows = contract_rows()
    own = [row for row in rows if row.account == account]
    products = {row.product for row in own}
    return own + [row for row in rows if row.account == EVERY_AIRLINE and row.product not in products]


def record_id(entity: str, number: int) -> str:
    """Return the 18-character id of the `number`th record of `entity`: always the same."""
    return long_id(f"{_PREFIXES[entity]}NY0{number:09}")


def change_lines() -> Iterator[ChangeLine]:
    """Yield the change records in commit order: products, then each airline's account, order and order items."""
    seconds, items = count(), count(1)
    products = {code: record_id("Product2", number) for number, code in enumerate(_product_codes(), start=1)}
    for code, product_id in products.items():
        values = {"Name": code, "ProductCode": code, "IsActive": True}
        yield _line(SF_PRODUCT, "Product2", product_id, values, next(seconds))
    for number, (account, row) in enumerate(airlines().items(), start=1):
        account_id, order_id = record_id("Account", number), record_id("Order", number)
        yield _line(SF_ACCOUNT, "Account", account_id, _account_values(row), next(seconds))
        rows = items_of(account)
        yield _line(SF_ORDER, "Order", order_id, _order_values(account_id, number, rows), next(seconds))
        for item in rows:
            values = _item_values(item, order_id, products[item.product])
            yield _line(SF_ORDER_ITEM, "OrderItem", record_id("OrderItem", next(items)), values, next(seconds))


def _product_codes() -> list[str]:
    return list(dict.fromkeys(row.product for row in contract_rows()))


def _account_values(row: ContractRow) -> dict[str, Any]:
    return {
        "AccountNumber": row.account,
        "Name": row.name,
        "BillingAddress.CountryCode": COUNTRY,
        "CurrencyIsoCode": CURRENCY,
        "Fakturo_Timezone__c": TIMEZONE,
        "Fakturo_Terms_Days__c": None if row.terms_days is None else str(row.terms_days),
    }


def _order_values(account_id: str, number: int, rows: list[ContractRow]) -> dict[str, Any]:
    return {
        "AccountId": account_id,
        "OrderNumber": f"{number:08}",
        "Status": "Activated",
        "StatusCode": "Activated",
        "EffectiveDate": min(row.start_on for row in rows).isoformat(),
        "EndDate": None,
        "CurrencyIsoCode": CURRENCY,
    }


def _item_values(row: ContractRow, order_id: str, product_id: str) -> dict[str, Any]:
    last_day = row.end_on - timedelta(days=1) if row.end_on else None
    return {
        "OrderId": order_id,
        "Product2Id": product_id,
        "Quantity": row.quantity,
        "UnitPrice": "0",
        "ListPrice": "0",
        "ServiceDate": row.start_on.isoformat(),
        "EndDate": last_day.isoformat() if last_day else None,
        "Fakturo_Discount_Percent__c": row.discount_percent,
    }


def _line(topic: Topic, entity: str, id_: str, values: dict[str, Any], second: int) -> ChangeLine:
    at = FIRST_COMMIT_AT + timedelta(seconds=second)
    stamp = f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
    change = ChangeRecord(
        v=1,
        org=ORG_ID,
        entity=entity,
        recordId=id_,
        changeType="CREATE",
        values={**values, "CreatedDate": stamp, "LastModifiedDate": stamp},
        commit=Commit(
            ts=int(at.timestamp()) * 1000,
            number=str(1_650_000_000_000_000_000 + second),
            tx=f"{second:08x}-0000-0000-0000-000000000000",
            seq=1,
            user=USER_ID,
            origin="com/salesforce/api/rest/67.0;client=flights",
        ),
        eventId=f"flights-{entity}-{id_}",
        src="simulate",
    )
    return ChangeLine(topic=topic, record_id=id_, at=at, value=encode(change))
