"""Alerts of usage: said once when a statement reaches a threshold that the item's contract names.

Place     statements (running, final, revised) -> [this] -> alert_store -> `billing.alerts`.
Once      an item, period and threshold have one row (alert_store): a second statement, worker or run says nothing more,
          also where usage was taken back meanwhile and comes again. The id of the event is made of these three.
Reached   means equal or above: of the statement's quantity, or its net amount. A threshold that a contract adds or
          lowers holds from the next statement of a period that is open; a period that is closed is told of only where a
          revision takes it from below the threshold to it.
Apart     the low balance of prepaid credit is invoicing's (credit_alerts.py), on `billing.invoices`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import alert_store
from fakturo.consumers.usage.alert_store import AMOUNT, QUANTITY, Crossing
from fakturo.consumers.usage.rating import Rated
from fakturo.consumers.usage.revision_store import FinalStatement
from fakturo.engine.periods import local_date
from fakturo.engine.schedule import zone_at
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import AlertThreshold
from fakturo.schemas.events.usage import THRESHOLD_CROSSED, ThresholdCrossed, UsageRated
from fakturo.schemas.topics import ALERTS

Finals = Mapping[tuple[str, datetime], FinalStatement]
"""What was last stated for good, by item and period start."""


async def tell(rated: Sequence[Rated], tx: Transaction, before: Finals | None = None) -> None:
    """Publish an alert for each threshold that a statement in `rated` is the first to reach.

    `before` holds what was stated for good of the periods that are stated anew.
    """
    found = [crossing for one in rated if one.source.item.alerts for crossing in _crossings(one, before or {})]
    if not found:
        return
    for crossing in await alert_store.save_new(tx.driver, found):
        _emit(crossing, tx)


def _crossings(rated: Rated, before: Finals) -> Iterator[Crossing]:
    data, due = rated.statement, rated.source
    old = before.get((data.subscription_item, data.period.start))
    start_on = local_date(due.period.start_at, zone_at(due.versions, due.period.start_at))
    for alert in due.item.alerts:
        kind, threshold = _of(alert)
        if _reached(kind, data) < threshold or (old is not None and not _was_below(kind, threshold, old)):
            continue
        yield Crossing(kind, threshold, start_on, data)


def _of(alert: AlertThreshold) -> tuple[str, Decimal]:
    return (QUANTITY, alert.quantity) if alert.quantity is not None else (AMOUNT, Decimal(alert.amount_minor or 0))


def _reached(kind: str, data: UsageRated) -> Decimal:
    return data.quantity if kind == QUANTITY else Decimal(data.amount_minor)


def _was_below(kind: str, threshold: Decimal, old: FinalStatement) -> bool:
    figure = old.quantity if kind == QUANTITY else old.amount_minor
    return figure is not None and figure < threshold


def _emit(crossing: Crossing, tx: Transaction) -> None:
    data, kind = crossing.statement, crossing.kind
    event = event_of(
        agent=tx.agent,
        event_type=THRESHOLD_CROSSED,
        id=f"{data.subscription_item}/{crossing.start_on}/alert/{kind}/{_plain(crossing.threshold)}",
        subject=data.account,
        time=data.as_of,
        data=ThresholdCrossed(
            account=data.account,
            meter=data.meter,
            threshold=Decimal(_plain(crossing.threshold)),
            period=data.period,
            quantity=data.quantity if kind == QUANTITY else None,
            amount_minor=data.amount_minor if kind == AMOUNT else None,
            currency=data.currency if kind == AMOUNT else None,
            kind=kind,
            subscription_id=data.subscription_id,
            subscription_item=data.subscription_item,
            product_code=data.product_code,
            as_of=data.as_of,
            recorded_at=data.recorded_at,
        ),
        recorded_at=data.recorded_at,
    )
    tx.emit(ALERTS, event, account=data.account)


def _plain(number: Decimal) -> str:
    """Return a number without an exponent or trailing zeros, however its contract wrote it."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
