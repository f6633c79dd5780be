"""JSON as other connectors write it: a number with a point becomes a Decimal, digit by digit.

Place     reading.py, wire_format.py -> [this]. Pure.
"""

from decimal import Decimal
from typing import Any

import msgspec

from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def parse_json(text: bytes) -> Any:
    """Return the JSON value in `text`.

    Raises:
        SchemaError: it is no JSON.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(Reason.MALFORMED_JSON, f"not JSON: {error}") from error
