"""The loyalty programmes of a catalog: points earned on net spend.

Place     catalog -> [this] -> `LoyaltyProgramme` by code; an order names one (`Fakturo_Loyalty__c`).
"""

from decimal import Decimal

from fakturo.engine.catalog.fields import optional_whole
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.events.contracts import LoyaltyProgramme

_PERCENT_MAX = Decimal(100)


def read_loyalty(reader: Reader) -> dict[str, LoyaltyProgramme]:
    """Return the programmes by code."""
    rows = reader.reader("loyalty")
    return {code: _programme(code, rows.reader(code)) for code in rows.names()}


def _programme(code: str, row: Reader) -> LoyaltyProgramme:
    programme = LoyaltyProgramme(
        code=code,
        points_per_unit=row.decimal("points_per_unit", above_zero=True),
        point_amount=row.decimal("point_amount", above_zero=True),
        redemption_percent=row.decimal("redemption_percent", default=_PERCENT_MAX),
        expires_months=optional_whole(row, "expires_months", low=1, high=1200),
    )
    if programme.redemption_percent > _PERCENT_MAX:
        row.fault("number_range", "redemption_percent", f"{programme.redemption_percent:f} is above 100")
    row.finish("a loyalty programme")
    return programme
