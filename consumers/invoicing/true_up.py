"""What is short of a minimum commitment, as a line on the first invoice at or after the end of its term.

Place     discounts -> [this] -> a line of kind `true_up`. Once a term: the book's key refuses a second time.
Elsewhere a payer that splits by cost centre has several documents of one instant, and a term that none of them meets
          has none: then the line comes on a document of its own (ended_terms), once all that it counts is billed.
"""

from dataclasses import replace
from decimal import Decimal

from fakturo.consumers.invoicing import commitment_store
from fakturo.consumers.invoicing.document import Document
from fakturo.consumers.invoicing.line_taxes import line_tax_of
from fakturo.engine import commitments
from fakturo.engine.explanations import explain, money_argument
from fakturo.engine.invoicing import BilledItem
from fakturo.engine.money import exponent_of, from_minor
from fakturo.engine.periods import Period
from fakturo.engine.tax import tax_point
from fakturo.schemas.events.contracts import Commitment
from fakturo.schemas.events.invoices import LineTax


async def true_up_items(document: Document) -> list[BilledItem]:
    """Return the true-ups that are due on the invoice, and book their terms as done."""
    found: list[BilledItem] = []
    for subscription_id, subscription in sorted(document.subscriptions.items()):
        commitment = subscription.commitment
        if commitment is None or not commitments.is_due(commitment, document.issued_on):
            continue
        if await commitment_store.is_trued_up(document.driver, subscription_id, commitment.start_on):
            continue
        if await _comes_elsewhere(document, subscription_id):
            continue
        term = commitments.term_of(commitment, document.head.zone)
        before = await commitment_store.billed_in_term(document.driver, subscription_id, term.start_at, term.end_at)
        billed = before + _billed_here(document, subscription_id, commitment)
        short = commitments.shortfall(commitment, billed)
        if document.hold:
            await commitment_store.save_true_up(
                document.driver, subscription_id, commitment.start_on, document.invoice_id, billed, short
            )
        if short:
            earlier = await commitment_store.lines_of(
                document.driver, commitments.item_of(subscription_id), term.start_at
            )
            tax = await _tax(document, subscription_id, term)
            item = _item(document, subscription_id, commitment, term, billed, tax)
            found.append(replace(item, sequence=earlier + 1))
    return found


async def _comes_elsewhere(document: Document, subscription_id: str) -> bool:
    """Return whether the true-up belongs on another document: one that has all of the term's lines before it."""
    payer = document.payer
    if payer.true_up_of is not None:
        return payer.true_up_of != subscription_id
    if payer.version.split_by_cost_centre:
        return True
    return await commitment_store.billed_elsewhere(
        document.driver, subscription_id, payer.due_at, payer.subscription_of, document.head.reissues
    )


def _billed_here(document: Document, subscription_id: str, commitment: Commitment) -> int:
    return sum(
        item.amount_minor
        for item in document.items
        if document.subscription_of.get(item.subscription_item) == subscription_id
        and commitments.counts(commitment, item.period, document.head.zone)
    )


def _item(
    document: Document, subscription_id: str, commitment: Commitment, term: Period, billed_minor: int, tax: LineTax
) -> BilledItem:
    currency = document.head.currency
    digits = exponent_of(currency)
    account = document.subscriptions[subscription_id].account
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
        description=document.say("minimum_commitment"),
        explanation=explain(phrases, document.payer.version.locale),
        quantity=Decimal(1),
        amount_exact=from_minor(short, currency),
        amount_minor=short,
        period=term,
        tax=tax,
        price_hash="",
        phrases=phrases,
        kind="true_up",
        account=account if account != document.payer.account_id else None,
    )


async def _tax(document: Document, subscription_id: str, term: Period) -> LineTax:
    """Return the tax of the subscription's first item on the invoice, else of the first that it ever had."""
    own = [item for item in document.items if document.subscription_of.get(item.subscription_item) == subscription_id]
    if own:
        return min(own, key=lambda item: item.subscription_item).tax
    items = await commitment_store.items_of(document.driver, subscription_id)
    payer, zone = document.payer, document.head.zone
    return line_tax_of(items[0][0].tax, payer.seller, payer.version, tax_point(document.issued_on, term, zone))
