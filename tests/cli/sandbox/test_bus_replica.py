"""Whoever applies every event, decoded by hand, holds what the org holds: random histories, merged and not."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.bus import EventBus
from tests.cli.sandbox.bus_world import Decoded, logged, small_org

Replica = dict[str, dict[str, Any]]

text = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12))
amounts = st.one_of(st.none(), st.decimals(-9999, 9999, places=2))
account_values = st.fixed_dictionaries(
    {},
    optional={"Fax": text, "BillingStreet": text, "BillingCity": text, "ShippingCity": text, "AnnualRevenue": amounts}
    | {"NumberOfEmployees": st.one_of(st.none(), st.integers(0, 2**31 - 1)), "Extra__c": text},
)
item_values = st.fixed_dictionaries(
    {},
    optional={"Quantity": amounts, "UnitPrice": amounts, "Trial__c": st.booleans()}
    | {
        "ServiceDate": st.one_of(st.none(), st.dates().map(str)),
        "Ends_On__c": st.one_of(st.none(), st.dates().map(str)),
    },
)
writes = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 9), account_values, item_values),
    st.tuples(
        st.sampled_from(["update", "update", "delete", "undelete"]), st.integers(0, 9), account_values, item_values
    ),
)
histories = st.lists(st.lists(writes, min_size=1, max_size=6), max_size=12)


def write(org: SandboxOrg, transaction: Any, step: tuple[str, int, dict[str, Any], dict[str, Any]]) -> None:
    act, number, account, item = step
    name = "Account" if number % 2 else "OrderItem"
    values = {one: value for one, value in (account if number % 2 else item).items() if one in org.objects[name].fields}
    if act == "insert":
        transaction.insert(name, {"Name": f"A{number}", **values} if number % 2 else values)
        return
    rows = [row for row in org.tables[name].values() if row["IsDeleted"] == (act == "undelete")]
    if not rows:
        return
    record_id = rows[number % len(rows)]["Id"]
    if act == "update":
        transaction.update(name, record_id, values)
    else:
        getattr(transaction, act)(name, record_id)


def flat(event: Decoded) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in event.body.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return found


def apply(replica: Replica, event: Decoded) -> None:
    """Reference 2.1: a create replaces, an update sets what changed, a delete takes away."""
    for record_id in event.record_ids:
        if event.kind == "DELETE":
            replica.pop(record_id)
        elif event.kind in {"CREATE", "UNDELETE"}:
            replica[record_id] = {name: value for name, value in flat(event).items() if value is not None}
        else:
            values = flat(event)
            assert set(event.nulled) == {name for name in event.changed if values.get(name) is None}
            assert {name for name, value in values.items() if value is not None} <= set(event.changed)
            for name in event.changed:
                replica[record_id].pop(name, None)
                if values.get(name) is not None:
                    replica[record_id][name] = values[name]


def expected(org: SandboxOrg) -> Replica:
    """The org's rows in the event's terms, by hand: dotted names, doubles, milliseconds."""
    rows: Replica = {}
    for name in ("Account", "OrderItem"):
        for row in org.tables[name].live():
            rows[row["Id"]] = {
                _dotted(field): _told(field, value)
                for field, value in row.items()
                if value is not None and field not in {"Id", "IsDeleted", "SystemModstamp", "TotalPrice"}
            }
    return rows


def _dotted(name: str) -> str:
    for compound in ("Billing", "Shipping"):
        if name.startswith(compound):
            return f"{compound}Address.{name.removeprefix(compound)}"
    return name


def _told(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if name.endswith("Date") or name == "Ends_On__c":
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000
    return value


@settings(max_examples=60, deadline=None)
@given(histories, st.booleans(), st.booleans(), st.integers(0, 12))
def test_applying_every_event_gives_what_the_org_holds(
    history: list[list[Any]], merge: bool, enriched: bool, field_comes_at: int
) -> None:
    org = small_org()
    bus = EventBus(org)
    org.faults.apply({"merge": merge, "enriched": enriched})
    for number, steps in enumerate(history):
        if number == field_comes_at:
            org.add_field("Account", Field(name="Extra__c", type="string", length=40))
        with org.transaction() as transaction:
            for step in steps:
                write(org, transaction, step)
        org.clock.advance(1)
    replica: Replica = {}
    for event in logged(bus):
        apply(replica, event)
    assert replica == expected(org)
