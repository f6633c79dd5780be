"""The thresholds of a product: which quantities and amounts of a period somebody wants to be told of.

Place     catalog, products -> [this] -> `AlertThreshold`s -> contracts agent -> each item -> `usage`, which tells.
Form      `alerts: [{quantity: "1000"}, {amount: "500.00"}, {amount: "450", currency: EUR}]`; an amount without a
          currency is in the catalog's. The contract's currency decides which amounts count for an item.
Number    at most `ALERTS_MAX` of a product and of an item: each is looked at with each statement.
"""

from collections.abc import Sequence

from fakturo.engine.catalog.fields import currency_of, optional_minor
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.events.contracts import AlertThreshold

ALERTS_MAX = 20


def read_alerts(row: Reader, currency: str, priced_in: Sequence[str], *, metered: bool) -> tuple[AlertThreshold, ...]:
    """Return the thresholds of a product that has prices in the currencies `priced_in`, in the document's order."""
    if not row.has("alerts"):
        return ()
    if not metered:
        row.fault("alerts_meter", "alerts", "needs a meter: only what is counted can reach a threshold")
    found: list[AlertThreshold] = []
    for entry in row.readers("alerts"):
        alert = _alert(entry, currency, priced_in)
        if alert in found:
            entry.fault("alert_repeated", "quantity" if alert.quantity else "amount", "is there twice")
        found.append(alert)
        entry.finish("an alert")
    if len(found) > ALERTS_MAX:
        row.fault("alerts_too_many", "alerts", f"has {len(found)} entries; at most {ALERTS_MAX} are watched")
    return tuple(found)


def alerts_in(alerts: Sequence[AlertThreshold], currency: str) -> tuple[AlertThreshold, ...]:
    """Return the thresholds that count for a contract in `currency`."""
    return tuple(one for one in alerts if one.currency in (None, currency))


def _alert(entry: Reader, currency: str, priced_in: Sequence[str]) -> AlertThreshold:
    if entry.has("quantity") == entry.has("amount"):
        entry.fault("alert_kind", "quantity", "or amount must be there: one of the two")
    if not entry.has("amount"):
        return AlertThreshold(quantity=entry.decimal("quantity", above_zero=True))
    own = currency_of(entry, default=currency)
    if own not in priced_in:
        entry.fault("alert_currency", "currency", f"{own} is none in which the product has a price")
    return AlertThreshold(amount_minor=optional_minor(entry, "amount", own), currency=own)
