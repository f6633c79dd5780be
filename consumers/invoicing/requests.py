"""What is asked for on `billing.requests`, each request once.

Place     handler -> [this] -> the books of credit (credit_requests) and of the life of an invoice.
"""

from collections.abc import Sequence

from fakturo.consumers.invoicing import credit_requests
from fakturo.consumers.invoicing.credit_requests import Request
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import decode_event
from fakturo.schemas.errors import SchemaError


async def apply(records: Sequence[Record], tx: Transaction) -> None:
    """Do what `records` ask for; reject what can't be read."""
    asked: list[Request] = []
    for record in records:
        try:
            asked.append(Request(record=record, event=decode_event(record.value, record.headers)))
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
    await credit_requests.apply([one for one in asked if one.event.type in credit_requests.TYPES], tx)
