"""What is asked for on `billing.requests`, each request once.

Place     handler -> [this] -> the books of credit (credit_requests) and of the life of an invoice (life).
Order     requests of a batch as they came.
"""

from collections.abc import Sequence

from fakturo.consumers.invoicing import credit_requests, life, life_store
from fakturo.consumers.invoicing.credit_requests import Request
from fakturo.consumers.invoicing.life import Life
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import decode_event
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import Seller

RELEASED_MAX = 500
"""How many requests that waited for an invoice one transaction takes up."""


async def apply(records: Sequence[Record], seller: Seller, tx: Transaction) -> None:
    """Do what `records` ask for; reject what can't be read. `seller` is the one of the settings."""
    asked: list[Request] = []
    for record in records:
        try:
            request = Request(record=record, event=decode_event(record.value, record.headers))
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
            continue
        if request.event.type in credit_requests.TYPES or request.event.type in life.TYPES:
            asked.append(request)
        else:
            tx.reject(record, Reason.UNKNOWN_TYPE, f"{request.event.type!r} asks for nothing that is done here")
    await credit_requests.apply([one for one in asked if one.event.type in credit_requests.TYPES], tx)
    await Life(seller).apply([one for one in asked if one.event.type in life.TYPES], tx)


async def release(seller: Seller, tx: Transaction) -> bool:
    """Take up requests that waited for an invoice which is there by now; return whether there was any."""
    references = await life_store.waited_for(tx.driver, RELEASED_MAX)
    if not references:
        return False
    records = await tx.release_parked(references, RELEASED_MAX)
    for record in records:
        tx.count(record.topic, "released")
    await apply(records, seller, tx)
    return bool(records)
