"""What is short of a minimum commitment, as a line on the first invoice at or after the end of its term.

Place     discounts -> [this] -> a line of kind `true_up`. Once a term: the book's key refuses a second time.
"""

from dataclasses import replace
from decimal import Decimal

from fakturo.consumers.invoicing import coupon_store
from fakturo.consumers.invoicing.document import Document
from fakturo.engine import commitments
from fakturo.engine.explanations import explain, money_argument
from fakturo.engine.invoicing import BilledItem
from fakturo.engine.money import exponent_of, from_minor
from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import Commitment
from fakturo.schemas.events.invoices import LineTax


async def true_up_items(document: Document) -> list[BilledItem]:
    """Return the true-ups that are due on the invoice, and book their terms as done."""
    found: list[BilledItem] = []
    for subscription_id, subscription in sorted(document.subscriptions.items()):
        commitment = subscription.commitment
        if commitment is None or not commitments.is_due(commitment, document.issued_on):
            continue
        if await coupon_store.is_trued_up(document.driver, subscription_id, commitment.start_on):
            continue
        term = commitments.term_of(commitment, document.head.zone)
        before = await coupon_store.billed_in_term(document.driver, subscription_id, term.start_at, term.end_at)
        billed = before + _billed_here(document, subscription_id, commitment)
        short = commitments.shortfall(commitment, billed)
        if document.hold:
            await coupon_store.save_true_up(
                document.driver, subscription_id, commitment.start_on, document.invoice_id, billed, short
            )
        if short:
            earlier = await coupon_store.lines_of(document.driver, commitments.item_of(subscription_id), term.start_at)
            item = _item(document, subscription_id, commitment, term, billed)
            found.append(replace(item, sequence=earlier + 1))
    return found


def _billed_here(document: Document, subscription_id: str, commitment: Commitment) -> int:
    return sum(
        item.amount_minor
        for item in document.items
        if document.subscription_of.get(item.subscription_item) == subscription_id
        and commitments.counts(commitment, item.period, document.head.zone)
    )


def _item(
    document: Document, subscription_id: str, commitment: Commitment, term: Period, billed_minor: int
) -> BilledItem:
    currency = document.head.currency
    digits = exponent_of(currency)
    short = commitments.shortfall(commitment, billed_minor)
    phrases = (
        (
            "true_up",
            money_argument(from_minor(commitment.amount_minor, currency), digits),
            money_argument(from_minor(billed_minor, currency), digits),
        ),
    )
    return BilledItem(
        subscription_item=commitments.item_of(subscription_id),
        product_code=commitments.PRODUCT_CODE,
        description="Minimum commitment",
        explanation=explain(phrases, document.payer.version.locale),
        quantity=Decimal(1),
        amount_exact=from_minor(short, currency),
        amount_minor=short,
        period=term,
        tax=_tax(document, subscription_id),
        price_hash="",
        phrases=phrases,
        kind="true_up",
        account=document.subscriptions[subscription_id].account if _pays_for_others(document) else None,
    )


def _pays_for_others(document: Document) -> bool:
    return any(item.account is not None for item in document.items)


def _tax(document: Document, subscription_id: str) -> LineTax:
    """Return the tax of the subscription's first item on the invoice."""
    own = [item for item in document.items if document.subscription_of.get(item.subscription_item) == subscription_id]
    return min(own or document.items, key=lambda item: item.subscription_item).tax
