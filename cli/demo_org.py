"""The demo's Salesforce: a sandbox org in which the airlines' contracts are entered as a company enters them.

Place     demo.py -> [this] -> `fakturo sandbox` (a process of the demo's stack), the unmodified simple-salesforce.
Flow      accounts, products, price book entries, orders and order items over REST; the bridge hears of them as change
          events; crm_sync writes invoices and KPIs into the same org, which `held` counts at the end.
Time      the org's clock stands before 2013, so that every contract is known when the first flight departs.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
from simple_salesforce.api import Salesforce

from fakturo.cli.stack import Stack, StackFault, background
from fakturo.producers.simulate.flights_contracts import (
    COUNTRY,
    CURRENCY,
    FIRST_COMMIT_AT,
    TIMEZONE,
    ContractRow,
    airlines,
    contract_rows,
    items_of,
)
from fakturo.schemas.salesforce import API_VERSION
from fakturo.schemas.salesforce.written_fields import INVOICE, INVOICE_LINE

NAME = "sandbox"
COLLECTION_RECORDS = 200
START_SECONDS_MAX = 30.0
KEEPALIVE_SECONDS = 1.0
"""How soon a new stream has its position; 270 s in a real org, where nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the org holds in the end: records written back, and the sum of the documents' totals."""

    invoices: int
    lines: int
    accounts: int
    total_minor: int


