"""The meters of a catalog: how usage events become quantities.

Place     catalog -> [this] -> `MeterDefinition` by code; engine/meters says what is wrong with one.
"""

from fakturo.engine.errors import PriceError
from fakturo.engine.meters import meter_of
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.events.contracts import MeterDefinition


def read_meters(reader: Reader, faults: list[PriceError]) -> dict[str, MeterDefinition]:
    """Return the meters by code; there need not be any."""
    rows = reader.reader("meters")
    meters = {}
    for code in rows.names():
        row = rows.reader(code)
        definition = MeterDefinition(
            code=code,
            event_type=row.text("event_type"),
            aggregation=row.text("aggregation"),
            value=row.text("value") if row.has("value") else None,
            group_by=row.texts("group_by"),
            filter=_filter(row),
        )
        row.finish("a meter")
        if definition.aggregation:
            try:
                meter_of(definition, row.path)
            except PriceError as error:
                faults.append(error)
        meters[code] = definition
    return meters


def _filter(row: Reader) -> dict[str, tuple[str, ...]]:
    fields = row.reader("filter")
    return {name: fields.texts(name) for name in fields.names()}
