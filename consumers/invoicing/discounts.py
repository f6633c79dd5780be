"""Discounts of an invoice, taken from the books that bound them in the transaction of the invoice.

Place     billing, once the lines are known and before tax -> [this] -> `build_invoice`; given back when it is void.
Order     true-up of a commitment (a line), spend cap, coupons, promotional credit, points; then what the rest earns.
Race      rows are locked before they are read, sorted by their key: of two invoices that want the last of a budget the
          second gets what the first left. The book's CHECKs refuse what would be too much all the same.
Drafts    with `hold=False` the same is worked out and nothing is booked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from fakturo.consumers.invoicing import commitment_store, coupon_store, credit_store, point_store
from fakturo.consumers.invoicing.document import Document
from fakturo.consumers.invoicing.groups import Payer
from fakturo.consumers.invoicing.true_up import true_up_items
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine import discounts as rules
from fakturo.engine import loyalty, wallets
from fakturo.engine.explanations import money_argument
from fakturo.engine.invoicing import AppliedDiscount, BilledItem, InvoiceHead
from fakturo.engine.money import exponent_of, from_minor
from fakturo.schemas.events.contracts import LoyaltyProgramme
from fakturo.schemas.events.invoices import Invoice, LoyaltyMovement

EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""As the tick of a document that has none: whatever is in the books by now may be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discounts:
    """What comes off an invoice, what lines it gets besides (a true-up), and what it does to the customer's points.

    The shares of `applied` are those of `sorted_items((*items, *extra_items))`.
    """

    applied: tuple[AppliedDiscount, ...] = ()
    extra_items: tuple[BilledItem, ...] = ()
    loyalty: LoyaltyMovement | None = None


async def reserve(
    tx: Transaction,
    payer: Payer,
    head: InvoiceHead,
    items: Sequence[BilledItem],
    *,
    at: datetime = EVER,
    hold: bool = True,
) -> Discounts:
    """Return the discounts of the invoice with `items`, and hold them in the books.

    What came to the books at or after the tick `at` is not used, so that a rerun finds the same.
    """
    document = await Document.of(tx, payer, head, items, at=at, hold=hold)
    if not await _has_any(document):
        return Discounts()
    await document.add(await true_up_items(document))
    await _cap(document)
    await _use_coupons(document)
    await _use_promotional_credit(document)
    movement = await _points(document)
    return Discounts(applied=tuple(document.applied), extra_items=document.extra_items, loyalty=movement)


async def release(tx: Transaction, invoice: Invoice, *, billed_again: bool = True) -> Invoice:
    """Give back what a void invoice had used, take back the points it earned; return it as it is taken back.

    What it trued up of a commitment is trued up again only where it is `billed_again`, as all its lines are.

    Its `loyalty` says how many points come back and go, and which revenue waits again or no more: what was redeemed of
    its points by now stays redeemed, so that is less than what the invoice had deferred.
    """
    await coupon_store.release_uses(tx.driver, invoice.invoice_id)
    await coupon_store.release_caps(tx.driver, invoice.invoice_id)
    await commitment_store.release_term(tx.driver, invoice.invoice_id, billed_again=billed_again)
    await credit_store.release_draws(tx.driver, invoice.invoice_id, "promotional")
    if invoice.loyalty is None:
        return invoice
    redeemed, released_minor = await point_store.release_redeemed(tx.driver, invoice.invoice_id)
    earned, deferred_minor = await point_store.take_back_lot(tx.driver, invoice.invoice_id)
    movement = LoyaltyMovement(
        programme=invoice.loyalty.programme,
        points_earned=earned,
        points_redeemed=redeemed,
        deferred_minor=deferred_minor,
        released_minor=released_minor,
    )
    return msgspec.structs.replace(invoice, loyalty=movement)


async def take_back(tx: Transaction, invoice: Invoice, note: Invoice, left_minor: int, *, whole: bool) -> Invoice:
    """Take back the points that an invoice earned, as far as `note` credits it; return the note as it says so.

    Of what is not redeemed its share of the net amount `left_minor` that was left goes, with the revenue that waits for
    it. With the `whole` of it all goes, and points that came off the invoice go back to what claimed them.
    """
    if invoice.loyalty is None:
        return note
    redeemed = released_minor = 0
    if whole:
        redeemed, released_minor = await point_store.release_redeemed(tx.driver, invoice.invoice_id)
        earned, deferred_minor = await point_store.take_back_lot(tx.driver, invoice.invoice_id)
    else:
        credited = -note.subtotal_minor
        earned, deferred_minor = await point_store.take_back_share(
            tx.driver, invoice.invoice_id, (credited, left_minor - credited)
        )
    if not any((redeemed, released_minor, earned, deferred_minor)):
        return note
    movement = LoyaltyMovement(
        programme=invoice.loyalty.programme,
        points_earned=-earned,
        points_redeemed=-redeemed,
        deferred_minor=-deferred_minor,
        released_minor=-released_minor,
    )
    return msgspec.structs.replace(note, loyalty=movement)


async def _has_any(document: Document) -> bool:
    """Return whether a subscription or a book has anything to say: mostly none does, by one look at the books."""
    for subscription in document.subscriptions.values():
        if subscription.coupons or subscription.commitment or subscription.loyalty:
            return True
        if subscription.spend_cap_minor is not None:
            return True
    return bool(
        await document.driver.fetchval(
            "SELECT EXISTS (SELECT FROM invoicing.coupon_holder WHERE account_id = ANY($1::text[])) "
            "OR EXISTS (SELECT FROM invoicing.credit_grant WHERE account_id = $2 AND kind = 'promotional') "
            "OR EXISTS (SELECT FROM invoicing.point_claim WHERE account_id = $2 AND redeemed < points)",
            document.accounts,
            document.payer.account_id,
        )
    )


async def _cap(document: Document) -> None:
    """Bound what a subscription pays for a billing period, over all documents of it."""
    for subscription_id, subscription in sorted(document.subscriptions.items()):
        cap = subscription.spend_cap_minor
        if cap is None:
            continue
        for start_at, covered in document.periods_of(subscription_id).items():
            billed, capped = await coupon_store.capped_before(document.driver, subscription_id, start_at)
            now = sum(document.left[index] for index in covered)
            shares = rules.cap_shares(document.left, covered, cap, billed, capped)
            document.apply("spend_cap", subscription_id, _cap_text(cap, document), shares)
            if document.hold:
                await coupon_store.save_cap(
                    document.driver, subscription_id, start_at, document.invoice_id, now, -sum(shares)
                )


def _cap_text(cap_minor: int, document: Document) -> str:
    currency = document.head.currency
    cap = money_argument(from_minor(cap_minor, currency), exponent_of(currency))
    return document.say("spend_cap", cap, currency)


async def _use_coupons(document: Document) -> None:
    for subscription_id, subscription in sorted(document.subscriptions.items()):
        for coupon in sorted(subscription.coupons, key=lambda one: one.code):
            await coupon_store.keep_holder(
                document.driver,
                coupon_store.holder_of(subscription_id, coupon.code),
                subscription.account,
                coupon,
                subscription_id=subscription_id,
            )
    found = await coupon_store.lock_offers(document.driver, document.accounts, document.subscriptions, document.at)
    offers = [
        document.covering(offer)
        for offer in found
        if rules.is_usable(offer, document.head.currency, document.issued_on)
    ]
    codes = {offer.coupon.code for offer in offers}
    budgets = await coupon_store.lock_budgets(document.driver, codes, document.head.currency)
    used = rules.use_coupons(offers, document.covered_lines(), document.left, budgets)
    for use in used:
        document.apply("coupon", use.offer.coupon.code, use.offer.coupon.description, use.shares)
    if document.hold:
        await coupon_store.save_uses(document.driver, document.invoice_id, document.head.currency, used)


async def _use_promotional_credit(document: Document) -> None:
    grants = await credit_store.lock_grants(
        document.driver, document.payer.account_id, document.head.currency, "promotional", document.at
    )
    draws = wallets.burn_down(grants, max(0, sum(document.left)), document.issued_on)
    for draw in draws:
        shares = rules.take(document.left, range(len(document.left)), draw.amount_minor)
        name = draw.grant.description or document.say("promotional_credit")
        document.apply("promotional_credit", draw.grant.grant_id, name, shares)
    if document.hold:
        await credit_store.save_draws(document.driver, document.invoice_id, draws)


async def _points(document: Document) -> LoyaltyMovement | None:
    """Redeem what was claimed, then earn on what is left; None where neither happens."""
    programme, covered = document.programme()
    redeemed = await _redeem(document, programme.code if programme else None)
    net = sum(document.left[index] for index in covered)
    points = loyalty.points_earned(net, document.head.currency, programme) if programme else 0
    deferred = loyalty.deferral(net, document.head.currency, points, programme) if programme else 0
    if programme and points and document.hold:
        await point_store.earn(document.driver, document.payer.account_id, _lot(document, programme, points, deferred))
    if not points and not redeemed:
        return None
    return LoyaltyMovement(
        programme=programme.code if programme else redeemed[0].lot.programme,
        points_earned=points,
        points_redeemed=sum(part.points for part in redeemed),
        deferred_minor=deferred,
        released_minor=sum(part.released_minor for part in redeemed),
    )


async def _redeem(document: Document, programme: str | None) -> tuple[loyalty.Redeemed, ...]:
    """Take claimed points off the invoice: those of its own programme, or of the one that was asked for first."""
    found = await point_store.lock_claims(
        document.driver, document.payer.account_id, document.head.currency, document.at
    )
    if not found:
        return ()
    code = programme or found[0].lot.programme
    claims = [claim for claim in found if claim.lot.programme == code]
    parts = loyalty.redeem([(claim.lot, claim.points) for claim in claims], sum(document.left), document.head.currency)
    if parts:
        amount = sum(part.amount_minor for part in parts)
        shares = rules.take(document.left, range(len(document.left)), amount)
        points = sum(part.points for part in parts)
        text = document.say("point_redeemed" if points == 1 else "points_redeemed", str(points), code)
        document.apply("loyalty", code, text, shares)
    if document.hold:
        await point_store.save_redeemed(
            document.driver, document.invoice_id, [(claims[part.position], part) for part in parts]
        )
    return parts


def _lot(document: Document, programme: LoyaltyProgramme, points: int, deferred_minor: int) -> loyalty.Lot:
    return loyalty.Lot(
        lot_id=document.invoice_id,
        programme=programme.code,
        currency=document.head.currency,
        points=points,
        point_amount=programme.point_amount,
        redemption_percent=programme.redemption_percent,
        deferred_minor=deferred_minor,
        earned_on=document.issued_on,
        expires_on=loyalty.expiry_of(programme, document.issued_on),
    )
