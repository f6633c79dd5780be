"""Every event type of ours, one domain a file; `EVENT_TYPES` maps the CloudEvents `type` to the struct of `data`."""

import msgspec

from fakturo.schemas.events import (
    catalog,
    clock,
    collections,
    contracts,
    credit,
    documents,
    invoices,
    kpis,
    ledger,
    payments,
    requests,
    sales,
    usage,
)

EVENT_TYPES: dict[str, type[msgspec.Struct]] = {
    **clock.TYPES,
    **contracts.TYPES,
    **sales.TYPES,
    **usage.TYPES,
    **invoices.TYPES,
    **credit.TYPES,
    **requests.TYPES,
    **catalog.TYPES,
    **payments.TYPES,
    **ledger.TYPES,
    **kpis.TYPES,
    **collections.TYPES,
    **documents.TYPES,
}
