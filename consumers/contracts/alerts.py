"""The thresholds that an item is watched for: its own fields, else those of its product. Pure.

Place     items -> [this] -> `AlertThreshold`s of the item -> the usage agent.
Text      numbers by semicolons: "1000; 5000"; "none" watches for nothing. A field that is filled stands in place of the
          product's thresholds of its kind. What cannot be read stops the item, as its other fields do.
"""

from decimal import Decimal

from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.profile import Fields, ItemFields
from fakturo.consumers.contracts.values import Unclear, decimal_of, text_of
from fakturo.engine.catalog import Product
from fakturo.engine.catalog.alerts import ALERTS_MAX, alerts_in
from fakturo.engine.money import exponent_of, round_amount, to_minor
from fakturo.schemas.events.contracts import AlertThreshold

THRESHOLD_MAX = 10**15
NO_ALERTS = "none"


def alerts_of(history: RecordHistory, fields: ItemFields, offer: Product, currency: str) -> tuple[AlertThreshold, ...]:
    """Return the thresholds of an item of `offer` in `currency`; none where nothing is metered.

    Raises:
        Unclear: a field holds what is no list of thresholds.
    """
    if offer.meter is None:
        return ()
    listed = alerts_in(offer.alerts, currency)
    quantities = _numbers(history, fields.alert_quantities)
    amounts = _numbers(history, fields.alert_amounts)
    by_quantity = (
        [one for one in listed if one.quantity is not None]
        if quantities is None
        else [AlertThreshold(quantity=number) for number in quantities]
    )
    by_amount = (
        [one for one in listed if one.amount_minor is not None]
        if amounts is None
        else [_of_amount(number, currency, fields.alert_amounts) for number in amounts]
    )
    if len(by_quantity) + len(by_amount) > ALERTS_MAX:
        raise Unclear(f"has {len(by_quantity) + len(by_amount)} alerts; at most {ALERTS_MAX} are watched")
    return (*by_quantity, *by_amount)


def _of_amount(amount: Decimal, currency: str, fields: Fields) -> AlertThreshold:
    if amount != round_amount(amount, currency):
        digits = exponent_of(currency)
        raise Unclear(f"has {amount:f} in {fields[0]}; {currency} has at most {digits} decimals")
    return AlertThreshold(amount_minor=to_minor(amount, currency), currency=currency)


def _numbers(history: RecordHistory, fields: Fields) -> list[Decimal] | None:
    """Return the numbers that the field holds, each once, ascending; None where it is empty."""
    text = text_of(history.value(fields))
    if text is None or not text.strip():
        return None
    if text.strip().lower() == NO_ALERTS:
        return []
    return sorted({_number(part.strip(), fields) for part in text.split(";") if part.strip()})


def _number(text: str, fields: Fields) -> Decimal:
    try:
        number = decimal_of(text)
    except Unclear:
        number = None
    if number is None or not 0 < number <= THRESHOLD_MAX:
        raise Unclear(
            f"has {text!r} in {fields[0]}; it must be numbers above 0, at most {THRESHOLD_MAX}, "
            f"separated by semicolons, or {NO_ALERTS}"
        )
    return number
