"""Terms of commitments that no invoice of their subscription meets: trued up by time, on a document of their own.

Place     handler.advance, once nothing is due -> [this] -> finalizing, which asks true_up for the line; drafts.
When      the term's end (in the payer's zone) and the grace lie behind, and nothing of the subscription is to come that
          would carry it: it ended, was cancelled, or was billed in advance. For a payer that splits by cost centre only
          what falls due by the term's end is waited for: its true-up is over all cost centres, and on none of them.
Once      the book has a key for a term; one that nothing is short of is noted there without a document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from fakturo.consumers.invoicing import commitment_store, contracts_store
from fakturo.consumers.invoicing.billing import Bill, head_of
from fakturo.consumers.invoicing.changes import payer_of
from fakturo.consumers.invoicing.groups import DueGroup, GroupKey, Payer
from fakturo.consumers.invoicing.line_taxes import notes_on_tax
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine import commitments
from fakturo.engine.periods import Period, first_instant, local_date
from fakturo.engine.schedule import version_at, zone_at
from fakturo.engine.tax import tax_point
from fakturo.schemas.events.contracts import Commitment, Seller, Subscription

TERMS_MAX = 200
"""How many terms one statement looks at, and how many one transaction trues up."""

NO_DOCUMENT = ""
"""In place of an invoice's id, of a term that nothing was short of."""

EASTERNMOST_HOURS = 14
"""The zone that a date begins in first: UTC+14."""

EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """A term that is over: of which subscription, who pays, and when it ended there."""

    subscription: Subscription
    commitment: Commitment
    payer: Payer
    term: Period


async def find(closed_at: datetime, seller: Seller, tx: Transaction) -> list[Bill] | None:
    """Return bills for terms that were over at `closed_at`; None where there was no such term."""
    after, on = "", (closed_at.astimezone(UTC) + timedelta(hours=EASTERNMOST_HOURS)).date()
    while subscriptions := await commitment_store.ended(tx.driver, on, after, TERMS_MAX):
        after = subscriptions[-1].subscription_id
        terms = await _terms(subscriptions, seller, tx)
        ready = [term for term in terms if term.term.end_at <= closed_at and not await _waits(term, tx)]
        if ready:
            return [bill for term in ready if (bill := await _bill(term, tx)) is not None]
    return None


async def bill_of(group: DueGroup, seller: Seller, tx: Transaction) -> Bill | None:
    """Return what a draft of a true-up is now; None where nothing is short any more."""
    found = await contracts_store.find_subscriptions(tx.driver, [group.true_up_of or ""])
    terms = await _terms(list(found.values()), seller, tx)
    return await _bill(terms[0], tx, group) if terms else None


async def _terms(subscriptions: Sequence[Subscription], seller: Seller, tx: Transaction) -> list[_Term]:
    """Return the terms of the subscriptions whose customer and payer are known."""
    accounts = await contracts_store.find_accounts(tx.driver, (one.account for one in subscriptions))
    payers = {
        one.subscription_id: payer_of(account, _ends_at(one.commitment.end_on, account.versions[0].timezone))
        for one in subscriptions
        if one.commitment is not None and (account := accounts.get(one.account)) is not None
    }
    accounts |= await contracts_store.find_accounts(tx.driver, payers.values())
    found = []
    for one in subscriptions:
        payer = accounts.get(payers.get(one.subscription_id, ""))
        if one.commitment is None or payer is None:
            continue
        guess = _ends_at(one.commitment.end_on, payer.versions[0].timezone)
        term = commitments.term_of(one.commitment, zone_at(payer.versions, guess))
        found.append(
            _Term(
                subscription=one,
                commitment=one.commitment,
                term=term,
                payer=Payer(
                    account_id=payer.account,
                    version=version_at(payer.versions, term.end_at),
                    seller=one.seller or seller,
                    currency=one.currency,
                    due_at=term.end_at,
                    subscriptions=[one],
                    true_up_of=one.subscription_id,
                ),
            )
        )
    return found


def _ends_at(end_on: date, zone: str) -> datetime:
    return first_instant(end_on, zone)


async def _waits(found: _Term, tx: Transaction) -> bool:
    """Return whether an invoice that is to come would true the term up, or bill what counts for it."""
    until = found.term.end_at if found.payer.version.split_by_cost_centre else EVER
    return await commitment_store.to_come(tx.driver, found.subscription.subscription_id, until)


async def _bill(found: _Term, tx: Transaction, group: DueGroup | None = None) -> Bill | None:
    """Return the document without its line, which true_up makes; None where nothing is short, which is noted."""
    name, term, payer = found.subscription.subscription_id, found.term, found.payer
    items = await commitment_store.items_of(tx.driver, name)
    billed = await commitment_store.billed_in_term(tx.driver, name, term.start_at, term.end_at)
    if not items or not commitments.shortfall(found.commitment, billed):
        await commitment_store.save_true_up(tx.driver, name, found.commitment.start_on, NO_DOCUMENT, billed, 0)
        return None
    if group is None:
        void = await commitment_store.void_one(tx.driver, commitments.item_of(name), term.start_at)
        key = GroupKey(
            payer_id=payer.account_id,
            currency=payer.currency,
            seller_code=payer.seller.code,
            cost_centre="",
            reissues=void or "",
        )
        group = DueGroup(key=key, due_at=term.end_at, entries=(), true_up_of=name)
    taxed_on = tax_point(local_date(term.end_at, payer.version.timezone), term, payer.version.timezone)
    head = head_of(
        group,
        payer,
        term,
        recorded_at=max(found.subscription.recorded_at, *(recorded_at for _, recorded_at in items)),
        notes=notes_on_tax([items[0][0].tax], payer.seller, payer.version, taxed_on),
    )
    return Bill(group=group, payer=payer, head=head, items=())
