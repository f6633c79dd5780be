"""KPI values as the `kpi` agent publishes them."""

from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

KPI_UPDATED = "fakturo.kpi.updated.v1"

PORTFOLIO = "portfolio"
"""The account of a value that is over all customers."""


AS_REPORTED, RESTATED = "as_reported", "restated"


class KpiUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI of an account (or `portfolio`) over `window` ("30d", "90d", "365d", "lifetime") as of the day `as_of`.

    `value` is None where the denominator is 0. `basis` tells the value first reported from one restated later, whose
    record has a key of its own (`.../restated/<as_of>`). A KPI of the unit `date` says its date in `on` too.
    """

    kpi: str
    window: str
    account: str
    as_of: date
    value: Decimal | None
    unit: str
    currency: str | None
    numerator: Decimal | None
    denominator: Decimal | None
    basis: Literal["as_reported", "restated"]
    definition: str
    on: date | None = None


TYPES: dict[str, type[msgspec.Struct]] = {KPI_UPDATED: KpiUpdated}
