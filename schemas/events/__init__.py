"""Every event type of ours, one domain a file; `EVENT_TYPES` maps the CloudEvents `type` to the struct of `data`."""

import msgspec

from fakturo.schemas.events import clock, collections, contracts, documents, invoices, kpis, ledger, payments, usage

EVENT_TYPES: dict[str, type[msgspec.Struct]] = {
    **clock.TYPES,
    **contracts.TYPES,
    **usage.TYPES,
    **invoices.TYPES,
    **payments.TYPES,
    **ledger.TYPES,
    **kpis.TYPES,
    **collections.TYPES,
    **documents.TYPES,
}