@dataclass(slots=True)
class DemoOrg:
    """A running sandbox org; `told` is what it printed. Calls block: not for an event loop."""

    told: Mapping[str, Any] = field(repr=False)
    _client: Salesforce = field(repr=False)

    @classmethod
    def start(cls, stack: Stack, package: Path) -> "DemoOrg":
        """Start the org as a process of `stack`, with our metadata package deployed, at the demo's point in time.

        Raises:
            StackFault: it did not start; the text names its log.
        """
        command = (background.python(), "-m", "fakturo.cli.main", "sandbox", "--json", "--metadata", str(package))
        now = FIRST_COMMIT_AT.isoformat()
        process = stack.processes.start(NAME, (*command, "--now", now))
        told = _first_line(process)
        session = requests.Session()
        session.trust_env = False
        session.verify = told["ca_file"]
        doors = requests.Session()
        doors.trust_env = False
        doors.post(
            f"{told['rest_url']}/sandbox/faults",
            json={"keepalive_seconds": KEEPALIVE_SECONDS},
            verify=told["ca_file"],
            timeout=10,
        ).raise_for_status()
        client = Salesforce(
            consumer_key=told["client_id"],
            consumer_secret=told["client_secret"],
            domain=f"{told['rest_url'].removeprefix('https://')}/my",
            version=API_VERSION,
            session=session,
        )
        return cls(told, client)

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings that connect bridge and crm_sync to the org."""
        names = {
            "LOGIN_URL": "rest_url",
            "PUBSUB_TARGET": "pubsub_target",
            "CA_FILE": "ca_file",
            "CLIENT_ID": "client_id",
            "CLIENT_SECRET": "client_secret",
        }
        return {f"FAKTURO_SALESFORCE_{name}": str(self.told[key]) for name, key in names.items()}

    def enter_contracts(self) -> dict[str, int]:
        """Enter every airline's contract; return how many records of each object there are then."""
        book = self._only("SELECT Id FROM Pricebook2 WHERE IsStandard = true")
        codes = list(dict.fromkeys(row.product for row in contract_rows()))
        products = self._create("Product2", [{"Name": code, "ProductCode": code, "IsActive": True} for code in codes])
        entry = {"Pricebook2Id": book, "UnitPrice": 0, "IsActive": True, "CurrencyIsoCode": CURRENCY}
        entries = self._create("PricebookEntry", [{**entry, "Product2Id": product} for product in products])
        by_code = dict(zip(codes, zip(products, entries, strict=True), strict=True))
        owners = airlines()
        accounts = self._create("Account", [_account(row) for row in owners.values()])
        orders = self._create(
            "Order", [_order(account, book, items_of(code)) for code, account in zip(owners, accounts, strict=True)]
        )
        items = [
            _item(row, order, by_code[row.product])
            for code, order in zip(owners, orders, strict=True)
            for row in items_of(code)
        ]
        self._create("OrderItem", items)
        self._patch("Order", [{"Id": order, "Status": "Activated"} for order in orders])
        return {"Account": len(accounts), "Order": len(orders), "OrderItem": len(items), "Product2": len(products)}

    def held(self) -> Held:
        """Return what was written back."""
        answer = self._client.query(f"SELECT SUM(Total__c) total FROM {INVOICE}")  # noqa: S608 - a constant
        return Held(
            invoices=self._count(INVOICE),
            lines=self._count(INVOICE_LINE),
            accounts=self._count("Account WHERE Fakturo_Lifetime_Value__c != null"),
            total_minor=int(Decimal(str(answer["records"][0]["total"] or 0)) * 100),
        )

    def _only(self, soql: str) -> str:
        (row,) = self._client.query(soql)["records"]
        return str(row["Id"])

    def _count(self, source: str) -> int:
        return int(self._client.query(f"SELECT COUNT() FROM {source}")["totalSize"])  # noqa: S608 - constants

    def _create(self, entity: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        return [str(result["id"]) for result in self._collection("POST", entity, records)]

    def _patch(self, entity: str, records: Sequence[Mapping[str, Any]]) -> None:
        self._collection("PATCH", entity, records)

    def _collection(self, method: str, entity: str, records: Sequence[Mapping[str, Any]]) -> list[Any]:
        results: list[Any] = []
        for chunk in _chunks(records):
            typed = [{"attributes": {"type": entity}, **record} for record in chunk]
            body = json.dumps({"allOrNone": True, "records": typed})
            results += self._client.restful("composite/sobjects", method=method, data=body) or ()
        refused = [result for result in results if not result["success"]]
        if refused:
            raise StackFault(f"the sandbox org refuses a record of {entity}: {refused[0]['errors']}")
        return results


def _chunks(records: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(records), COLLECTION_RECORDS):
        yield records[start : start + COLLECTION_RECORDS]


def _first_line(process: background.Process) -> dict[str, Any]:
    """Return what the sandbox prints when it serves."""
    log = Path(process.log)
    deadline = time.monotonic() + START_SECONDS_MAX
    while process.alive and time.monotonic() < deadline:
        text = log.read_text() if log.exists() else ""
        line, ended, _ = text.rpartition("\n")
        if ended and line.rpartition("\n")[2].startswith("{"):
            return dict(json.loads(line.rpartition("\n")[2]))
        time.sleep(0.1)
    raise StackFault(f"the sandbox org did not start; its log is {log}")


def _account(row: ContractRow) -> dict[str, Any]:
    return {
        "AccountNumber": row.account,
        "Name": row.name,
        "BillingCountryCode": COUNTRY,
        "CurrencyIsoCode": CURRENCY,
        "Fakturo_Timezone__c": TIMEZONE,
        "Fakturo_Terms_Days__c": row.terms_days,
    }


def _order(account: str, book: str, rows: Sequence[ContractRow]) -> dict[str, Any]:
    return {
        "AccountId": account,
        "Pricebook2Id": book,
        "EffectiveDate": min(row.start_on for row in rows).isoformat(),
        "CurrencyIsoCode": CURRENCY,
        "Status": "Draft",
    }


def _item(row: ContractRow, order: str, bought: tuple[str, str]) -> dict[str, Any]:
    product, entry = bought
    return {
        "OrderId": order,
        "Product2Id": product,
        "PricebookEntryId": entry,
        "Quantity": row.quantity,
        "UnitPrice": 0,
        "ServiceDate": row.start_on.isoformat(),
        "EndDate": (row.end_on - timedelta(days=1)).isoformat() if row.end_on else None,
        "Fakturo_Discount_Percent__c": row.discount_percent,
    }
