"""A commitment's line, and a discount: amounts that no price makes but other lines do.

Place     lines -> [this] -> explaining. What a commitment counts is what was billed in its term.
"""

from decimal import Decimal

import asyncpg

from fakturo.cli.explain.answer import Step
from fakturo.cli.explain.lines import FoundDiscount, FoundLine
from fakturo.engine.commitments import item_of
from fakturo.engine.money import from_minor

_COMMITMENT = item_of("")
"""What the id of a commitment's line ends with, behind that of the subscription."""


def subscription_of_true_up(found: FoundLine) -> str:
    """Return the id of the subscription whose commitment the line makes up for."""
    return found.line.subscription_item.removesuffix(_COMMITMENT)


async def true_up_steps(connection: asyncpg.Connection, found: FoundLine) -> list[Step] | None:
    """Return what was committed, less what was billed in the term; None where the book does not say (a draft)."""
    invoice = found.document.invoice
    row = await connection.fetchrow(
        "SELECT billed_minor, short_minor FROM invoicing.commitment_term "
        "WHERE subscription_id = $1 AND invoice_id = $2",
        subscription_of_true_up(found),
        invoice.invoice_id,
    )
    if row is None:
        return None
    committed = from_minor(row["billed_minor"] + row["short_minor"], invoice.currency)
    return [
        _step("committed to in the term", committed),
        _step("less what was billed in the term", from_minor(-row["billed_minor"], invoice.currency)),
    ]


def discount_steps(found: FoundDiscount) -> tuple[Step, ...]:
    """Return the part of the discount in each line; one step for all where the lines' parts are not booked yet."""
    invoice = found.document.invoice
    amount_minor = invoice.discounts[found.number - 1].amount_minor
    shares = found.shares or ()
    if sum(shares) != amount_minor or len(shares) != len(invoice.lines):
        return (_step(invoice.discounts[found.number - 1].description, from_minor(amount_minor, invoice.currency)),)
    return tuple(
        _step(f"on line {line.line_id}, {line.description}", from_minor(share, invoice.currency))
        for line, share in zip(invoice.lines, shares, strict=True)
        if share
    )


def _step(description: str, amount: Decimal) -> Step:
    return Step(description=description, quantity=None, unit_amount=None, amount=amount)
