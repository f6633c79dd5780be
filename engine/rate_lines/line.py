"""One line in, one line out.

Place     bytes of a line -> [this] -> bytes of its answer; `fakturo rate` moves the bytes.
Speed     a price that was seen before is found by its very bytes and not read again; the cache is bounded, so memory
          is flat however many prices come.
Errors    `line_invalid` (no JSON, no object, too long, nested too deeply), else the code of what is wrong.
"""

from typing import Any, NamedTuple

import msgspec

from fakturo.engine.errors import PriceError
from fakturo.engine.money import exponent_of
from fakturo.engine.prices import Price, parse_price
from fakturo.engine.rate_lines.answer import LINE_INVALID, answer_of, refusal_of
from fakturo.engine.rate_lines.request import Fields, request_of_fields
from fakturo.engine.rating import RateRequest, rate

LINE_BYTES_MAX = 16 * 1_048_576
"""A line longer than this is refused before it is read; some 200,000 events."""

_CACHED_PRICE_BYTES_MAX = 65_536
_CACHE_BYTES_MAX = 262_144
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Answered(NamedTuple):
    """The answer to a line, without a line end, and whether it was rated."""

    content: bytes
    rated: bool


class Unreadable(PriceError):
    """A line that cannot be read at all, so that nothing in it can be named."""

    def __init__(self, message: str) -> None:
        super().__init__(LINE_INVALID, message)


class RateLines:
    """Rates lines in one language, remembering the prices that it has read."""

    def __init__(self, *, locale: str = "en", with_explanations: bool = False) -> None:
        self._locale = locale
        self._with_explanations = with_explanations
        self._prices: dict[tuple[str, bytes], Price] = {}
        self._cached_bytes = 0
        self._decode = msgspec.json.Decoder(Fields).decode
        self._encode = msgspec.json.Encoder().encode

    def answer(self, content: bytes, number: int) -> Answered:
        """Return the answer to the line with this number; it never raises for what is in the line."""
        line_id = None
        try:
            fields = self._fields(content)
            line_id = fields.id
            result = rate(request_of_fields(fields, self._price(fields)))
            answer = answer_of(result, line_id, locale=self._locale, with_explanation=self._with_explanations)
            return Answered(self._encode(answer), rated=True)
        except PriceError as error:
            if line_id is None and not isinstance(error, Unreadable):
                line_id = _id_of(content)
            return Answered(self._encode(refusal_of(error, line_id, number)), rated=False)
        except RecursionError:
            nested = Unreadable("the price is nested too deeply")
            return Answered(self._encode(refusal_of(nested, line_id, number)), rated=False)

    def request(self, content: bytes) -> RateRequest:
        """Return what the line asks for.

        Raises:
            PriceError: it cannot be read, or something in it is wrong.
        """
        fields = self._fields(content)
        return request_of_fields(fields, self._price(fields))

    def _fields(self, content: bytes) -> Fields:
        try:
            return self._decode(content)
        except msgspec.ValidationError:
            raise _wrong_fields(content) from None
        except _NOT_JSON as error:
            raise Unreadable(f"not JSON: {error}" if content.strip() else "the line is empty") from error

    def _price(self, fields: Fields) -> Price:
        if fields.price is msgspec.UNSET:
            raise PriceError("field_missing", "price is missing", "price")
        raw = bytes(fields.price)
        key = (fields.currency, raw) if isinstance(fields.currency, str) else ("", raw)
        price = self._prices.get(key)
        if price is None or (not key[0] and fields.currency is not None):
            price = _read_price(raw, fields.currency)
            self._remember(key, price)
        return price

    def too_long(self, number: int) -> Answered:
        """Return the answer to a line that is longer than `LINE_BYTES_MAX`, which nobody should hold in memory."""
        error = Unreadable(f"the line is longer than {LINE_BYTES_MAX} bytes")
        return Answered(self._encode(refusal_of(error, None, number)), rated=False)

    def _remember(self, key: tuple[str, bytes], price: Price) -> None:
        size = len(key[1])
        if size > _CACHED_PRICE_BYTES_MAX:
            return
        while self._prices and self._cached_bytes + size > _CACHE_BYTES_MAX:
            oldest = next(iter(self._prices))
            del self._prices[oldest]
            self._cached_bytes -= len(oldest[1])
        self._prices[key] = price
        self._cached_bytes += size


def _read_price(raw: bytes, asked: object) -> Price:
    try:
        document = msgspec.json.decode(raw)
    except _NOT_JSON as error:
        raise Unreadable(f"not JSON: {error}") from error
    if asked is None and isinstance(document, dict):
        asked = document.get("currency")
    if asked is None:
        raise PriceError("field_missing", "currency is missing", "currency")
    if not isinstance(asked, str):
        raise PriceError("field_type", f"currency {asked!r} is not a text", "currency")
    exponent_of(asked)
    return parse_price(document, asked)


def _wrong_fields(content: bytes) -> PriceError:
    """Return what is wrong with a line that is JSON, but not of the shape."""
    try:
        document = msgspec.json.decode(content)
    except _NOT_JSON as error:
        return Unreadable(f"not JSON: {error}")
    if not isinstance(document, dict):
        return Unreadable("the line is not an object")
    unknown = next((name for name in document if name not in Fields.__struct_fields__), "")
    return PriceError("field_unknown", f"{unknown} is not a field of a rate line", unknown)


def _id_of(content: bytes) -> Any:
    document = msgspec.json.decode(content)
    return document.get("id") if isinstance(document, dict) else None
