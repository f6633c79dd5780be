"""The fields that we write on an Account: which KPI is shown where, and how.

Place     handler, next_invoices -> [this] (calls engine/payer_rating) -> rows. The table is the `source` of the fields
          in schemas/salesforce/written_fields.
Currency  amounts of several currencies can't be added: a field shows the value in the account's own currency, and
          `Fakturo_Currency__c` names it. A KPI without a currency is shown as it is.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from fakturo.consumers.crm_sync.rows import DesiredRow
from fakturo.consumers.crm_sync.values import text_of
from fakturo.engine.payer_rating import payer_rating
from fakturo.schemas.salesforce.written_fields import ACCOUNT, ACCOUNT_FIELDS, WrittenField

Kpi = tuple[str, str]
"""(KPI, window)"""

NO_CURRENCY = ""
_KPI = "kpi."

_SHOWN_AS: Mapping[str, Callable[[Decimal], object]] = MappingProxyType({"on_time_rate": payer_rating})
"""KPIs that are shown as something else than their value."""

KPI_OF_FIELD: Mapping[str, Kpi] = MappingProxyType(
    {
        field.name: (field.source.split(".")[1], field.source.split(".")[2])
        for field in ACCOUNT_FIELDS
        if field.source.startswith(_KPI)
    }
)
"""Name of a field -> the KPI that it shows."""

_WRITTEN = frozenset(KPI_OF_FIELD.values())


def is_written_kpi(kpi: str, window: str) -> bool:
    """Return whether the org is shown the KPI of that window."""
    return (kpi, window) in _WRITTEN


def account_row(
    account: str,
    currency: str | None,
    kpis: Mapping[tuple[str, str, str], Decimal | None],
    next_invoice_on: date | None,
) -> DesiredRow:
    """Return the Account as the org is to show it; `kpis` are values by (KPI, window, currency)."""
    fields = {field.name: _text(field, currency, kpis, next_invoice_on) for field in ACCOUNT_FIELDS}
    return DesiredRow(entity=ACCOUNT, key=account, account=account, fields=fields)


def _text(
    field: WrittenField,
    currency: str | None,
    kpis: Mapping[tuple[str, str, str], Decimal | None],
    next_invoice_on: date | None,
) -> str | None:
    if field.name in KPI_OF_FIELD:
        kpi = KPI_OF_FIELD[field.name]
        value = kpis.get((*kpi, currency or NO_CURRENCY), kpis.get((*kpi, NO_CURRENCY)))
        show = _SHOWN_AS.get(kpi[0])
        return text_of(field, show(value) if show and value is not None else value)
    return text_of(field, next_invoice_on if field.source == "schedule.next_invoice_on" else currency)
