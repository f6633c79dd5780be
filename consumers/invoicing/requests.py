"""What is asked for on `billing.requests`, each request once.

Place     handler -> [this] -> the books of credit and of the life of an invoice.
"""

from collections.abc import Sequence

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction


async def apply(records: Sequence[Record], tx: Transaction) -> None:
    """Do what `records` ask for; nothing is asked for yet that is known here."""
