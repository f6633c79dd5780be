"""Kafka headers in which a connector tells of the change: texts, however its header converter wrote them.

Place     confluent_v2, osodevops -> [this]. Pure.
Lists     come as `A,B` or as a JSON array; a text may stand in the JSON converter's quotes (reading.py takes them off).
"""

from collections.abc import Mapping

import msgspec

from fakturo.consumers.crm_feed.shapes.message import misshapen


def names_in(headers: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """Return the field names in a header, None where the header is not there.

    Raises:
        SchemaError: an array that is none.
    """
    text = headers.get(name)
    if text is None:
        return None
    if text.startswith("["):
        try:
            return msgspec.json.decode(text, type=tuple[str, ...])
        except msgspec.MsgspecError as error:
            raise misshapen(f"{text!r:.60} is no list of names", f"$headers.{name}") from error
    return tuple(found.strip() for found in text.split(",") if found.strip())


def whole_in(headers: Mapping[str, str], name: str) -> int | None:
    """Return the whole number in a header, None where there is none."""
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
