"""Reading a price document: model, modifiers, nested cells; every unknown field is an error.

Place     catalog, own prices, `fakturo rate` -> [this] -> Price.
Adding    a model: its file's `read` goes into `_READERS`.
Errors    field_missing, field_type, field_unknown, field_choice, number_*, currency_unknown, currency_mismatch,
          price_model_unknown, price_tier_order, price_tier_last, price_discount, price_clamp, price_event_increments.
Source    PRICING.md, A price and Modifiers.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from fakturo.engine.errors import PriceError
from fakturo.engine.modifiers import Discount, EventIncrements, Modifiers, Proration, Rounding
from fakturo.engine.money import ZERO, exponent_of
from fakturo.engine.prices import (
    capacity,
    dynamic,
    flat,
    graduated,
    graduated_percentage,
    matrix,
    package,
    per_unit,
    percentage,
    volume,
)
from fakturo.engine.prices.model import Model
from fakturo.engine.prices.price import Price
from fakturo.engine.prices.reading import Reader

_READERS: Mapping[str, Callable[[Reader], Model]] = MappingProxyType(
    {
        "flat": flat.read,
        "per_unit": per_unit.read,
        "graduated": graduated.read,
        "volume": volume.read,
        "package": package.read,
        "percentage": percentage.read,
        "graduated_percentage": graduated_percentage.read,
        "dynamic": dynamic.read,
        "capacity": capacity.read,
    }
)
MATRIX = "matrix"
MODELS = (*_READERS, MATRIX)
"""The models of the price language."""

_HUNDRED = Decimal(100)


def parse_price(document: object, currency: str, path: str = "price") -> Price:
    """Return the price that `document` describes, in `currency`.

    Raises:
        PriceError: the first fault that it has.
    """
    faults: list[PriceError] = []
    price = read_price(document, currency, path, faults)
    if price is None:
        raise faults[0]
    return price


def read_price(document: object, currency: str, path: str, faults: list[PriceError], name: str = "") -> Price | None:
    """Return the price, or None after noting in `faults` all that is wrong with it. `name` begins its messages."""
    known = len(faults)
    reader = Reader(document, path, faults, name)
    if not isinstance(document, Mapping):
        return None
    _check_currency(reader, currency)
    model = _model(reader, currency, faults)
    licensed = reader.flag("licensed")
    modifiers = _modifiers(reader, fixed=licensed or isinstance(model, flat.Flat))
    if model is not None:  # of an unknown model nobody knows the fields
        reader.finish(f"a {document['model']} price")
    if model is None or len(faults) > known:
        return None
    return Price(currency=currency, model=model, modifiers=modifiers, licensed=licensed)


def _check_currency(reader: Reader, currency: str) -> None:
    own = reader.text("currency", default=currency)
    try:
        exponent_of(own)
    except PriceError as error:
        reader.fault(error.code, "currency", f"{own!r} is not a currency of ISO 4217")
        return
    if own != currency:
        reader.fault("currency_mismatch", "currency", f"{own} is not {currency}, which is asked for")


def _model(reader: Reader, currency: str, faults: list[PriceError]) -> Model | None:
    name = reader.text("model")
    if name == MATRIX:
        prefix = reader.path

        def nested(document: object, path: str) -> Price | None:
            return read_price(document, currency, path, faults, path.removeprefix(prefix).lstrip("."))

        return matrix.read(reader, nested)
    if name in _READERS:
        return _READERS[name](reader)
    if name:
        reader.fault("price_model_unknown", "model", f"{name!r} is none of {', '.join(MODELS)}")
    return None


def _modifiers(reader: Reader, *, fixed: bool) -> Modifiers:
    """Return the modifiers; `fixed` says that the model's amount is prorated by day by default."""
    transform = reader.reader("transform") if reader.has("transform") else None
    divide_by, divide_round = None, Rounding.NONE
    if transform is not None:
        divide_by = transform.decimal("divide_by", above_zero=True)
        divide_round = transform.choice("round", tuple(Rounding), default=Rounding.NONE)
        transform.finish("a transform")
    return Modifiers(
        divide_by=divide_by,
        divide_round=divide_round,
        free_units=reader.decimal("free_units", default=ZERO),
        proration=reader.choice("proration", tuple(Proration), default=Proration.DAY if fixed else Proration.NONE),
        discounts=_discounts(reader),
        maximum_amount=reader.optional_decimal("maximum_amount"),
        minimum_amount=reader.optional_decimal("minimum_amount"),
        increments=_increments(reader),
        per_event=reader.flag("per_event"),
    )


def _increments(reader: Reader) -> EventIncrements | None:
    if not reader.has("event_increments"):
        return None
    fields = reader.reader("event_increments")
    step = fields.decimal("step", above_zero=True) if fields.has("step") else None
    increments = EventIncrements(minimum=fields.decimal("minimum", default=ZERO), step=step)
    fields.finish("event increments")
    if not fields.has("minimum") and not fields.has("step"):
        reader.fault("price_event_increments", "event_increments", "needs minimum or step")
    return increments


def _discounts(reader: Reader) -> tuple[Discount, ...]:
    if not reader.has("discount"):
        return ()
    fields = reader.reader("discount")
    percent, amount = fields.optional_decimal("percent"), fields.optional_decimal("amount")
    fields.finish("a discount")
    if (percent is None) == (amount is None):
        reader.fault("price_discount", "discount", "needs either percent or amount")
    if percent is not None and percent > _HUNDRED:
        fields.fault("price_discount", "percent", f"{percent:f} is above 100")
    return (Discount(percent=percent, amount=amount),)
